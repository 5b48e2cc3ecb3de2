//! A journal that is read back, by the run that wrote it or by a later one: frame by frame, never all of it at once.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::sys::{Dir, FileKind, Stat, open_regular, read_at};
use crate::transfer::record::{Unframed, unframe};

use super::frame::{Frame, Header, Known, LONGEST_FRAME};
use super::nodes::{Node, Nodes};

/// A journal that is read back, frame by frame: never all of it at once.
#[derive(Debug)]
pub(crate) struct TreeRecord {
    pub(crate) header: Header,
    file: OwnedFd,
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
    pub(super) fn of(file: &'a OwnedFd) -> Self {
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
    use crate::sys::{FileId, FileKind, Time};
    use crate::transfer::stamp::Stamp;
    use crate::transfer::tree::frame::StagedFile;
    use crate::transfer::tree::journal::{FILES, Journal};

    fn header() -> Header {
        let id = FileId { dev: 1, ino: 2 };
        Header {
            parent: id,
            parent_path: b"/p".to_vec(),
            name: b"n".to_vec(),
            source: id,
            target_name: b"t".to_vec(),
            stage_root: id,
            stage_born: None,
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
