//! Intent records: what a batch is about to publish, durable before it does.
//!
//! A run that is killed between publishing and retiring leaves sources that are at their targets already.
//! The next run learns from the record that those targets are ours, and only finishes. A record says what a
//! source was when it was copied; it does not say that the target is a good copy: that is compared.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::item::{Item, Place};
use crate::sys::{Dir, FileId, FileKind, Stat, append_all, create_named, open_regular, read_at, unlink};

use super::stamp::Stamp;

/// What a batch is about to publish in one target directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The source directories, and where they were when this was written.
    pub(crate) parents: Vec<(FileId, Vec<u8>)>,
    pub(crate) entries: Vec<Intent>,
}

/// One source on its way to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// The source directory.
    pub(crate) parent: FileId,
    pub(crate) name: Vec<u8>,
    /// The target's name, where it is another.
    pub(crate) new_name: Option<Vec<u8>>,
    pub(crate) stamp: Stamp,
    pub(crate) way: Way,
}

/// How a source is to get to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    /// Its copy is published.
    Copied,
    /// In two steps that stand in for a rename: the source itself gets its new name, then loses its old one.
    Carried,
}

impl Intent {
    pub(crate) fn target_name(&self) -> &[u8] {
        self.new_name.as_deref().unwrap_or(&self.name)
    }
}

/// Puts a value into a frame: its length, a checksum, and the value. A frame that was cut off, or never
/// reached the disk, does not come out again.
pub(crate) fn frame<T: Serialize>(value: &T, into: &mut Vec<u8>) {
    // Only types of ours are put in, none of which postcard refuses; reading ends at an empty frame.
    let bytes = postcard::to_stdvec(value).unwrap_or_default();
    let Ok(len) = u32::try_from(bytes.len()) else { return };
    into.extend_from_slice(&len.to_le_bytes());
    into.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    into.extend_from_slice(&bytes);
}

/// What a frame begins with: its length and its checksum.
const FRAME_HEAD: usize = 8;

/// What bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unframed<T> {
    /// A whole frame, which has been taken off.
    Value(T),
    /// A frame that is so many bytes long, head included (as far as that can be told), and ends further on.
    CutOff(usize),
    /// Something that was never written as a frame.
    Wrong,
}

/// Takes the first frame off `bytes`.
pub(crate) fn unframe<T: DeserializeOwned>(bytes: &mut &[u8]) -> Unframed<T> {
    let Some((head, rest)) = bytes.split_first_chunk::<FRAME_HEAD>() else { return Unframed::CutOff(FRAME_HEAD) };
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    let Ok(len) = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])) else { return Unframed::Wrong };
    let Some(payload) = rest.get(..len) else { return Unframed::CutOff(FRAME_HEAD + len) };
    if crc32fast::hash(payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Unframed::Wrong;
    }
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => {
            *bytes = &rest[len..];
            Unframed::Value(value)
        }
        _ => Unframed::Wrong,
    }
}

/// Whether it can be one name in a directory: what is read back must not lead anywhere else.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// What the directory is called today that a record knows as `id`, at `path`: inode numbers last, but device numbers
/// are given out anew at every boot, and on btrfs at every mount.
///
/// Whatever has taken its place meanwhile may bear its number (the roots of all file systems of one kind do). So this
/// only says where to look: what is found there is compared, inode, times and all.
pub(crate) fn identity_now(id: FileId, path: &[u8]) -> FileId {
    match Dir::open_named(path) {
        Ok(dir) if dir.id().ino == id.ino => dir.id(),
        _ => id,
    }
}

