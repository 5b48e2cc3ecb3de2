//! The short way: one rename for each item, on one device.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result, is_of_target};
use crate::item::{Batch, Item, Outcome, Place, Settled, Verdict, Way};
use crate::sys::{
    FileKind, NoReplace, Stat, exchange, has_arrived, is_below, may_lack_flag, rename_noreplace, rename_replacing,
};

use super::flagless::{Carriage, Carrying, rename_for_good};
use super::judged::{Replaced, Replacement};
use super::other_name::{Placed, place_with_backup, take_kept_name};
use super::stage::Deferred;
use super::{Context, Target};

/// So often a target is judged that changes under our eyes.
pub(super) const PATIENCE: usize = 8;

/// What came of trying to rename a batch.
pub(crate) struct Attempted {
    pub(crate) settled: Vec<Settled>,
    /// Those that are on another device, or whose content has to be compared.
    pub(crate) copies: Option<Batch<Target>>,
    /// Those about which the user is to be asked, and directories that are to be merged.
    pub(crate) deferred: Vec<Deferred>,
}

enum Attempt {
    Settled(Outcome),
    OtherDevice,
    /// Its content has to be compared with its target's.
    Compare,
    /// It cannot be done without replacing, or so it seems.
    Flagless,
    /// The user is to be asked first.
    Ask,
    /// A directory is there, into which it is to be merged.
    Merge,
}

/// Renames what can be renamed.
pub(crate) fn rename_batch(context: &Context, batch: Batch<Target>) -> Attempted {
    let Batch { source, target, items } = batch;
    let may_rename = target.is_on_mount_of(&source);
    if !may_rename && context.way == Way::Any {
        let copies = Some(Batch { source, target, items });
        return Attempted { settled: Vec::new(), copies, deferred: Vec::new() };
    }
    let settled = Vec::with_capacity(items.len());
    let mut renamer = Renamer { context, source, target, settled, copies: Vec::new(), deferred: Vec::new() };
    let mut items = items.into_iter();
    for item in items.by_ref() {
        renamer.rename(item);
        if context.lacks_noreplace(&renamer.target.place.dir) && context.way != Way::Exchange {
            break;
        }
    }
    let rest: Vec<Item> = items.collect();
    if !rest.is_empty() {
        renamer.carry(rest);
    }
    let Renamer { source, target, settled, copies, deferred, .. } = renamer;
    let copies = (!copies.is_empty()).then_some(Batch { source, target, items: copies });
    Attempted { settled, copies, deferred }
}

/// Renames the items of one batch.
struct Renamer<'a> {
    context: &'a Context,
    source: Arc<Place>,
    target: Arc<Target>,
    settled: Vec<Settled>,
    copies: Vec<Item>,
    deferred: Vec<Deferred>,
}

impl Renamer<'_> {
    /// Renames an item, if its mount is not known to need another way.
    fn rename(&mut self, mut item: Item) {
        if self.context.lacks_noreplace(&self.target.place.dir) && self.context.way != Way::Exchange {
            return self.carry(vec![item]);
        }
        let attempt = if self.context.stop.is_set() {
            Err(Box::new(MoveError::NotReached { path: self.source.path_of(&item) }))
        } else {
            let from = Arc::clone(item.place_or(&self.source));
            match self.context.way {
                Way::Exchange => exchange_item(&from, &self.target, &item),
                Way::Any | Way::Rename => rename_item(self.context, &from, &self.target, &mut item),
            }
        };
        match attempt {
            Ok(Attempt::Flagless) => self.carry(vec![item]),
            attempt => self.settle(item, attempt),
        }
    }

    /// Moves items where renaming without replacing is not known.
    fn carry(&mut self, items: Vec<Item>) {
        let (context, source, target) = (self.context, Arc::clone(&self.source), Arc::clone(&self.target));
        Carrying::begin(context, &source, &target, items).go(&source, |mut item, carried| {
            let attempt = carried.and_then(|carried| match carried {
                Carriage::Done => Ok(done(context, &target, &item)),
                Carriage::Exists => {
                    let from = Arc::clone(item.place_or(&source));
                    rename_over(context, &from, &target, &mut item)
                }
                Carriage::OtherDevice => Ok(Attempt::OtherDevice),
            });
            self.settle(item, attempt);
        });
    }

    fn settle(&mut self, item: Item, attempt: Result<Attempt>) {
        let outcome = match attempt {
            // The stage sees to it that nothing is copied that is only to be compared.
            Ok(Attempt::Compare) => return self.copies.push(item),
            Ok(Attempt::OtherDevice) if self.context.way == Way::Any => return self.copies.push(item),
            Ok(Attempt::OtherDevice) => {
                let from = item.place_or(&self.source).path_of(&item);
                let to = self.target.path(&item);
                Outcome::Failed(Box::new(MoveError::Move { from, to, source: Errno::XDEV }))
            }
            Ok(Attempt::Ask) => {
                let source = Arc::clone(item.place_or(&self.source));
                let target = Arc::clone(&self.target);
                return self.deferred.push(Deferred::Ask { source, target, item });
            }
            Ok(Attempt::Merge) => {
                let source = Arc::clone(item.place_or(&self.source));
                let target = Arc::clone(&self.target);
                return self.deferred.push(Deferred::Merge { source, target, item });
            }
            Ok(Attempt::Settled(outcome)) => outcome,
            // The caller has seen to these.
            Ok(Attempt::Flagless) => return,
            Err(error) => Outcome::Failed(error),
        };
        self.settled.push(self.context.settle(&self.source, &self.target.place, &item, outcome));
    }
}

