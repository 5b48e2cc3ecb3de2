//! What a source was when it was copied, to be compared before it is retired.

use serde::{Deserialize, Serialize};

use crate::sys::{Dir, FileKind, Stat, Time};

/// Identity and times of a source at the moment its content was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) ino: u64,
    pub(crate) kind: FileKind,
    pub(crate) size: u64,
    pub(crate) mtime: Time,
    pub(crate) ctime: Time,
    pub(crate) links: u32,
}

impl Stamp {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            ino: stat.id.ino,
            kind: stat.kind,
            size: stat.size,
            mtime: stat.mtime,
            ctime: stat.ctime,
            links: stat.links,
        }
    }

    /// Whether `now` is still the file that was copied, and unchanged.
    ///
    /// Unlinking one name of a file changes the ctime that its other names show. So a different ctime is
    /// excused where names have gone since; content, size and mtime never are.
    pub(crate) fn matches(&self, now: &Stat) -> bool {
        self.ino == now.id.ino
            && self.kind == now.kind
            && self.size == now.size
            && self.mtime == now.mtime
            && (self.ctime == now.ctime || now.links < self.links)
    }

    /// Looks at `name` and compares.
    ///
    /// # Errors
    /// It cannot be looked at: it vanished, for one.
    pub(crate) fn check(&self, dir: &Dir, name: &[u8]) -> Result<bool, rustix::io::Errno> {
        Stat::at(dir, name).map(|now| self.matches(&now))
    }
}
