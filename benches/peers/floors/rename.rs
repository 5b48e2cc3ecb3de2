//! Many names on one device: one `renameat2` a name, in the order of the listing, while listing goes on. One
//! thread: the kernel holds the locks of both directories during each call.

use anyhow::Result;
use rustix::fs::RenameFlags;

use super::Sides;
use super::files::{list, open_dir};

pub(super) fn run(sides: &Sides) -> Result<()> {
    let source = open_dir(&sides.source)?;
    let target = open_dir(&sides.target)?;
    list(&source, |name, _| Ok(rustix::fs::renameat_with(&source, name, &target, name, RenameFlags::NOREPLACE)?))
}
