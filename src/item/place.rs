//! A directory that is held open, together with the way the user wrote it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::io::Errno;

use crate::sys::{Dir, Stat, effective_user};

use super::Item;

/// A directory held open, and what its names look like in messages.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: Dir,
    /// What stands before a name in it: empty, or ending in a slash.
    prefix: Box<[u8]>,
    removal: OnceLock<Result<(), Errno>>,
}

impl Place {
    pub(crate) fn new(dir: Dir, prefix: &[u8]) -> Self {
        Self { dir, prefix: prefix.into(), removal: OnceLock::new() }
    }

    /// The path of a name in this place, as the user would write it.
    pub(crate) fn path(&self, name: &[u8]) -> PathBuf {
        path_from([&self.prefix, name].concat())
    }

    /// What stands before a name here: empty, or ending in a slash.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// What stands before a name in the directory `path` below this one.
    pub(crate) fn prefix_below(&self, path: &[u8]) -> Vec<u8> {
        [&self.prefix, path, b"/"].concat()
    }

    /// The path of a source here, as the user wrote it: with its trailing slash, if it had one.
    pub(crate) fn path_of(&self, item: &Item) -> PathBuf {
        let slash: &[u8] = if item.only_directory { b"/" } else { b"" };
        path_from([&self.prefix, &*item.name, slash].concat())
    }

    /// Whether the file that `stat` describes can be removed from here, as far as can be told without trying:
    /// a copy whose source then stays would be a second file, not a move.
    pub(crate) fn can_remove(&self, stat: &Stat) -> Result<(), Errno> {
        if stat.is_pinned {
            return Err(Errno::PERM);
        }
        (*self.removal.get_or_init(|| match self.dir.allows_removal() {
            // The look itself is not supported: trying will tell.
            Err(Errno::NOSYS | Errno::INVAL) => Ok(()),
            result => result,
        }))?;
        if sticky_forbids(self.dir.stat(), stat) { Err(Errno::PERM) } else { Ok(()) }
    }
}

/// A directory below DEST.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Below {
    /// Its path there: names, with one slash between two.
    pub(crate) path: Box<[u8]>,
    /// The path of the source directory, as the user would write it.
    pub(crate) source: Box<[u8]>,
    /// Where the source directory of each of these names ends in that path.
    pub(crate) ends: Vec<usize>,
    /// So much of the path may lead through symlinks, since the user wrote it.
    pub(crate) trusted: usize,
}

/// unlink(2): from a sticky directory only the owner of the file, of the directory, or root may remove.
pub(crate) fn sticky_forbids(dir: &Stat, file: &Stat) -> bool {
    let me = effective_user();
    dir.mode & 0o1000 != 0 && me != 0 && me != file.uid && me != dir.uid
}

/// A path from the bytes that a system call or the user gave.
pub(crate) fn path_from(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}
