//! The short way: one rename for each item, on one device.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Batch, Item, Outcome, Place, Settled, Verdict};
use crate::sys::{FileKind, NoReplace, Stat, has_arrived, is_below, may_lack_flag, rename_noreplace, rename_replacing};

use super::flagless::{Carriage, Carrying};
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
    /// It cannot be done without replacing, or so it seems.
    Flagless,
}

/// Renames what can be renamed.
pub(crate) fn rename_batch(context: &Context, batch: Batch<Target>) -> Attempted {
    let Batch { source, target, items } = batch;
    // rename(2): two mounts never rename into each other, whatever they show. The device number would not do:
    // overlays, subvolumes and quota projects give EXDEV, or don't, file by file.
    if source.dir.stat().mount != target.place.dir.stat().mount {
        return Attempted { settled: Vec::new(), copies: Some(Batch { source, target, items }) };
    }
    let mut renamer = Renamer { context, source, target, settled: Vec::with_capacity(items.len()), copies: Vec::new() };
    let mut items = items.into_iter();
    for item in items.by_ref() {
        renamer.rename(item);
        if context.lacks_noreplace(&renamer.target.place.dir) {
            break;
        }
    }
    let rest: Vec<Item> = items.collect();
    if !rest.is_empty() {
        renamer.carry(rest);
    }
    let Renamer { source, target, settled, copies, .. } = renamer;
    let copies = (!copies.is_empty()).then_some(Batch { source, target, items: copies });
    Attempted { settled, copies }
}

/// Renames the items of one batch.
struct Renamer<'a> {
    context: &'a Context,
    source: Arc<Place>,
    target: Arc<Target>,
    settled: Vec<Settled>,
    copies: Vec<Item>,
}

impl Renamer<'_> {
    /// Renames an item, if its mount is not known to need another way.
    fn rename(&mut self, item: Item) {
        if self.context.lacks_noreplace(&self.target.place.dir) {
            return self.carry(vec![item]);
        }
        let attempt = if self.context.stop.is_set() {
            Err(Box::new(MoveError::NotReached { path: self.source.path_of(&item) }))
        } else {
            let from = item.place.as_deref().unwrap_or(&self.source);
            rename_item(self.context, from, &self.target, &item)
        };
        match attempt {
            Ok(Attempt::Flagless) => self.carry(vec![item]),
            attempt => self.settle(item, attempt),
        }
    }

    /// Moves items where renaming without replacing is not known.
    fn carry(&mut self, items: Vec<Item>) {
        let (context, source, target) = (self.context, Arc::clone(&self.source), Arc::clone(&self.target));
        Carrying::begin(context, &source, &target, items).go(&source, |item, carried| {
            let attempt = carried.and_then(|carried| match carried {
                Carriage::Done => Ok(done(&target, &item)),
                Carriage::Exists => {
                    let from = item.place.as_deref().unwrap_or(&source);
                    rename_over(context, from, &target, &item, &item.name)
                }
                Carriage::OtherDevice => Ok(Attempt::OtherDevice),
            });
            self.settle(item, attempt);
        });
    }

    fn settle(&mut self, item: Item, attempt: Result<Attempt>) {
        let outcome = match attempt {
            Ok(Attempt::OtherDevice) => return self.copies.push(item),
            Ok(Attempt::Settled(outcome)) => outcome,
            // The caller has seen to these.
            Ok(Attempt::Flagless) => return,
            Err(error) => Outcome::Failed(error),
        };
        self.settled.push(self.context.settle(&self.source, &self.target.place, item, outcome));
    }
}

fn done(target: &Target, item: &Item) -> Attempt {
    target.note_published(item.target_name());
    Attempt::Settled(Outcome::Renamed)
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
    // A server may say of a rename that it failed although it was done: only who has looked before can tell then.
    let before = if target.is_remote() { Stat::at(&from.dir, &item.name).ok() } else { None };
    match rename_noreplace(&from.dir, name, dir, item.target_name()) {
        Ok(NoReplace::Renamed) => Ok(done(target, item)),
        Err(Errno::XDEV) => Ok(Attempt::OtherDevice),
        _ if before.is_some_and(|stat| has_arrived(&from.dir, &item.name, dir, item.target_name(), stat.id)) => {
            Ok(done(target, item))
        }
        Ok(NoReplace::Exists) => rename_over(context, from, target, item, name),
        Err(error) if may_lack_flag(error) => match explain(context, from, target, item, error) {
            into_itself if matches!(*into_itself, MoveError::IntoItself { .. }) => Err(into_itself),
            _ => Ok(Attempt::Flagless),
        },
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
    // The kernel looks at the target first: that there is one says nothing of the source.
    if item.only_directory && !stat.is_dir() {
        return Err(Box::new(not_a_directory(from.path_of(item), target.path(item), &stat)));
    }
    match target.judge(context, from, item, &stat)?.verdict {
        Verdict::Skip => return Ok(Attempt::Settled(Outcome::Skipped)),
        _ => {}
    }
    match rename_replacing(&from.dir, name, &target.place.dir, item.target_name()) {
        Ok(()) => {}
        Err(Errno::XDEV) => return Ok(Attempt::OtherDevice),
        Err(_) if has_arrived(&from.dir, &item.name, &target.place.dir, item.target_name(), stat.id) => {}
        Err(error) => return Err(explain(context, from, target, item, error)),
    }
    // rename(2) leaves two links of one inode alone and says yes: had the target become one since the look,
    // the source would still be there.
    if Stat::at(&from.dir, &item.name).is_ok_and(|now| now.id == stat.id) {
        let (from, to) = (from.path_of(item), target.path(item));
        return Err(Box::new(MoveError::SameFile { from, to }));
    }
    Ok(done(target, item))
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
pub(super) fn explain(context: &Context, place: &Place, target: &Target, item: &Item, error: Errno) -> Box<MoveError> {
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
