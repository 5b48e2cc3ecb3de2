//! The model's trees beside the file system's.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rustix::fs::FileType;

use super::world::{Ino, Kind, Roots, Side, World};
use crate::common::snapshot::{Content, Entry, Snapshot};

/// What differs between the tree in `dir` and the model's; empty if nothing does.
pub fn differences(world: &World, side: Side, roots: &Roots, dir: &Path) -> String {
    let actual = Snapshot::of(dir).without_root().without_holes();
    let expected = entries(world, side);
    let mut text = Vec::new();
    let actual_paths: Vec<String> = actual.paths().map(|path| path.to_string_lossy().into_owned()).collect();
    for path in actual_paths.iter().filter(|path| !expected.contains_key(*path)) {
        text.push(format!("{path}: should not be there"));
    }
    let first_names = link_groups(&expected);
    for (path, &ino) in &expected {
        match actual.get(path) {
            None => text.push(format!("{path}: is missing")),
            Some(entry) => {
                let is = describe(entry);
                let group = first_names.get(&ino).filter(|(_, count)| *count > 1).map(|(first, _)| first.clone());
                let should_be = expect(world, ino, entry, group.as_deref(), roots);
                if is != should_be {
                    text.push(format!("{path}: is {is}\n{path}: not {should_be}"));
                }
            }
        }
    }
    let lines: Vec<String> = text.iter().map(|line| format!("{side:?}: {line}\n")).collect();
    lines.concat()
}

/// All paths of a tree.
fn entries(world: &World, side: Side) -> BTreeMap<String, Ino> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![(World::top(side), String::new())];
    while let Some((dir, prefix)) = waiting.pop() {
        for (name, &ino) in world.children(dir).into_iter().flatten() {
            let path = format!("{prefix}{name}");
            waiting.push((ino, format!("{path}/")));
            found.insert(path, ino);
        }
    }
    found
}

/// The first name of each file on one side, and how many it has there.
fn link_groups(entries: &BTreeMap<String, Ino>) -> HashMap<Ino, (String, usize)> {
    let mut groups: HashMap<Ino, (String, usize)> = HashMap::new();
    for (path, &ino) in entries {
        groups.entry(ino).or_insert_with(|| (path.clone(), 0)).1 += 1;
    }
    groups
}

fn describe(entry: &Entry) -> String {
    let content = match (&entry.content, entry.kind) {
        (Content::None, FileType::Symlink) => entry.target.as_deref().unwrap_or(Path::new("")).display().to_string(),
        (content, _) => format!("{content:?}"),
    };
    let mode = if entry.kind == FileType::Symlink { 0 } else { entry.mode };
    let xattr = entry.xattrs.get(std::ffi::OsStr::new("user.k"));
    let group = entry.link_group.as_ref().map(|group| group.to_string_lossy().into_owned());
    text(entry.kind, mode, entry.mtime, xattr, group.as_deref(), &content)
}

/// What `entry` should be. Content that is too long to be kept in a snapshot is compared by its hash, and a time that
/// is not known is that of the entry.
fn expect(world: &World, ino: Ino, entry: &Entry, group: Option<&str>, roots: &Roots) -> String {
    let inode = world.get(ino);
    let (kind, content) = match &inode.kind {
        Kind::File(bytes) => (FileType::RegularFile, format!("{:?}", Content::of(bytes))),
        Kind::Dir(_) => (FileType::Directory, format!("{:?}", Content::None)),
        Kind::Symlink(text) => (FileType::Symlink, roots.fill_in(text)),
        Kind::Fifo => (FileType::Fifo, format!("{:?}", Content::None)),
    };
    let mode = if kind == FileType::Symlink { 0 } else { inode.mode };
    let mtime = inode.mtime.unwrap_or(entry.mtime);
    text(kind, mode, mtime, inode.xattr.as_ref(), group, &content)
}

fn text(
    kind: FileType,
    mode: u32,
    mtime: (i64, u32),
    xattr: Option<&Vec<u8>>,
    group: Option<&str>,
    content: &str,
) -> String {
    format!("{kind:?} {mode:04o} {}.{:09} xattr {xattr:?} links {group:?} {content}", mtime.0, mtime.1)
}
