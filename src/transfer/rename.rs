//! The short way: one rename for each item, on one device.

use std::path::PathBuf;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Batch, Item, Outcome, Place, Settled, Verdict};
use crate::sys::{FileKind, NoReplace, Stat, is_below, rename_noreplace, rename_replacing};

use super::{Context, Target};

/// What came of trying to rename a batch.
pub(crate) struct Attempted {
    pub(crate) settled: Vec<Settled>,
    /// Those that are on another device.
    pub(crate) copies: Option<Batch<Target>>,
}

enum Attempt {
    Settled(Outcome),
    OtherDevice,
}

/// Renames what can be renamed.
pub(crate) fn rename_batch(context: &Context, batch: Batch<Target>) -> Attempted {
    let Batch { source, target, items } = batch;
    // rename(2): two mounts never rename into each other, whatever they show. The device number would not do:
    // overlays, subvolumes and quota projects give EXDEV, or don't, file by file.
    if source.dir.stat().mount != target.place.dir.stat().mount {
        return Attempted { settled: Vec::new(), copies: Some(Batch { source, target, items }) };
    }
    let mut settled = Vec::with_capacity(items.len());
    let mut copies = Vec::new();
    for item in items {
        if context.stop.is_set() {
            let path = source.path_of(&item);
            let outcome = Outcome::Failed(Box::new(MoveError::NotReached { path }));
            settled.push(context.settle(&source, &target.place, item, outcome));
            continue;
        }
        let from = item.place.clone().unwrap_or_else(|| source.clone());
        match rename_item(context, &from, &target, &item) {
            Ok(Attempt::OtherDevice) => copies.push(item),
            Ok(Attempt::Settled(outcome)) => settled.push(context.settle(&source, &target.place, item, outcome)),
            Err(error) => settled.push(context.settle(&source, &target.place, item, Outcome::Failed(error))),
        }
    }
    let copies = (!copies.is_empty()).then_some(Batch { source, target, items: copies });
    Attempted { settled, copies }
}

fn rename_item(context: &Context, from: &Place, target: &Target, item: &Item) -> Result<Attempt> {
    let with_slash;
    let name: &[u8] = if item.only_directory {
        // The kernel is to refuse what is not a directory.
        with_slash = [&item.name, &b"/"[..]].concat();
        &with_slash
    } else {
        &item.name
    };
    let dir = &target.place.dir;
    match rename_noreplace(&from.dir, name, dir, item.target_name()) {
        Ok(NoReplace::Renamed) => {
            target.note_published(item.target_name());
            Ok(Attempt::Settled(Outcome::Renamed))
        }
        Ok(NoReplace::Exists) => rename_over(context, from, target, item, name),
        Err(Errno::XDEV) => Ok(Attempt::OtherDevice),
        Err(error) => Err(explain(context, from, target, item, error)),
    }
}

/// The target exists: asks the policy.
fn rename_over(context: &Context, from: &Place, target: &Target, item: &Item, name: &[u8]) -> Result<Attempt> {
    let stat = match Stat::at(&from.dir, &item.name) {
        Ok(stat) => stat,
        // The kernel looks for the source first: it was there when the target was in the way.
        Err(Errno::NOENT) => return Err(Box::new(MoveError::Vanished { path: from.path_of(item) })),
        Err(source) => return Err(Box::new(MoveError::Stat { path: from.path_of(item), source })),
    };
    match target.judge(context, from, item, &stat)? {
        Verdict::Skip => return Ok(Attempt::Settled(Outcome::Skipped)),
        Verdict::Replace | Verdict::Refuse(_) => {}
    }
    match rename_replacing(&from.dir, name, &target.place.dir, item.target_name()) {
        Ok(()) => {}
        Err(Errno::XDEV) => return Ok(Attempt::OtherDevice),
        Err(error) => return Err(explain(context, from, target, item, error)),
    }
    // rename(2) leaves two links of one inode alone and says yes: had the target become one since the look,
    // the source would still be there.
    if Stat::at(&from.dir, &item.name).is_ok_and(|now| now.id == stat.id) {
        let (from, to) = (from.path_of(item), target.path(item));
        return Err(Box::new(MoveError::SameFile { from, to }));
    }
    target.note_published(item.target_name());
    Ok(Attempt::Settled(Outcome::Renamed))
}

/// What was written with a trailing slash is not a directory. mv tells a symlink to one from other files.
pub(super) fn not_a_directory(from: PathBuf, to: PathBuf, stat: &Stat) -> MoveError {
    let source = Errno::NOTDIR;
    match stat.kind {
        FileKind::Symlink => MoveError::Move { from, to, source },
        _ => MoveError::Stat { path: from, source },
    }
}

/// Puts what the kernel said about a rename into mv's words.
fn explain(context: &Context, place: &Place, target: &Target, item: &Item, error: Errno) -> Box<MoveError> {
    let (from, to) = (place.path_of(item), target.path(item));
    Box::new(match error {
        // Which of the two is missing?
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => match Stat::at(&place.dir, &item.name) {
            Ok(stat) if item.only_directory && !stat.is_dir() => not_a_directory(from, to, &stat),
            Ok(_) => MoveError::Move { from, to, source: error },
            Err(source) => return target.missing(context, place, item, source),
        },
        Errno::INVAL => match Stat::at(&place.dir, &item.name) {
            Ok(stat) if stat.is_dir() && is_below(&target.place.dir, stat.id).unwrap_or(false) => {
                MoveError::IntoItself { from, to }
            }
            _ => MoveError::Move { from, to, source: error },
        },
        Errno::DQUOT | Errno::EXIST | Errno::ISDIR | Errno::MLINK | Errno::NOSPC | Errno::TXTBSY | Errno::NOTEMPTY => {
            MoveError::Overwrite { path: to, source: error }
        }
        _ => MoveError::Move { from, to, source: error },
    })
}
