//! The bytes of one regular file: cloned, else copied by the kernel, else read and written.
//!
//! Holes stay holes. Short counts are gone on from, and where one way ends half-way the next goes on from
//! the same offset. A source that shrinks or grows meanwhile is noticed.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::item::How;
use crate::sys::{
    Stat, Transferred, clone_whole, copy_range, next_extent, read_at, seek_to, send, set_size, write_all_at,
};

use super::Context;
use super::stamp::Stamp;
use super::target::Route;

/// So many bytes at most in one call, so that the progress line moves and a signal is heard. (One call must
/// also stay below 2 GiB: some C libraries cut the count it returns to 32 bits.)
const SLICE: u64 = 32 << 20;

/// Reading a file of this size or more takes long enough for a look whether it has changed. Bytes.
const LONG: u64 = 64 << 10;

/// Why a content was not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentError {
    Read(Errno),
    Write(Errno),
    /// The source has another size than it had when it was opened.
    Changed,
    /// The run is to end.
    Stopped,
}

/// One copy in progress.
struct Copy<'a> {
    context: &'a Context,
    route: &'a Route,
    from: &'a OwnedFd,
    to: &'a OwnedFd,
    /// Where `to` stands, as far as sequential writes go.
    position: u64,
    how: How,
}

/// A content that was copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copied {
    /// Of data: holes do not count.
    pub(crate) bytes: u64,
    pub(crate) how: How,
}

/// Copies all of `from`, which `stat` describes, into `to`, which is empty.
pub(crate) fn copy_content(
    context: &Context,
    route: &Route,
    from: &OwnedFd,
    to: &OwnedFd,
    stat: &Stat,
) -> Result<Copied, ContentError> {
    let mut copy = Copy { context, route, from, to, position: 0, how: How::default() };
    if stat.size == 0 {
        // Files of procfs and of some FUSE servers have content though their size is 0: believe a read only.
        let bytes = copy.until_end(0)?;
        return Ok(Copied { bytes, how: copy.how });
    }
    if route.may_clone() {
        match clone_whole(from, to) {
            Ok(()) => {
                context.counters.copied(stat.size);
                return Ok(Copied { bytes: stat.size, how: How { reflink: Some(true), ..copy.how } });
            }
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS) => route.cannot_clone(),
            // This file only (flags that differ, an active swap file, …); should the target be full, copying
            // will say so.
            Err(_) => copy.how.reflink = Some(false),
        }
    }
    let bytes = if stat.may_have_holes() {
        copy.how.holes = true;
        copy.extents(stat)?
    } else {
        copy.extent(0, stat.size, true).map(|()| stat.size)?
    };
    // What takes long to read may be written to meanwhile: then this is a mixture. (A small file is only compared before it
    // is retired.)
    if stat.size >= LONG && !Stat::of(from).is_ok_and(|now| Stamp::of(stat).matches(&now)) {
        return Err(ContentError::Changed);
    }
    Ok(Copied { bytes, how: copy.how })
}

impl Copy<'_> {
    /// Copies what is data, and leaves out what is not.
    fn extents(&mut self, stat: &Stat) -> Result<u64, ContentError> {
        let (mut at, mut data) = (0, 0);
        while let Some(extent) = next_extent(self.from, at, stat.size).map_err(ContentError::Read)? {
            self.extent(extent.start, extent.end, false)?;
            data += extent.end - extent.start;
            at = extent.end;
        }
        if data == 0 && stat.blocks > 0 {
            // Blocks, but no data? Some file systems have been wrong about what is not written back yet.
            return self.extent(0, stat.size, true).map(|()| stat.size);
        }
        set_size(self.to, stat.size).map_err(ContentError::Write)?;
        Ok(data)
    }

    /// Copies the bytes from `start` to `end`; `last` if the file should end there.
    fn extent(&mut self, start: u64, end: u64, last: bool) -> Result<(), ContentError> {
        let mut offset = start;
        while offset < end {
            if self.context.stop.is_set() {
                return Err(ContentError::Stopped);
            }
            // One byte more than there should be: a source that grew shows, and one that did not answers short,
            // which saves the call that would find the end.
            let spare = u64::from(last);
            let len = (end - offset + spare).min(SLICE);
            match self.slice(offset, len)? {
                Transferred::End => return Err(ContentError::Changed),
                Transferred::Bytes(count) => {
                    offset += count;
                    self.context.counters.copied(count);
                }
            }
        }
        if offset > end { Err(ContentError::Changed) } else { Ok(()) }
    }

    /// Copies up to `len` bytes at `offset`, by the best way that works.
    fn slice(&mut self, offset: u64, len: u64) -> Result<Transferred, ContentError> {
        if self.route.may_copy_range() {
            match copy_range(self.from, self.to, offset, len) {
                Ok(Transferred::Bytes(count)) => {
                    self.how.offload = Some(true);
                    return Ok(Transferred::Bytes(count));
                }
                Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP) => self.route.cannot_copy_range(),
                Err(error) if is_full(error) => return Err(ContentError::Write(error)),
                // EINVAL, EPERM, ENOENT, EACCES, ETXTBSY, …: each has been seen where reading works. "End" where there
                // should be data: a file system that makes its content up. Ask by reading.
                Ok(Transferred::End) | Err(_) => self.how.offload = Some(false),
            }
        }
        if self.position == offset || seek_to(self.to, offset).is_ok() {
            self.position = offset;
            match send(self.from, self.to, offset, len) {
                Ok(Transferred::Bytes(count)) => {
                    self.position += count;
                    return Ok(Transferred::Bytes(count));
                }
                Err(error) if is_full(error) => return Err(ContentError::Write(error)),
                // The end has to be read to be believed. An error does not say on which side it is: reading and
                // writing will.
                Ok(Transferred::End) | Err(_) => self.position = u64::MAX,
            }
        }
        self.by_hand(offset, len)
    }

    /// Reads and writes.
    fn by_hand(&mut self, offset: u64, len: u64) -> Result<Transferred, ContentError> {
        let len = usize::try_from(len.min(256 * 1024)).unwrap_or(256 * 1024);
        let mut buffer = vec![0; len];
        let count = read_at(self.from, &mut buffer, offset).map_err(ContentError::Read)?;
        write_all_at(self.to, &buffer[..count], offset).map_err(ContentError::Write)?;
        self.position = u64::MAX;
        Ok(Transferred::from(count))
    }

    /// Reads and writes until a read finds the end.
    fn until_end(&mut self, from: u64) -> Result<u64, ContentError> {
        let mut offset = from;
        loop {
            if self.context.stop.is_set() {
                return Err(ContentError::Stopped);
            }
            match self.by_hand(offset, SLICE)? {
                Transferred::End => return Ok(offset),
                Transferred::Bytes(count) => {
                    offset += count;
                    self.context.counters.copied(count);
                }
            }
        }
    }
}

fn is_full(error: Errno) -> bool {
    matches!(error, Errno::NOSPC | Errno::DQUOT | Errno::FBIG)
}
