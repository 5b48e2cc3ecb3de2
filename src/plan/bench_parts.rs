//! For benches: planning alone, with nothing behind it.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{DestinationKind, MakeDir, Planned, Planner, resolve_destination};
use crate::error::Result;
use crate::item::Way;
use crate::source::Candidate;

/// So many source directories are held open.
const OPEN: usize = 32;

/// The planner of a run.
#[derive(Debug)]
pub struct Plan(Planner);

impl Plan {
    /// That of a run that moves everything into an existing directory.
    ///
    /// # Errors
    /// `dir` is no directory.
    pub fn into(dir: &Path) -> Result<Self> {
        let (kind, way) = (DestinationKind::Directory, Way::Any);
        let destination = resolve_destination(dir.as_os_str().as_bytes(), kind, None, MakeDir::No, way)?;
        Ok(Self(Planner::new(destination, OPEN)))
    }

    /// Plans a candidate. Whether it may be moved side by side with others.
    pub fn plan(&mut self, candidate: Candidate) -> bool {
        matches!(self.0.plan(candidate), Planned::Item { .. })
    }
}
