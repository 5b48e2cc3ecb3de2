//! What a regular file holds, and where its holes are, for snapshots.
//!
//! Content does not depend on holes: a hole and a page of zeros are the same content with different data
//! extents. Holes are not read, so that a terabyte of them takes no time.

use std::ffi::OsStr;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, SeekFrom, openat, seek};
use rustix::io::{Errno, pread};

/// File systems differ in how finely they tell data from holes; whole pages are what all agree on.
const PAGE: u64 = 4096;
const ZEROS: [u8; 4096] = [0; 4096];
/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// What a regular file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It is not a regular file.
    None,
    /// All of it, up to a page.
    Whole(Vec<u8>),
    /// A hash of all pages that are not zeros, and their offsets.
    Digest(u64),
    /// A file, or a directory, that the user who runs the test cannot read.
    Unreadable,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Digest(digest) => write!(f, "digest {digest:016x}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl Content {
    /// What a file with these bytes, none of whose pages are zeros, has for content.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.len() as u64 <= PAGE {
            return Self::Whole(bytes.to_vec());
        }
        let mut hasher = DefaultHasher::new();
        for (number, page) in bytes.chunks(ZEROS.len()).enumerate() {
            hasher.write_u64(number as u64 * PAGE);
            hasher.write(page);
        }
        Self::Digest(hasher.finish())
    }

    /// Reads a file of `size` bytes: its content, and the extents of its data. `buffer` is only there to be
    /// used again.
    pub(super) fn read(
        dir: BorrowedFd,
        name: &OsStr,
        size: u64,
        buffer: &mut Vec<u8>,
    ) -> rustix::io::Result<(Self, Vec<(u64, u64)>)> {
        if size == 0 {
            return Ok((Self::Whole(Vec::new()), Vec::new()));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(dir, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ACCESS) => return Ok((Self::Unreadable, Vec::new())),
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            // Pages that the kernel has zeroed, and only those that are used.
            *buffer = vec![0; CHUNK];
        }
        let extents = data_extents(&file, size)?;
        if size <= PAGE {
            let length = usize::try_from(size).expect("at most a page");
            fill(&file, 0, &mut buffer[..length])?;
            return Ok((Self::Whole(buffer[..length].to_vec()), extents));
        }
        let mut hasher = DefaultHasher::new();
        for &(start, end) in &extents {
            digest(&file, start, end, buffer, &mut hasher)?;
        }
        Ok((Self::Digest(hasher.finish()), extents))
    }
}

fn digest(
    file: &OwnedFd,
    start: u64,
    end: u64,
    buffer: &mut [u8],
    hasher: &mut DefaultHasher,
) -> rustix::io::Result<()> {
    let mut offset = start;
    while offset < end {
        let length = usize::try_from(end - offset).unwrap_or(CHUNK).min(CHUNK);
        fill(file, offset, &mut buffer[..length])?;
        for page in buffer[..length].chunks(ZEROS.len()) {
            if page != &ZEROS[..page.len()] {
                hasher.write_u64(offset);
                hasher.write(page);
            }
            offset += page.len() as u64;
        }
    }
    Ok(())
}

/// Reads exactly as much as `buffer` holds. A file that ends earlier changed under the snapshot.
fn fill(file: &OwnedFd, mut offset: u64, mut buffer: &mut [u8]) -> rustix::io::Result<()> {
    while !buffer.is_empty() {
        let length = match pread(file, &mut *buffer, offset) {
            Ok(0) => return Err(Errno::STALE),
            Ok(length) => length,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error),
        };
        buffer = &mut buffer[length..];
        offset += length as u64;
    }
    Ok(())
}

/// Where data is, in whole pages (but not beyond the end), neighbours joined.
fn data_extents(file: &OwnedFd, size: u64) -> rustix::io::Result<Vec<(u64, u64)>> {
    let mut extents: Vec<(u64, u64)> = Vec::new();
    let mut offset = 0;
    while offset < size {
        let start = match seek(file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error),
        };
        offset = seek(file, SeekFrom::Hole(start))?;
        let (start, end) = (start / PAGE * PAGE, offset.next_multiple_of(PAGE).min(size));
        match extents.last_mut() {
            Some(last) if last.1 >= start => last.1 = last.1.max(end),
            _ => extents.push((start, end)),
        }
    }
    Ok(extents)
}
