//! The directories that are made so that paths can be kept below DEST (`--parents`): like their sources, one by one, and
//! never by way of a symlink.

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Below, Place, path_from};
use crate::sys::{
    Dir, Durability, FileId, Stat, copy_attributes, create_private_dir, effective_user, give_mode, give_owner,
    give_times, remove_inherited_acl, unlink_dir,
};

use super::{Context, SyncMode};

/// The directories that a run has made.
#[derive(Debug, Default)]
pub(crate) struct MadeDirs(Vec<Made>);

/// One of them.
#[derive(Debug)]
struct Made {
    /// Its path below DEST.
    path: Box<[u8]>,
    id: FileId,
    /// What it is to be like in the end.
    like: Stat,
}

impl MadeDirs {
    /// Opens a directory below DEST, and makes what is not there of it.
    pub(crate) fn open(&mut self, context: &Context, dest: &Place, below: &Below) -> Result<Dir> {
        match dest.dir.open_far(&below.path) {
            Ok(dir) => return Ok(dir),
            Err(Errno::NOENT) => {}
            Err(source) => {
                return Err(Box::new(MoveError::Create { what: "directory", path: dest.path(&below.path), source }));
            }
        }
        let mut here: Option<Dir> = None;
        let mut path: Vec<u8> = Vec::new();
        for (name, &end) in below.path.split(|&byte| byte == b'/').zip(&below.ends) {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let into = here.as_ref().unwrap_or(&dest.dir);
            let create = |source| MoveError::Create { what: "directory", path: dest.path(&path), source };
            let next = match into.open_child(name) {
                Err(Errno::NOENT) => {
                    let like = source_dir(below, end)
                        .map_err(|source| MoveError::Stat { path: path_from(below.source[..end].to_vec()), source })?;
                    let dir = make_like(context, into, name, &like).map_err(create)?;
                    self.0.push(Made { path: path.clone().into(), id: dir.id(), like: *like.stat() });
                    dir
                }
                opened => opened.map_err(create)?,
            };
            here = Some(next);
        }
        here.ok_or_else(|| Box::new(MoveError::Target { path: dest.path(b""), source: Errno::NOENT }))
    }

    /// Removes those that have stayed empty, and gives the others mode and times: what came into them has changed these.
    /// Returns what could not be done.
    pub(crate) fn finish(&mut self, dest: &Place) -> Vec<MoveError> {
        let mut failed = Vec::new();
        // Children before parents.
        while let Some(made) = self.0.pop() {
            if let Err(source) = finish_one(&dest.dir, &made) {
                let path = dest.path(&made.path);
                failed.push(MoveError::Preserve { what: "times", path, source });
            }
        }
        failed
    }
}

/// The source directory whose path ends at `end`.
fn source_dir(below: &Below, end: usize) -> std::result::Result<Dir, Errno> {
    let trusted = below.trusted.min(end);
    if trusted == end {
        return Dir::open_named_far(&below.source[..end]);
    }
    let rest = &below.source[trusted..end];
    let start = rest.iter().position(|&byte| byte != b'/').unwrap_or(rest.len());
    Dir::open_named(&below.source[..trusted])?.open_far(&rest[start..])
}

/// Makes a directory like another one. For now its owner can do anything in it.
fn make_like(context: &Context, into: &Dir, name: &[u8], like: &Dir) -> std::result::Result<Dir, Errno> {
    // Opened before the first write, so that no error is missed.
    let barrier = context.barrier(into);
    match create_private_dir(into, name) {
        Ok(()) => {}
        // Somebody else was quicker: it is theirs.
        Err(Errno::EXIST) => return into.open_child(name),
        Err(error) => return Err(error),
    }
    let dir = into.open_child(name)?;
    let fd = dir.readable()?;
    let stat = like.stat();
    match give_owner(&fd, Some(stat.uid), stat.gid) {
        // Not ours to give away, or a file system without owners: silent, as mv. Its group, at least.
        Err(Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
            give_owner(&fd, None, stat.gid).ok();
        }
        given => given?,
    }
    remove_inherited_acl(&fd)?;
    if let Ok(source) = like.readable() {
        // What it cannot hold, or we cannot read, is no reason to leave files behind.
        copy_attributes(&source, &fd).ok();
    }
    match give_mode(&fd, lent(stat.mode)) {
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        given => given?,
    }
    if context.sync == SyncMode::Auto && barrier.durability() == Durability::Each {
        barrier.sync_dirs([&dir, into]).map(drop)?;
    }
    // What is published in it is durable only with its own name.
    context.sync_wholly();
    Ok(dir)
}

/// A mode with which files can be put into a directory.
fn lent(mode: u32) -> u32 {
    if effective_user() == 0 { mode } else { mode | 0o700 }
}

fn finish_one(dest: &Dir, made: &Made) -> std::result::Result<(), Errno> {
    let at = made.path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    let (parent, name) = made.path.split_at(at);
    // Somebody may have moved it on.
    let Ok(parent) = dest.open_far(parent.strip_suffix(b"/").unwrap_or(parent)) else { return Ok(()) };
    match parent.open_child(name) {
        Ok(dir) if dir.id() == made.id => {}
        Ok(_) | Err(_) => return Ok(()),
    }
    // Nothing has arrived in it: then it is as if it had never been made.
    if unlink_dir(&parent, name).is_ok() {
        return Ok(());
    }
    let dir = parent.open_child(name)?;
    let fd = dir.readable()?;
    if lent(made.like.mode) != made.like.mode {
        give_mode(&fd, made.like.mode)?;
    }
    match give_times(&fd, &made.like) {
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        given => given,
    }
}
