//! The journal of a tree: what was staged, and how much of that is known to be durable.
//!
//! A file of frames, written in the order in which things happen. Retiring goes by it, so that memory does not
//! grow with the tree, and a later run goes by it, too: equal size and time of a staged file prove nothing.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::sys::{Dir, FileId, FileKind, Stat, append_all, create_named, open_regular, read_at, unlink};
use crate::transfer::other_name::kept_names;
use crate::transfer::record::{Unframed, frame, identity_now, is_name, unframe};
use crate::transfer::stamp::Stamp;

use super::nodes::{Node, Nodes, ROOT};

/// So much is collected before it is written.
const FLUSH: usize = 64 << 10;

/// So many files are noted in one frame at most.
const FILES: usize = 4096;

/// A frame of this length or more was not written by us. Bytes: the longest have [`FILES`] files with names of 255 bytes,
/// or the path of a very deep directory.
const LONGEST_FRAME: usize = 16 << 20;

/// What the journal is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The source's parent directory, and its path when the journal was begun.
    pub(crate) parent: FileId,
    pub(crate) parent_path: Vec<u8>,
    pub(crate) name: Vec<u8>,
    /// The source directory itself.
    pub(crate) source: FileId,
    /// The target's name in the target directory.
    pub(crate) target_name: Vec<u8>,
    /// The stage's root: the target, once it is published.
    pub(crate) stage_root: FileId,
    /// The stage's name in the stage directory.
    pub(crate) stage: Vec<u8>,
    /// The source's name while it is being removed.
    pub(crate) hidden: Vec<u8>,
}

impl Header {
    /// What the run has published in `target`, if it is still there.
    ///
    /// # Errors
    /// It cannot be looked at, which says neither.
    pub(crate) fn published_in(&self, target: &Dir) -> Result<Option<(Vec<u8>, Dir)>, Errno> {
        // Under its own name, or, where that was to be kept, under one like it.
        for name in std::iter::once(self.target_name.clone()).chain(kept_names(&self.target_name)) {
            match target.open_child(&name) {
                Ok(root) if root.id() == self.stage_root => return Ok(Some((name, root))),
                Ok(_) | Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(Errno::NOENT) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Takes on the identities that the directories have now. `room` is the stage directory.
    fn meet_today(&mut self, room: &Dir) {
        self.stage_root.dev = room.id().dev;
        self.parent = identity_now(self.parent, &self.parent_path);
        // Not simply its parent's device: the source may be a subvolume.
        if let Ok(parent) = Dir::open_named(&self.parent_path)
            && parent.id() == self.parent
        {
            let here = [&self.hidden, &self.name].into_iter().filter_map(|name| Stat::at(&parent, name).ok());
            self.source = here.map(|stat| stat.id).find(|id| id.ino == self.source.ino).unwrap_or(self.source);
        }
    }
}

/// A staged file (of any kind but directories).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StagedFile {
    pub(super) name: Vec<u8>,
    pub(super) stamp: Stamp,
}

/// One step of the tree's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Frame {
    Header(Header),
    /// A directory, before anything in it.
    Dir {
        id: u32,
        parent: u32,
        name: Vec<u8>,
    },
    /// Files that were staged.
    Files {
        dir: u32,
        files: Vec<StagedFile>,
    },
    /// Everything before this offset of the journal is durable.
    Proven {
        before: u64,
    },
    /// Files that an earlier run has staged and proven durable, in the directory with this path.
    Known {
        dir: Vec<u8>,
        files: Vec<StagedFile>,
    },
}

/// What is known to be durable in a stage: by directory path, by name.
pub(crate) type Known = HashMap<Vec<u8>, HashMap<Vec<u8>, Stamp>>;

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

/// A journal that is read back, frame by frame: never all of it at once.
#[derive(Debug)]
pub(crate) struct TreeRecord {
    pub(crate) header: Header,
    file: OwnedFd,
}

impl Frame {
    /// Whether it leads nowhere but to names in the directories that it speaks of.
    fn is_sound(&self) -> bool {
        let are_names = |files: &[StagedFile]| files.iter().all(|file| is_name(&file.name));
        match self {
            Self::Header(header) => {
                [&header.name, &header.target_name, &header.stage, &header.hidden].into_iter().all(|name| is_name(name))
            }
            Self::Dir { id, name, .. } => *id == ROOT || is_name(name),
            Self::Files { files, .. } | Self::Known { files, .. } => are_names(files),
            Self::Proven { .. } => true,
        }
    }
}

/// The frames of a journal, each with its offset, up to the first that is not whole. Holds a frame at a time, whatever
/// the file holds.
pub(super) struct Frames<'a> {
    file: &'a OwnedFd,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    start: usize,
    /// Where in the file the buffer begins.
    base: u64,
    error: Option<Errno>,
}

