//! Publishing a durable batch: each target appears under its name, whole, in one step.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result, is_of_target};
use crate::item::{Gathered, Outcome, Place, Settled, Verdict};
use crate::sys::{Durable, Stat, has_arrived, publish_unnamed, rename_replacing, unlink};

use super::other_name::{Placed, place_with_backup, take_kept_name};
use super::rename::PATIENCE;
use super::stage::Deferred;
use super::staged::{Stage, Staged, StagedItem, withdraw};
use super::stamp::Stamp;
use super::swap::{Swapped, is_still, swap};
use super::target::Copying;
use super::{Context, Target};

/// A batch whose targets are there, but whose names may not be durable.
#[derive(Debug)]
pub(crate) struct Published {
    pub(super) source: Arc<Place>,
    pub(super) target: Arc<Target>,
    pub(super) items: Vec<StagedItem>,
    pub(super) record: Option<Vec<u8>>,
}

impl Staged {
    /// Publishes each item. Takes the proof that what is staged is durable.
    ///
    /// What meets an existing target is settled here if the policy says so. None is left if that was all.
    pub(crate) fn publish(self, context: &Context, durable: Durable) -> Publication {
        drop(durable);
        let Self { source, target, mut items, record } = self;
        let mut publication = Publication { published: None, settled: Vec::new(), deferred: Vec::new() };
        let mut ended: Vec<Result<End>> = Vec::with_capacity(items.len());
        if let Ok(copying) = target.copying(context) {
            for index in 0..items.len() {
                let end = publish_one(context, &source, &target, copying, &mut items, index);
                if !matches!(end, Ok(End::Published)) {
                    withdraw(copying, &items[index].stage);
                }
                ended.push(end);
            }
        }
        let mut published = Vec::with_capacity(items.len());
        for (one, end) in items.into_iter().zip(ended) {
            let outcome = match end {
                Ok(End::Published) => {
                    published.push(one);
                    continue;
                }
                Ok(End::Ask) => {
                    let source = Arc::clone(one.item.place_or(&source));
                    let target = Arc::clone(&target);
                    publication.deferred.push(Deferred::Ask { source, target, item: one.item });
                    continue;
                }
                Ok(End::Skipped) => Outcome::Skipped,
                Err(error) => Outcome::Failed(error),
            };
            publication.settled.push(context.settle(&source, &target.place, &one.item, outcome));
        }
        // The descriptors of unnamed files are closed here: they have names now.
        let close = |one: StagedItem| match one.stage {
            // Locked until the source has gone.
            Stage::Present(..) => one,
            _ => StagedItem { stage: Stage::Named(Vec::new(), None), ..one },
        };
        let items = published.into_iter().map(close).collect();
        let published = Published { items, source, target, record: record.map(|(name, _)| name) };
        if published.items.is_empty() {
            // Before anybody learns that the batch is over: the stage directory is to be empty then.
            published.remove_record(context);
        } else {
            publication.published = Some(published);
        }
        publication
    }
}

/// What came of publishing a batch.
pub(crate) struct Publication {
    pub(crate) published: Option<Published>,
    pub(crate) settled: Vec<Settled>,
    /// What has to be asked about, or compared, first.
    pub(crate) deferred: Vec<Deferred>,
}

/// What became of an item.
enum End {
    Published,
    Skipped,
    Ask,
}

