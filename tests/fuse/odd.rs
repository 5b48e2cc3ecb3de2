//! What tests on an odd file system need: where to move from and to, and what must hold afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::fs::{Scratch, scratch};
use crate::common::run::{Output, Pmove};
use crate::promises::{entries, litter};

use super::{Fuse, Quirks};

/// Two directories on an odd file system, and one on an ordinary one.
#[derive(Debug)]
pub struct Odd {
    pub disk: Fuse,
    pub from: PathBuf,
    pub to: PathBuf,
    pub outside: Scratch,
}

impl Odd {
    /// Empty.
    #[must_use]
    #[track_caller]
    pub fn new(quirks: Quirks) -> Self {
        let disk = Fuse::new(quirks);
        let (from, to) = (disk.path().join("from"), disk.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        Self { disk, from, to, outside: scratch() }
    }

    /// From where to where: within it, onto it, from it.
    #[must_use]
    pub fn ways(&self) -> [(&Path, &Path); 3] {
        [(&self.from, &self.to), (&self.outside, &self.to), (&self.from, &self.outside)]
    }

    /// Nothing hidden of pmove's own is left anywhere.
    #[track_caller]
    pub fn assert_no_litter(&self) {
        let litter = [litter(self.disk.path()), litter(&self.outside)].concat();
        assert!(litter.is_empty(), "left behind: {litter:?}");
    }

    /// As empty as it was.
    pub fn clear(&self) {
        for dir in [&*self.from, &*self.to, &*self.outside] {
            for path in entries(dir) {
                let removed = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
                removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
    }
}

/// Runs pmove in `from`.
#[track_caller]
pub fn pmove(from: &Path, args: &[&str], to: &Path) -> Output {
    Pmove::new().args(args).arg(to).cwd(from).run()
}
