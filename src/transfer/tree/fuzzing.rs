//! Body of the fuzz target for journals.

#![allow(clippy::missing_panics_doc, reason = "to panic is what they are for")]

use rustix::fs::{MemfdFlags, memfd_create};

use crate::sys::append_all;
use crate::transfer::record::is_name;

use super::frame::Frame;
use super::journal::Journal;
use super::nodes::{Node, Nodes};
use super::tree_record::TreeRecord;

/// Whatever a journal's file holds, only frames with the right checksum come out of it, up to the first that is wrong,
/// and what they say leads nowhere else.
pub fn journal(bytes: &[u8]) {
    read(bytes, usize::MAX);
    // Frames around its parts, so that they get past the checksum, and something wrong at the end. The first byte of each
    // part is its length.
    let (mut framed, mut rest, mut count) = (Vec::new(), bytes, 0);
    while let Some((&len, after)) = rest.split_first() {
        let (payload, after) = after.split_at(after.len().min(len.into()));
        framed.extend(u32::from(len).min(payload.len().try_into().unwrap_or(0)).to_le_bytes());
        framed.extend(crc32fast::hash(payload).to_le_bytes());
        framed.extend(payload);
        (rest, count) = (after, count + 1);
    }
    let end = framed.len();
    read(&framed, count);
    // A frame whose checksum is wrong, and behind it one that is right.
    framed.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
    framed.extend_from_within(..end);
    read(&framed, count);
}

/// Reads a journal. There are `most` whole frames in it.
fn read(bytes: &[u8], most: usize) {
    // No such file can be had where the kernel forbids it: nothing to learn there.
    let Ok(file) = memfd_create("journal", MemfdFlags::CLOEXEC) else { return };
    if append_all(&file, bytes).is_err() {
        return;
    }
    let Some(record) = TreeRecord::from_file(file) else { return };
    let nodes = Nodes::default();
    let mut count = 0;
    for (at, frame) in record.frames() {
        count += 1;
        let head = &bytes[usize::try_from(at).unwrap_or(usize::MAX)..];
        let len = usize::try_from(u32::from_le_bytes([head[0], head[1], head[2], head[3]])).unwrap_or(usize::MAX);
        assert_eq!(head[4..8], crc32fast::hash(&head[8..8 + len]).to_le_bytes(), "believed with a wrong checksum");
        match frame {
            Frame::Dir { id, parent, name } => {
                assert!(id == 0 || is_name(&name));
                nodes.add(Node { parent, name: name.into(), stat: None }, |_, _| {});
            }
            Frame::Files { dir, files } => {
                nodes.path(dir);
                assert!(files.iter().all(|file| is_name(&file.name)));
            }
            Frame::Known { files, .. } => assert!(files.iter().all(|file| is_name(&file.name))),
            Frame::Header(_) | Frame::Proven { .. } => {}
        }
    }
    assert!(count <= most, "{count} frames were believed, of {most}");
    // It ends, whatever leads to what.
    let known = record.known();
    let files: usize = known.values().map(std::collections::HashMap::len).sum();
    assert!(files <= bytes.len());
    let name = b"j0".to_vec();
    rewrite(&record, &name, known);
}

/// What is known is written to a new journal, and read back from it.
fn rewrite(record: &TreeRecord, name: &[u8], known: super::Known) {
    let Ok(file) = memfd_create("journal", MemfdFlags::CLOEXEC) else { return };
    let Ok(copy) = rustix::io::fcntl_dupfd_cloexec(&file, 0) else { return };
    let Ok(_) = Journal::begin(file, name.to_vec(), record.header.clone(), &known) else { return };
    let again = TreeRecord::from_file(copy).map(|again| (again.header.clone(), again.known()));
    // A directory in which nothing is known is not worth a frame.
    let known = known.into_iter().filter(|(_, files)| !files.is_empty()).collect();
    assert_eq!(again, Some((record.header.clone(), known)));
}
