//! Publishing a durable batch: each target appears under its name, whole, in one step.

use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Gathered, Outcome, Place, Settled, Verdict};
use crate::sys::{Durable, has_arrived, rename_replacing, unlink};

use super::staged::{Stage, Staged, StagedItem, withdraw};
use super::stamp::Stamp;
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
    pub(crate) fn publish(self, context: &Context, durable: Durable) -> (Option<Published>, Vec<Settled>) {
        drop(durable);
        let Self { source, target, items, record } = self;
        let mut settled = Vec::new();
        let mut failed: Vec<Option<Outcome>> = Vec::with_capacity(items.len());
        if let Ok(copying) = target.copying(context) {
            for index in 0..items.len() {
                failed.push(
                    publish_one(context, &source, &target, copying, &items, index)
                        .unwrap_or_else(|error| Some(Outcome::Failed(error))),
                );
            }
        }
        let mut published = Vec::with_capacity(items.len());
        for (one, failure) in items.into_iter().zip(failed) {
            match failure {
                None => published.push(one),
                Some(outcome) => settled.push(context.settle(&source, &target.place, one.item, outcome)),
            }
        }
        // The descriptors of unnamed files are closed here: they have names now.
        let items = published.into_iter().map(|one| StagedItem { stage: Stage::Named(Vec::new(), None), ..one });
        let published = Published { items: items.collect(), source, target, record: record.map(|(name, _)| name) };
        if published.items.is_empty() {
            // Before anybody learns that the batch is over: the stage directory is to be empty then.
            published.remove_record(context);
            return (None, settled);
        }
        (Some(published), settled)
    }
}

/// Publishes one item; an outcome if that is its end.
fn publish_one(
    context: &Context,
    source: &Place,
    target: &Target,
    copying: &Copying,
    items: &[StagedItem],
    index: usize,
) -> Result<Option<Outcome>> {
    let one = &items[index];
    let from = one.item.place.as_deref().unwrap_or(source);
    if let Err(error) = still_there(one, from) {
        withdraw(copying, &one.stage);
        return Err(error);
    }
    match Staged::publish_one(context, target, copying, items, index) {
        Ok(true) => {}
        Ok(false) => match target.judge(context, from, &one.item, &one.stat).map(|judged| judged.verdict) {
            Ok(Verdict::Skip) => {
                withdraw(copying, &one.stage);
                return Ok(Some(Outcome::Skipped));
            }
            Ok(_) => {
                // The old target is gone for good after this: it is not to go for a mixture.
                if let Err(error) = still_there(one, from) {
                    withdraw(copying, &one.stage);
                    return Err(error);
                }
                replace(target, copying, items, index)?;
            }
            Err(error) => {
                withdraw(copying, &one.stage);
                return Err(error);
            }
        },
        Err(error) => {
            withdraw(copying, &one.stage);
            return Err(cannot_publish(target, one, error));
        }
    }
    target.note_published(one.item.target_name());
    if one.item.links == Gathered::SoFar {
        context.links.note_single(one.stat.id, target, one.item.target_name());
    }
    Ok(None)
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

/// Puts a staged file in the place of an existing target, in one step.
fn replace(target: &Target, copying: &Copying, items: &[StagedItem], index: usize) -> Result<()> {
    let one = &items[index];
    let stage_dir = copying.stage_dir.dir();
    let file = match &one.stage {
        Stage::Unnamed(file) => Some(file),
        Stage::Link(first) => match &items[*first].stage {
            Stage::Unnamed(file) => Some(file),
            _ => None,
        },
        Stage::Named(..) => None,
    };
    let fresh = copying.stage_dir.fresh_name('s');
    let staged = match (&one.stage, file) {
        (Stage::Named(name, _), _) => name,
        (_, Some(file)) => {
            // linkat cannot replace; rename can, and wants a name.
            crate::sys::publish_unnamed(file, stage_dir, &fresh).map_err(|error| cannot_publish(target, one, error))?;
            &fresh
        }
        _ => return Err(cannot_publish(target, one, Errno::NOENT)),
    };
    let replaced = rename_replacing(stage_dir, staged, &target.place.dir, one.item.target_name());
    let arrived =
        |id| has_arrived(stage_dir, staged, &target.place.dir, one.item.target_name(), id).then_some(()).ok_or(());
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

fn cannot_publish(target: &Target, one: &StagedItem, source: Errno) -> Box<MoveError> {
    let path = target.path(&one.item);
    Box::new(match source {
        Errno::DQUOT | Errno::EXIST | Errno::ISDIR | Errno::MLINK | Errno::NOSPC | Errno::TXTBSY | Errno::NOTEMPTY => {
            MoveError::Overwrite { path, source }
        }
        _ => MoveError::Create { what: one.stat.kind.word(), path, source },
    })
}
