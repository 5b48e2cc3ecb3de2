//! The bytes of one regular file: cloned, else copied by the kernel, else handed over through a pipe or, where there are few
//! of them, read and written.
//!
//! Holes stay holes. Short counts are gone on from, and where one way ends half-way the next goes on from
//! the same offset. A source that shrinks or grows meanwhile is noticed.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::item::How;
use crate::sys::{
    Pipe, Stat, Transferred, clone_whole, copy_range, let_go, next_extent, read_at, reserve, set_size, write_all_at,
};

use super::stamp::Stamp;
use super::target::Route;
use super::{Context, SyncMode};

/// So many bytes at most in one call, so that the progress line moves and a signal is heard. (One call must
/// also stay below 2 GiB: some C libraries cut the count it returns to 32 bits.)
const SLICE: u64 = 32 << 20;

/// So few bytes are read and written: that costs less than handing pages over.
const FEW: u64 = 64 << 10;

/// What is read and written goes through memory in pieces of this size. Bytes.
const PIECE: usize = 256 << 10;

thread_local! {
    /// The memory that it goes through: a worker has use for it again and again.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// For a file of this size or more, taking room beforehand costs less than it saves. Bytes.
const WORTH_RESERVING: u64 = 128 << 10;

/// So much is written before its writing back is begun: the barrier at the end then has little left to wait for.
const WINDOW: u64 = 32 << 20;

/// So much of what is being written back may stay in memory, where a run is large for the machine.
const WRITING_BACK: u64 = 4 * WINDOW;

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
    pipe: InPipe,
    /// Up to here it is being written back.
    written_back: u64,
    how: How,
}

/// The pipe of one copy.
enum InPipe {
    NotYet,
    Empty(Pipe),
    /// It does not work for this file.
    Never,
}

/// Empty pipes, for whoever copies next.
#[derive(Debug, Default)]
pub(crate) struct Pipes(Mutex<Vec<Pipe>>);

impl Pipes {
    fn take(&self) -> Option<Pipe> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.or_else(|| Pipe::open().ok())
    }

    fn put_back(&self, pipe: Pipe) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(pipe);
    }
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
    let mut copy = Copy { context, route, from, to, pipe: InPipe::NotYet, written_back: 0, how: How::default() };
    let copied = copy.all(stat);
    if let InPipe::Empty(pipe) = copy.pipe {
        context.pipes.put_back(pipe);
    }
    copied
}

impl Copy<'_> {
    /// Copies all.
    fn all(&mut self, stat: &Stat) -> Result<Copied, ContentError> {
        if stat.size == 0 {
            // Files of procfs and of some FUSE servers have content though their size is 0: believe a read only.
            let bytes = self.until_end(0)?;
            return Ok(Copied { bytes, how: self.how });
        }
        if self.route.may_clone() {
            match clone_whole(self.from, self.to) {
                Ok(()) => {
                    self.context.counters.copied(stat.size);
                    return Ok(Copied { bytes: stat.size, how: How { reflink: Some(true), ..self.how } });
                }
                Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS) => self.route.cannot_clone(),
                // This file only (flags that differ, an active swap file, …); should the target be full, copying
                // will say so.
                Err(_) => self.how.reflink = Some(false),
            }
        }
        let bytes = if stat.may_have_holes() {
            self.how.holes = true;
            self.extents(stat)?
        } else {
            self.reserve(stat.size)?;
            self.extent(0, stat.size, true).map(|()| stat.size)?
        };
        // What takes long to read may be written to meanwhile: then this is a mixture. (A small file is only compared before it
        // is retired.)
        if stat.size >= LONG && !Stat::of(self.from).is_ok_and(|now| Stamp::of(stat).matches(&now)) {
            return Err(ContentError::Changed);
        }
        Ok(Copied { bytes, how: self.how })
    }

    /// Copies what is data, and leaves out what is not.
    fn extents(&mut self, stat: &Stat) -> Result<u64, ContentError> {
        // First: what is written at the end of a file has xfs take room behind it, and a hole there later keep that.
        set_size(self.to, stat.size).map_err(ContentError::Write)?;
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
                    self.begin_write_back(offset);
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
        if len > FEW
            && let Some(piped) = self.through_pipe(offset, len)?
        {
            return Ok(piped);
        }
        self.by_hand(offset, len)
    }

    /// Takes room for what will be written, where that makes writing faster.
    fn reserve(&mut self, size: u64) -> Result<(), ContentError> {
        if size < WORTH_RESERVING || !self.route.reserves(self.to) {
            return Ok(());
        }
        match reserve(self.to, size) {
            Err(error) if is_full(error) => Err(ContentError::Write(error)),
            // Without it, then.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Has the kernel hand over pages, as many as a pipe holds. None where that does not work.
    fn through_pipe(&mut self, offset: u64, len: u64) -> Result<Option<Transferred>, ContentError> {
        if matches!(self.pipe, InPipe::NotYet) && !self.context.named_stages {
            self.pipe = self.context.pipes.take().map_or(InPipe::Never, InPipe::Empty);
        }
        let InPipe::Empty(pipe) = std::mem::replace(&mut self.pipe, InPipe::Never) else { return Ok(None) };
        let count = match pipe.fill(self.from, offset, len) {
            Ok(Transferred::Bytes(count)) => count,
            // The end has to be read to be believed, and an error has to be met by reading.
            Ok(Transferred::End) | Err(_) => return Ok(None),
        };
        let mut done = 0;
        while done < count {
            match pipe.drain(self.to, offset + done, count - done) {
                Ok(0) => break,
                Ok(written) => done += written,
                Err(error) if is_full(error) => return Err(ContentError::Write(error)),
                Err(_) => break,
            }
        }
        // What is left in a pipe must not get into another file.
        if done == count {
            self.pipe = InPipe::Empty(pipe);
        }
        Ok((done > 0).then_some(Transferred::Bytes(done)))
    }

    /// Has what was written up to `offset` written back, once that is much: no later barrier has it all to do. A run that is
    /// large for this machine's memory also lets go of it, or it would push out what others need there.
    fn begin_write_back(&mut self, offset: u64) {
        if offset < self.written_back + WINDOW {
            return;
        }
        let is_large = self.context.is_large_for_memory();
        if self.context.sync == SyncMode::None && !is_large {
            return;
        }
        let_go(self.to, self.written_back, offset - self.written_back);
        if is_large {
            let_go(self.from, self.written_back, offset - self.written_back);
            if let Some(old) = self.written_back.checked_sub(WRITING_BACK) {
                let_go(self.to, old, offset - self.written_back);
            }
        }
        self.written_back = offset;
    }

    /// Reads and writes.
    fn by_hand(&mut self, offset: u64, len: u64) -> Result<Transferred, ContentError> {
        let len = usize::try_from(len).unwrap_or(PIECE).min(PIECE);
        BUFFER.with_borrow_mut(|buffer| {
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
            let count = read_at(self.from, &mut buffer[..len], offset).map_err(ContentError::Read)?;
            write_all_at(self.to, &buffer[..count], offset).map_err(ContentError::Write)?;
            Ok(Transferred::from(count))
        })
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