impl Record {
    /// The record of items with what their sources are. `source` is the directory of those that have no other.
    pub(crate) fn of<'a>(source: &Arc<Place>, way: Way, items: impl Iterator<Item = (&'a Item, &'a Stat)>) -> Self {
        let mut parents = vec![(source.dir.id(), source.dir.absolute_path())];
        let mut entries = Vec::new();
        for (item, stat) in items {
            let place = item.place_or(source);
            if parents.iter().all(|(id, _)| *id != place.dir.id()) {
                parents.push((place.dir.id(), place.dir.absolute_path()));
            }
            entries.push(Intent {
                parent: place.dir.id(),
                name: item.name.to_vec(),
                new_name: item.new_name.as_deref().map(<[u8]>::to_vec),
                stamp: Stamp::of(stat),
                way,
            });
        }
        Self { parents, entries }
    }

    /// Writes the record under `name`, for the barrier that follows.
    pub(crate) fn write(&self, dir: &Dir, name: &[u8]) -> Result<OwnedFd, Errno> {
        let mut bytes = Vec::new();
        frame(self, &mut bytes);
        let file = create_named(dir, name, 0o600)?;
        append_all(&file, &bytes).inspect_err(|_| {
            // Half a record would be ignored, but it is litter.
            unlink(dir, name).ok();
        })?;
        Ok(file)
    }

    /// Reads a record that an ended run left: none if it is not whole.
    pub(crate) fn read(dir: &Dir, name: &[u8]) -> Result<Option<Self>, Errno> {
        if Stat::at(dir, name)?.kind != FileKind::Regular {
            return Ok(None);
        }
        let file = open_regular(dir, name)?;
        // Only what is as long as it says can be whole: whatever else it is, it is not read.
        let mut bytes = vec![0; FRAME_HEAD];
        read_whole(&file, &mut bytes)?;
        let Unframed::CutOff(len) = unframe::<Self>(&mut &*bytes) else { return Ok(None) };
        if Stat::of(&file)?.size != len as u64 {
            return Ok(None);
        }
        bytes.resize(len, 0);
        read_whole(&file, &mut bytes)?;
        Ok(Self::parse(&bytes).map(Self::today))
    }

    /// The same with the identities that the source directories have now.
    fn today(mut self) -> Self {
        let now: Vec<FileId> = self.parents.iter().map(|(id, path)| identity_now(*id, path)).collect();
        for intent in &mut self.entries {
            if let Some(index) = self.parents.iter().position(|(id, _)| *id == intent.parent) {
                intent.parent = now[index];
            }
        }
        for ((id, _), now) in self.parents.iter_mut().zip(now) {
            *id = now;
        }
        self
    }

    /// A record from the bytes of its file: none if it is not whole.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let Unframed::Value(record) = unframe::<Self>(&mut rest) else { return None };
        let is_sound = |intent: &Intent| is_name(&intent.name) && is_name(intent.target_name());
        (rest.is_empty() && record.entries.iter().all(is_sound)).then_some(record)
    }
}

/// Reads the beginning of a file, as far as it goes.
fn read_whole(file: &OwnedFd, bytes: &mut [u8]) -> Result<(), Errno> {
    let mut filled = 0;
    while filled < bytes.len() {
        match read_at(file, &mut bytes[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Time;
    use proptest::prelude::*;

    fn record(names: &[Vec<u8>]) -> Record {
        let time = Time { sec: 1, nsec: 2 };
        let stamp = Stamp { ino: 7, kind: FileKind::Regular, size: 9, mtime: time, ctime: time, links: 1 };
        let intent = |name: &Vec<u8>| Intent {
            parent: FileId { dev: 1, ino: 2 },
            name: name.clone(),
            new_name: None,
            stamp,
            way: Way::Copied,
        };
        Record { parents: Vec::new(), entries: names.iter().map(intent).collect() }
    }

    #[test]
    fn h71_what_is_no_record_is_not_read() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_named(std::os::unix::ffi::OsStrExt::as_bytes(temp.path().as_os_str())).unwrap();
        let file = std::fs::File::create_new(temp.path().join("r")).unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(Record::read(&dir, b"r"), Ok(None));
        let mut bytes = Vec::new();
        frame(&record(&[b"a".to_vec()]), &mut bytes);
        file.set_len(0).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
        assert_eq!(Record::read(&dir, b"r"), Ok(Some(record(&[b"a".to_vec()]))));
        file.set_len(bytes.len() as u64 + 1).unwrap();
        assert_eq!(Record::read(&dir, b"r"), Ok(None));
    }

    proptest! {
        #[test]
        fn p6_a_record_reads_back_as_it_was_written_and_not_at_all_when_damaged(
            names in proptest::collection::vec(proptest::collection::vec(b'0'..=255, 1..64), 0..8),
            cut in any::<prop::sample::Index>(), bit in 0..8_u8,
        ) {
            let record = record(&names);
            let mut bytes = Vec::new();
            frame(&record, &mut bytes);
            prop_assert_eq!(Record::parse(&bytes), Some(record));
            let at = cut.index(bytes.len());
            prop_assert_eq!(Record::parse(&bytes[..at]), None);
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Record::parse(&bytes), None);
        }
    }
}