impl<'a> Frames<'a> {
    fn of(file: &'a OwnedFd) -> Self {
        Self { file, buffer: Vec::new(), start: 0, base: 0, error: None }
    }

    /// Why there are no more, unless it is that all were read.
    pub(super) fn error(&self) -> Option<Errno> {
        self.error
    }
}

impl Iterator for Frames<'_> {
    type Item = (u64, Frame);

    fn next(&mut self) -> Option<Self::Item> {
        const CHUNK: usize = 256 << 10;
        loop {
            let mut rest = &self.buffer[self.start..];
            match unframe::<Frame>(&mut rest) {
                Unframed::Value(frame) if frame.is_sound() => {
                    let at = self.base + self.start as u64;
                    self.start = self.buffer.len() - rest.len();
                    return Some((at, frame));
                }
                Unframed::CutOff(len) if len < LONGEST_FRAME => {}
                _ => return None,
            }
            self.buffer.drain(..self.start);
            self.base += self.start as u64;
            self.start = 0;
            let had = self.buffer.len();
            self.buffer.resize(had + CHUNK, 0);
            let read = read_at(self.file, &mut self.buffer[had..], self.base + had as u64);
            let count = read.unwrap_or_else(|error| {
                self.error = Some(error);
                0
            });
            self.buffer.truncate(had + count);
            if count == 0 {
                return None;
            }
        }
    }
}

impl TreeRecord {
    /// Opens the journal `name`: none if it has no whole header.
    ///
    /// # Errors
    /// It cannot be read now; that says nothing of what is in it.
    pub(crate) fn open(dir: &Dir, name: &[u8]) -> Result<Option<Self>, Errno> {
        if Stat::at(dir, name)?.kind != FileKind::Regular {
            return Ok(None);
        }
        let file = open_regular(dir, name)?;
        let mut frames = Frames::of(&file);
        let first = frames.next();
        match (first, frames.error()) {
            (Some((_, Frame::Header(header))), _) => Ok(Some(Self { header, file })),
            (_, Some(error)) => Err(error),
            (_, None) => Ok(None),
        }
    }

    /// The journal in a file: none if it has no whole header.
    #[cfg(any(fuzzing, test))]
    pub(super) fn from_file(file: OwnedFd) -> Option<Self> {
        match Frames::of(&file).next() {
            Some((_, Frame::Header(header))) => Some(Self { header, file }),
            _ => None,
        }
    }