fn done(context: &Context, target: &Target, item: &Item) -> Attempt {
    target.note_published(context, item.target_name());
    if item.hint != Some(FileKind::Regular) {
        target.note_arrived(context, item.target_name());
    }
    Attempt::Settled(Outcome::Renamed)
}

/// A source's name for the kernel, which is to refuse what is not a directory where there was a slash.
fn name_of(item: &Item) -> Cow<'_, [u8]> {
    if item.only_directory { [&item.name, &b"/"[..]].concat().into() } else { Cow::Borrowed(&item.name) }
}

fn rename_item(context: &Context, from: &Arc<Place>, target: &Target, item: &mut Item) -> Result<Attempt> {
    let dir = &target.place.dir;
    // A server may say of a rename that it failed although it was done: only who has looked before can tell then.
    let before = if target.is_remote() { Stat::at(&from.dir, &item.name).ok() } else { None };
    target.note_given(context, item.target_name());
    match rename_noreplace(&from.dir, &name_of(item), dir, item.target_name()) {
        Ok(NoReplace::Renamed) => Ok(done(context, target, item)),
        Err(Errno::XDEV) => Ok(Attempt::OtherDevice),
        _ if before.is_some_and(|stat| has_arrived(&from.dir, &item.name, dir, item.target_name(), stat.id)) => {
            Ok(done(context, target, item))
        }
        Ok(NoReplace::Exists) => rename_over(context, from, target, item),
        Err(error) if may_lack_flag(error) => match explain(context, from, target, item, error) {
            into_itself if matches!(*into_itself, MoveError::IntoItself { .. }) => Err(into_itself),
            _ => Ok(Attempt::Flagless),
        },
        Err(error) => Err(explain(context, from, target, item, error)),
    }
}

/// The target exists: asks the policy.
fn rename_over(context: &Context, from: &Arc<Place>, target: &Target, item: &mut Item) -> Result<Attempt> {
    let stat = match Stat::at(&from.dir, &item.name) {
        Ok(stat) => stat,
        // The kernel looks for the source first: it was there when the target was in the way.
        Err(Errno::NOENT) => return Err(Box::new(MoveError::Vanished { path: from.path_of(item) })),
        Err(source) => return Err(Box::new(MoveError::Stat { path: from.path_of(item), source })),
    };
    for _ in 0..PATIENCE {
        let judged = target.judge(context, from, item, &stat)?;
        match (judged.verdict, judged.existing) {
            (Verdict::Skip, _) => return Ok(Attempt::Settled(Outcome::Skipped)),
            (Verdict::Ask, _) => return Ok(Attempt::Ask),
            (Verdict::Merge, _) => return Ok(Attempt::Merge),
            (Verdict::Compare, _) => return Ok(Attempt::Compare),
            (Verdict::KeepBoth, _) => return keep_both(context, from, target, item, &stat),
            (Verdict::BackUp, _) => {
                if let Some(attempt) = rename_with_backup(context, from, target, item, &stat)? {
                    return Ok(attempt);
                }
            }
            (Verdict::ReplaceJudged, Some(existing)) => {
                let replacement = Replacement { context, from, target, item, stat: &stat, existing: &existing };
                match replacement.make()? {
                    Replaced::Done => return Ok(done(context, target, item)),
                    Replaced::OtherDevice => return Ok(Attempt::OtherDevice),
                    // Judged again.
                    Replaced::Other => {}
                }
            }
            // What stood there has gone: nobody has judged what stands there next.
            (_, None) => match take_name(context, from, target, item, item.target_name(), &stat) {
                Ok(true) => return Ok(done(context, target, item)),
                Ok(false) => {}
                Err(error) => return failed(context, from, target, item, error),
            },
            (Verdict::Replace, Some(_)) => return replace(context, from, target, item, &stat),
            // A refusal is an error by now.
            (Verdict::Refuse(_), Some(_)) => return Err(explain(context, from, target, item, Errno::EXIST)),
        }
    }
    Err(explain(context, from, target, item, Errno::BUSY))
}

