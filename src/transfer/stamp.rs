//! What a source was when it was copied, to be compared before it is retired.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::sys::{Dir, FileKind, Stat, Time};

/// How often to look again at a file of which only the ctime differs: somebody may be removing it, and unlink(2) sets
/// the ctime before it counts the link and takes the name away.
const LOOKS: usize = 3;

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
    pub(crate) fn check(&self, dir: &Dir, name: &[u8]) -> Result<bool, Errno> {
        let mut now = Stat::at(dir, name)?;
        for _ in 0..LOOKS {
            let differs_in_ctime_only = Self { ctime: now.ctime, ..*self }.matches(&now);
            if self.matches(&now) || !differs_in_ctime_only {
                break;
            }
            std::thread::yield_now();
            now = Stat::at(dir, name)?;
        }
        // Its name was found, and has gone since. (Some FUSE servers count no links at all.)
        if now.links == 0 && self.links > 0 {
            return Err(Errno::NOENT);
        }
        Ok(self.matches(&now))
    }
}