/// Publishes one item. What is not published is for the caller to withdraw.
fn publish_one(
    context: &Context,
    source: &Place,
    target: &Target,
    copying: &Copying,
    items: &mut [StagedItem],
    index: usize,
) -> Result<End> {
    let place = items[index].item.place.clone();
    let from = place.as_deref().unwrap_or(source);
    still_there(&items[index], from)?;
    target.note_given(context, items[index].item.target_name());
    for _ in 0..PATIENCE {
        match Staged::give_name(context, target, copying, items, index) {
            Ok(true) => return Ok(published(context, target, &items[index])),
            Ok(false) => {}
            Err(error) => return Err(cannot_publish(target, &items[index], error)),
        }
        let one = &mut items[index];
        let judged = target.judge(context, from, &one.item, &one.stat)?;
        match (judged.verdict, judged.existing) {
            (Verdict::Skip, _) => return Ok(End::Skipped),
            (Verdict::Ask | Verdict::Compare, _) => return Ok(End::Ask),
            // It was compared with what is not there any more.
            _ if matches!(one.stage, Stage::Present(..)) => return Ok(End::Ask),
            (Verdict::KeepBoth, _) => return keep_both(context, target, copying, items, index),
            (Verdict::BackUp, _) => {
                if let Some(end) = publish_with_backup(context, from, target, copying, items, index)? {
                    return Ok(end);
                }
            }
            // What stood there has gone: nobody has judged what stands there next.
            (_, None) => {}
            (verdict, Some(existing)) => {
                // The old target is gone for good after this: it is not to go for a mixture.
                still_there(one, from)?;
                let is_done = match verdict {
                    Verdict::ReplaceJudged => replace_judged(from, target, copying, items, index, &existing)?,
                    Verdict::Replace => replace(target, copying, items, index).map(|()| true)?,
                    // Nothing that a file can meet, or an error by now.
                    _ => return Err(cannot_publish(target, &items[index], Errno::EXIST)),
                };
                if is_done {
                    return Ok(published(context, target, &items[index]));
                }
            }
        }
    }
    Err(cannot_publish(target, &items[index], Errno::BUSY))
}

fn published(context: &Context, target: &Target, one: &StagedItem) -> End {
    target.note_published(context, one.item.target_name());
    if one.item.links == Gathered::SoFar {
        context.links.note_single(one.stat.id, target, one.item.target_name());
    }
    End::Published
}

/// Publishes an item under the first name like its target's that is free.
fn keep_both(
    context: &Context,
    target: &Target,
    copying: &Copying,
    items: &mut [StagedItem],
    index: usize,
) -> Result<End> {
    let wanted = items[index].item.target_name().to_vec();
    let taken = take_kept_name(&wanted, |new| {
        items[index].item.new_name = Some(new.into());
        Staged::give_name(context, target, copying, items, index)
    });
    match taken {
        Ok(_) => Ok(published(context, target, &items[index])),
        Err(error) => Err(cannot_publish(target, &items[index], error)),
    }
}

/// Gives what stands at the target its backup name, and publishes the item in its place. None if something else has taken
/// it by then: that has to be judged anew.
fn publish_with_backup(
    context: &Context,
    from: &Place,
    target: &Target,
    copying: &Copying,
    items: &mut [StagedItem],
    index: usize,
) -> Result<Option<End>> {
    let take = || Staged::give_name(context, target, copying, items, index);
    match place_with_backup(context, target, from, &items[index].item, take)? {
        Placed::Done(backup) => {
            items[index].item.backup = backup;
            Ok(Some(published(context, target, &items[index])))
        }
        Placed::Other => Ok(None),
        Placed::Failed(error) => Err(cannot_publish(target, &items[index], error)),
    }
}

/// Whether the source is still there, and what was copied. What somebody else has moved meanwhile must not turn up a
/// second time: its target may have been taken further by now.
fn still_there(one: &StagedItem, from: &Place) -> Result<()> {
    let path = || from.path_of(&one.item);
    match Stamp::of(&one.stat).check(&from.dir, &one.item.name) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Box::new(MoveError::ChangedWhileRead { path: path() })),
        Err(Errno::NOENT) => Err(Box::new(MoveError::Vanished { path: path() })),
        Err(source) => Err(Box::new(MoveError::Stat { path: path(), source })),
    }
}

/// The open file that an item has staged without a name, or with one besides.
fn file_of(items: &[StagedItem], index: usize) -> Option<&OwnedFd> {
    let open = |stage| match stage {
        &Stage::Unnamed(ref file) | &Stage::Named(_, Some(ref file)) => Some(file),
        _ => None,
    };
    match &items[index].stage {
        Stage::Link(first) => open(&items[*first].stage),
        stage => open(stage),
    }
}