/// Replaces whatever stands at the target.
fn replace(context: &Context, from: &Place, target: &Target, item: &Item, stat: &Stat) -> Result<Attempt> {
    match rename_replacing(&from.dir, &name_of(item), &target.place.dir, item.target_name()) {
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
    Ok(done(context, target, item))
}

/// Renames to `new` in the target directory. Whether that name was free.
fn take_name(
    context: &Context,
    from: &Place,
    target: &Target,
    item: &Item,
    new: &[u8],
    stat: &Stat,
) -> std::result::Result<bool, Errno> {
    rename_for_good(context, (&from.dir, &name_of(item)), (&target.place.dir, new), Some(stat.id))
        .map(|renamed| renamed == NoReplace::Renamed)
}

/// A rename that failed: the other way, or the message.
fn failed(context: &Context, from: &Place, target: &Target, item: &Item, error: Errno) -> Result<Attempt> {
    match error {
        Errno::XDEV => Ok(Attempt::OtherDevice),
        error => Err(explain(context, from, target, item, error)),
    }
}

/// Gives the source the first name like its target's that is free.
fn keep_both(context: &Context, from: &Place, target: &Target, item: &mut Item, stat: &Stat) -> Result<Attempt> {
    let take = |new: &[u8]| take_name(context, from, target, item, new, stat);
    match take_kept_name(item.target_name(), take) {
        Ok(new) => {
            item.new_name = Some(new);
            Ok(done(context, target, item))
        }
        Err(error) => failed(context, from, target, item, error),
    }
}

/// Gives what stands at the target its backup name, and takes its place. None if something else has taken it by then:
/// that has to be judged anew.
fn rename_with_backup(
    context: &Context,
    from: &Place,
    target: &Target,
    item: &mut Item,
    stat: &Stat,
) -> Result<Option<Attempt>> {
    let take = || take_name(context, from, target, item, item.target_name(), stat);
    match place_with_backup(context, target, from, item, take)? {
        Placed::Done(backup) => {
            item.backup = backup;
            Ok(Some(done(context, target, item)))
        }
        Placed::Other => Ok(None),
        Placed::Failed(error) => failed(context, from, target, item, error).map(Some),
    }
}

/// Lets source and target change places.
fn exchange_item(from: &Place, target: &Target, item: &Item) -> Result<Attempt> {
    let stat = Stat::at(&from.dir, &item.name)
        .map_err(|source| Box::new(MoveError::Stat { path: from.path_of(item), source }))?;
    let fail = |source| {
        let (from, to) = (from.path_of(item), target.path(item));
        Box::new(MoveError::Exchange { from, to, source })
    };
    if item.only_directory && !stat.is_dir() {
        return Err(fail(Errno::NOTDIR));
    }
    exchange(&from.dir, &item.name, &target.place.dir, item.target_name()).map_err(fail)?;
    Ok(Attempt::Settled(Outcome::Exchanged))
}

/// What was written with a trailing slash is not a directory. mv tells a symlink to one from all else, which it cannot
/// even look at.
pub(super) fn not_a_directory(place: &Place, to: PathBuf, item: &Item, stat: &Stat) -> MoveError {
    let from = place.path_of(item);
    let leads = match stat.kind {
        FileKind::Symlink => Stat::at(&place.dir, &[&*item.name, b"/"].concat()).map(drop),
        _ => Err(Errno::NOTDIR),
    };
    match leads {
        Ok(()) => MoveError::Move { from, to, source: Errno::NOTDIR },
        Err(source) => MoveError::Stat { path: from, source },
    }
}

/// Puts what the kernel said about a rename into mv's words.
pub(super) fn explain(context: &Context, place: &Place, target: &Target, item: &Item, error: Errno) -> Box<MoveError> {
    let (from, to) = (place.path_of(item), target.path(item));
    Box::new(match error {
        // Which of the two is missing?
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => match Stat::at(&place.dir, &item.name) {
            Ok(stat) if item.only_directory && !stat.is_dir() => not_a_directory(place, to, item, &stat),
            Ok(_) => MoveError::Move { from, to, source: error },
            Err(source) => return target.missing(context, place, item, source),
        },
        Errno::INVAL => match Stat::at(&place.dir, &item.name) {
            Ok(stat) if stat.is_dir() && is_below(&target.place.dir, stat.id).unwrap_or(false) => {
                MoveError::IntoItself { from, to }
            }
            _ => MoveError::Move { from, to, source: error },
        },
        error if is_of_target(error) => MoveError::Overwrite { path: to, source: error },
        _ => MoveError::Move { from, to, source: error },
    })
}