    /// Opens the journal `name` of an ended run, with the identities that its directories have now.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) fn of_ended_run(dir: &Dir, name: &[u8]) -> Result<Option<Self>, Errno> {
        Ok(Self::open(dir, name)?.map(|mut record| {
            record.header.meet_today(dir);
            record
        }))
    }

    /// All frames, from the first.
    pub(super) fn frames(&self) -> Frames<'_> {
        Frames::of(&self.file)
    }

    /// What is proven durable.
    pub(crate) fn known(&self) -> Known {
        let proven = self.frames().filter_map(|(_, frame)| match frame {
            Frame::Proven { before } => Some(before),
            _ => None,
        });
        let proven = proven.last().unwrap_or(0);
        let (nodes, mut known) = (Nodes::default(), Known::new());
        for (_, frame) in self.frames().take_while(|(at, _)| *at < proven) {
            let (dir, files) = match frame {
                Frame::Dir { parent, name, .. } => {
                    nodes.add(Node { parent, name: name.into(), stat: None }, |_, _| {});
                    continue;
                }
                Frame::Files { dir, files } => (nodes.path(dir), files),
                Frame::Known { dir, files } => (dir, files),
                Frame::Header(_) | Frame::Proven { .. } => continue,
            };
            known.entry(dir).or_default().extend(files.into_iter().map(|file| (file.name, file.stamp)));
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Time;

    fn header() -> Header {
        let id = FileId { dev: 1, ino: 2 };
        Header {
            parent: id,
            parent_path: b"/p".to_vec(),
            name: b"n".to_vec(),
            source: id,
            target_name: b"t".to_vec(),
            stage_root: id,
            stage: b"d0".to_vec(),
            hidden: b".h".to_vec(),
        }
    }

    fn staged(name: &str) -> StagedFile {
        let time = Time { sec: 1, nsec: 2 };
        let stamp = Stamp { ino: 1, kind: FileKind::Regular, size: 3, mtime: time, ctime: time, links: 1 };
        StagedFile { name: name.into(), stamp }
    }

    #[test]
    fn h71_what_is_no_frame_is_not_read_on() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let file = OwnedFd::from(file);
        for head in [[0xff; 8], [0, 0, 0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]] {
            rustix::io::pwrite(&file, &head, 0).unwrap();
            let mut frames = Frames::of(&file);
            assert!(frames.next().is_none());
            assert!(frames.buffer.capacity() < 2 << 20, "{} bytes are held", frames.buffer.capacity());
        }
    }

    #[test]
    fn h85_many_files_of_one_directory_are_read_back() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_named(std::os::unix::ffi::OsStrExt::as_bytes(temp.path().as_os_str())).unwrap();
        // More than the longest frame holds.
        let many = || (0..17 * FILES + 5).map(|i| staged(&format!("{i:05}{}", "x".repeat(250))));
        let files = many().map(|file| (file.name, file.stamp)).collect();
        let known = Known::from([(b"d".to_vec(), files)]);
        let journal = Journal::create(&dir, b"j".to_vec(), header(), &known).unwrap();
        journal.append(&Frame::Dir { id: 0, parent: 0, name: vec![] });
        journal.append_files(0, many().collect());
        let before = journal.flush().unwrap();
        journal.append(&Frame::Proven { before });
        journal.flush().unwrap();
        let read = TreeRecord::open(&dir, b"j").unwrap().unwrap().known();
        assert_eq!((read.len(), &read[&b"d"[..]], &read[&b""[..]]), (2, &known[&b"d"[..]], &known[&b"d"[..]]));
    }

    #[test]
    fn h85_only_what_stands_before_a_barrier_is_known_to_be_durable() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_named(std::os::unix::ffi::OsStrExt::as_bytes(temp.path().as_os_str())).unwrap();
        let journal = Journal::create(&dir, b"j".to_vec(), header(), &Known::new()).unwrap();
        journal.append(&Frame::Dir { id: 0, parent: 0, name: vec![] });
        journal.append(&Frame::Files { dir: 0, files: vec![staged("before")] });
        let before = journal.flush().unwrap();
        // Staged while the barrier is under way: not covered by it, though written before its proof.
        journal.append(&Frame::Files { dir: 0, files: vec![staged("meanwhile")] });
        journal.append(&Frame::Proven { before });
        journal.append(&Frame::Files { dir: 0, files: vec![staged("after")] });
        journal.flush().unwrap();
        let record = TreeRecord::open(&dir, b"j").unwrap().unwrap();
        assert_eq!(record.frames().filter(|(_, frame)| matches!(frame, Frame::Files { .. })).count(), 3);
        let known = record.known();
        assert_eq!(known[&b""[..]].keys().collect::<Vec<_>>(), [&b"before".to_vec()]);
    }
}
