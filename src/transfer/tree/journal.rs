//! The journal of a tree: what was staged, and how much of that is known to be durable.
//!
//! A file of frames, written in the order in which things happen. Retiring goes by it, so that memory does not
//! grow with the tree, and a later run goes by it, too: equal size and time of a staged file prove nothing.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::sys::{Dir, append_all, create_named, unlink};
use crate::transfer::record::frame;

use super::frame::{Frame, Header, Known, LONGEST_FRAME, StagedFile};

/// So much is collected before it is written.
const FLUSH: usize = 64 << 10;

/// So many files are noted in one frame at most.
pub(super) const FILES: usize = 4096;

/// A journal being written.
#[derive(Debug)]
pub(crate) struct Journal {
    name: Vec<u8>,
    file: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    /// The first error: a journal with a gap must not be gone on with.
    failed: Option<Errno>,
    /// Bytes that have been written.
    written: u64,
}

impl Journal {
    /// Begins a journal; `known` is what a taken-over stage holds.
    pub(super) fn create(dir: &Dir, name: Vec<u8>, header: Header, known: &Known) -> Result<Self, Errno> {
        Self::begin(create_named(dir, &name, 0o600)?, name, header, known)
    }

    pub(super) fn begin(file: OwnedFd, name: Vec<u8>, header: Header, known: &Known) -> Result<Self, Errno> {
        let journal = Self { name, file, state: Mutex::default() };
        journal.append(&Frame::Header(header));
        for (dir, files) in known {
            let mut files =
                files.iter().map(|(name, stamp)| StagedFile { name: name.clone(), stamp: *stamp }).peekable();
            while files.peek().is_some() {
                journal.append(&Frame::Known { dir: dir.clone(), files: files.by_ref().take(FILES).collect() });
            }
        }
        let before = journal.flush()?;
        journal.append(&Frame::Proven { before });
        journal.flush()?;
        Ok(journal)
    }

    /// Notes files that were staged in a directory.
    pub(super) fn append_files(&self, dir: u32, mut files: Vec<StagedFile>) {
        while files.len() > FILES {
            let rest = files.split_off(FILES);
            self.append(&Frame::Files { dir, files: std::mem::replace(&mut files, rest) });
        }
        if !files.is_empty() {
            self.append(&Frame::Files { dir, files });
        }
    }

    /// Adds a step. An error shows at the next [`Self::flush`].
    pub(super) fn append(&self, step: &Frame) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.buffer.len();
        frame(step, &mut state.buffer);
        if state.buffer.len() - before >= LONGEST_FRAME {
            // It would not be read back.
            state.failed.get_or_insert(Errno::FBIG);
        }
        if state.buffer.len() >= FLUSH {
            state.write(&self.file);
        }
    }

    /// Writes out what was added. Returns the journal's length, bytes.
    pub(super) fn flush(&self) -> Result<u64, Errno> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.write(&self.file);
        match state.failed {
            Some(error) => Err(error),
            None => Ok(state.written),
        }
    }

    /// For a barrier file by file.
    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Ends writing. Returns the journal's name.
    pub(super) fn close(self) -> Vec<u8> {
        self.name
    }

    /// Removes the journal of a tree that was given up.
    pub(super) fn remove(self, dir: &Dir) {
        // One that stays speaks of a stage that is gone, and the next run clears it.
        unlink(dir, &self.name).ok();
    }
}

impl State {
    fn write(&mut self, file: &OwnedFd) {
        if self.failed.is_none() {
            match append_all(file, &self.buffer) {
                Ok(()) => self.written += self.buffer.len() as u64,
                Err(error) => self.failed = Some(error),
            }
        }
        self.buffer.clear();
    }
}