/// Puts a staged file in the place of an existing target, in one step.
fn replace(target: &Target, copying: &Copying, items: &[StagedItem], index: usize) -> Result<()> {
    let one = &items[index];
    let stage_dir = copying.stage_dir.dir();
    let fresh = copying.stage_dir.fresh_name('s');
    let staged = match (&one.stage, file_of(items, index)) {
        (Stage::Named(name, _), _) => name,
        (_, Some(file)) => {
            // linkat cannot replace; rename can, and wants a name.
            publish_unnamed(&copying.naming, file, stage_dir, &fresh)
                .map_err(|error| cannot_publish(target, one, error))?;
            &fresh
        }
        _ => return Err(cannot_publish(target, one, Errno::NOENT)),
    };
    let (dir, name) = (&target.place.dir, one.item.target_name());
    let replaced = rename_replacing(stage_dir, staged, dir, name);
    let arrived = |id| has_arrived(stage_dir, staged, dir, name, id).then_some(()).ok_or(());
    let replaced = replaced.or_else(|error| one.staged_id.map_or(Err(()), arrived).map_err(|()| error));
    if matches!(one.stage, Stage::Named(_, None) | Stage::Link(_)) && replaced.is_ok() {
        // Had the target become another link of what is staged, rename(2) would have said yes, and done nothing.
        unlink(stage_dir, staged).ok();
    }
    replaced.map_err(|error| {
        unlink(stage_dir, staged).ok();
        cannot_publish(target, one, error)
    })
}

/// Puts a staged file in the place of what was judged. False if something else stands there by now.
fn replace_judged(
    from: &Place,
    target: &Target,
    copying: &Copying,
    items: &mut [StagedItem],
    index: usize,
    judged: &Stat,
) -> Result<bool> {
    let room = copying.stage_dir.dir();
    let one = &items[index];
    let failed = |source| cannot_publish(target, one, source);
    let (to, new) = (&target.place.dir, one.item.target_name());
    let (staged, name) = name_for_swap(copying, items, index, judged).map_err(failed)?;
    let swapped = match swap((room, &name), &staged, (to, new), judged) {
        // All that there is, is a look just before.
        Ok(Swapped::Lacking) => match Stat::at(to, new) {
            Ok(now) if is_still(&now, judged) => rename_replacing(room, &name, to, new).map(|()| Swapped::Done),
            _ => Ok(Swapped::Other),
        },
        swapped => swapped,
    };
    let error = match &swapped {
        Ok(Swapped::Lost(kept)) => {
            let (from, to) = (from.path_of(&one.item), target.path(&one.item));
            Box::new(MoveError::Displaced { from, to, kept: target.place.path(kept) })
        }
        Ok(_) => failed(Errno::BUSY),
        Err(source) => failed(*source),
    };
    let is_ours = Stat::at(room, &name).is_ok_and(|now| now.id == staged.id);
    // It has a name from now on; unless somebody else's file has that, which is not to be withdrawn.
    let stage = if is_ours { name.clone() } else { Vec::new() };
    let file = match std::mem::replace(&mut items[index].stage, Stage::Named(Vec::new(), None)) {
        Stage::Unnamed(file) | Stage::Named(_, Some(file)) => Some(file),
        _ => None,
    };
    items[index].stage = Stage::Named(stage, file);
    match swapped {
        Ok(Swapped::Done) => {
            // What was replaced.
            unlink(room, &name).ok();
            Ok(true)
        }
        Ok(Swapped::Other) => Ok(false),
        _ => Err(error),
    }
}

/// Gives a stage a name under which it can change places.
fn name_for_swap(
    copying: &Copying,
    items: &[StagedItem],
    index: usize,
    judged: &Stat,
) -> std::result::Result<(Stat, Vec<u8>), Errno> {
    let room = copying.stage_dir.dir();
    if let Stage::Named(old, _) = &items[index].stage {
        let staged = Stat::at(room, old)?;
        let name = copying.stage_dir.swap_name(staged.id, judged.id);
        rename_replacing(room, old, room, &name)?;
        return Ok((staged, name));
    }
    let file = file_of(items, index).ok_or(Errno::NOENT)?;
    let staged = Stat::of(file)?;
    let name = copying.stage_dir.swap_name(staged.id, judged.id);
    publish_unnamed(&copying.naming, file, room, &name)?;
    Ok((staged, name))
}

fn cannot_publish(target: &Target, one: &StagedItem, source: Errno) -> Box<MoveError> {
    let path = target.path(&one.item);
    Box::new(if is_of_target(source) {
        MoveError::Overwrite { path, source }
    } else {
        MoveError::Create { what: one.stat.kind.word(), path, source }
    })
}
