//! Reading a directory by its descriptor.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::RawDir;
use rustix::io::Errno;

use super::fault::{Op, call};
use super::{Dir, FileKind};

/// A name in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Box<[u8]>,
    /// What the listing said it was; `Unknown` where the file system does not say.
    pub(crate) kind: FileKind,
}

/// A directory being read, a buffer at a time, so that a directory of millions needs no more memory than
/// one of thousands.
pub(crate) struct Listing {
    fd: OwnedFd,
    buffer: Box<[MaybeUninit<u8>]>,
}

impl Listing {
    /// Starts reading `dir`.
    pub(crate) fn of(dir: &Dir) -> Result<Self, Errno> {
        Ok(Self { fd: dir.readable()?, buffer: Box::new_uninit_slice(32 * 1024) })
    }

    /// The next few hundred names, without `.` and `..`; none at the end.
    pub(crate) fn next_chunk(&mut self) -> Result<Vec<Entry>, Errno> {
        call(Op::List, b"", || self.read())
    }

    fn read(&mut self) -> Result<Vec<Entry>, Errno> {
        let mut entries = Vec::new();
        let mut raw = RawDir::new(&self.fd, &mut self.buffer);
        while let Some(entry) = raw.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                entries.push(Entry { name: name.into(), kind: entry.file_type().into() });
            }
            // What one getdents64 brought is enough: the caller works on it before asking for more.
            if raw.is_buffer_empty() && !entries.is_empty() {
                break;
            }
        }
        Ok(entries)
    }

    /// The name of what has the inode number `ino`, as far as the listing tells: below an overlay it may not.
    pub(crate) fn name_of(dir: &Dir, ino: u64) -> Result<Option<Vec<u8>>, Errno> {
        let mut listing = Self::of(dir)?;
        call(Op::List, b"", || {
            let mut raw = RawDir::new(&listing.fd, &mut listing.buffer);
            while let Some(entry) = raw.next().transpose()? {
                let name = entry.file_name().to_bytes();
                if entry.ino() == ino && name != b"." && name != b".." {
                    return Ok(Some(name.to_vec()));
                }
            }
            Ok(None)
        })
    }

    /// All names at once, for directories that are known to be small.
    pub(crate) fn all(dir: &Dir) -> Result<Vec<Entry>, Errno> {
        let mut listing = Self::of(dir)?;
        let mut entries = Vec::new();
        loop {
            let chunk = listing.next_chunk()?;
            if chunk.is_empty() {
                return Ok(entries);
            }
            entries.extend(chunk);
        }
    }
}
