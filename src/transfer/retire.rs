//! Retiring sources: only once their targets' names are durable, and only if they are what was copied.

use rustix::io::Errno;

use crate::error::MoveError;
use crate::item::{Outcome, Settled};
use crate::sys::{Durable, FileKind, Stat, is_remote, unlink};

use super::Context;
use super::publish::Published;
use super::staged::{Stage, StagedItem};
use super::stamp::Stamp;

/// Whether a source stays that is what was copied.
fn is_stuck(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed(error) => matches!(**error, MoveError::Remove { source, .. } if source != Errno::NOENT),
        _ => false,
    }
}

impl Published {
    /// The target directory.
    pub(crate) fn target(&self) -> &std::sync::Arc<super::Target> {
        &self.target
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Removes each source that has not changed. Takes the proof that the targets' names are durable.
    pub(crate) fn retire(self, context: &Context, durable: Durable) -> Vec<Settled> {
        drop(durable);
        // A source with several names is looked at under all of them before the first one goes: removing one
        // changes what the others show.
        let may_go: Vec<Result<(), Box<MoveError>>> = self.items.iter().map(|one| self.check(one)).collect();
        let group_changed = |one: &StagedItem| {
            one.stat.links > 1
                && self.items.iter().zip(&may_go).any(|(other, check)| other.stat.id == one.stat.id && check.is_err())
        };
        let outcomes: Vec<Outcome> = self
            .items
            .iter()
            .map(|one| if group_changed(one) { Outcome::Failed(self.changed(one)) } else { self.unlink(one) })
            .collect();
        // What could not be removed is for the next run to remove, which has to know that these targets are ours.
        if !outcomes.iter().any(is_stuck) {
            self.spend_record(context);
        }
        let Self { source, target, items, .. } = self;
        items
            .into_iter()
            .zip(outcomes)
            .map(|(one, outcome)| {
                let mut settled = context.settle(&source, &target.place, &one.item, outcome);
                if let Some(paths) = &mut settled.paths {
                    paths.how = Some(one.how).filter(|_| one.stat.kind == FileKind::Regular);
                }
                Settled { warnings: one.warnings, ..settled }
            })
            .collect()
    }

    /// Keeps all sources, because the targets' names could not be made durable.
    pub(crate) fn keep(self, context: &Context, error: Errno) -> Vec<Settled> {
        // The record stays: a later run can tell by it that these targets are ours.
        let Self { source, target, items, .. } = self;
        let fail = |one: StagedItem| {
            let from = one.item.place_or(&source).path_of(&one.item);
            let failure = MoveError::NotDurable { from, to: target.path(&one.item), source: error };
            context.settle(&source, &target.place, &one.item, Outcome::Failed(Box::new(failure)))
        };
        items.into_iter().map(fail).collect()
    }

    /// Whether the source is still what was copied.
    fn check(&self, one: &StagedItem) -> Result<(), Box<MoveError>> {
        if one.stat.links == 1 {
            // Looked at right before its removal.
            return Ok(());
        }
        let place = one.item.place_or(&self.source);
        match Stamp::of(&one.stat).check(&place.dir, &one.item.name) {
            Ok(false) => Err(self.changed(one)),
            // If it is gone, removing it will say so.
            Ok(true) | Err(_) => Ok(()),
        }
    }

    fn changed(&self, one: &StagedItem) -> Box<MoveError> {
        let place = one.item.place_or(&self.source);
        Box::new(MoveError::Changed { from: place.path_of(&one.item), to: self.target.path(&one.item) })
    }

    fn unlink(&self, one: &StagedItem) -> Outcome {
        let place = one.item.place_or(&self.source);
        let name = &one.item.name;
        let failed = |source| {
            let (from, to) = (place.path_of(&one.item), self.target.path(&one.item));
            Outcome::Failed(Box::new(match source {
                Errno::NOENT => MoveError::VanishedOnTheWay { from, to },
                source => MoveError::Remove { path: from, source },
            }))
        };
        match Stamp::of(&one.stat).check(&place.dir, name) {
            Ok(true) => {}
            Ok(false) => return Outcome::Failed(self.changed(one)),
            Err(source) => return failed(source),
        }
        // Nothing was published for it: the target is the only copy, and must still be there.
        if let Stage::Present(was, _) = &one.stage {
            match was.check(&self.target.place.dir, one.item.target_name()) {
                Ok(true) => {}
                Ok(false) | Err(Errno::NOENT) => {
                    let path = self.target.path(&one.item);
                    return Outcome::Failed(Box::new(MoveError::NotReplaced { path }));
                }
                Err(source) => return failed(source),
            }
        }
        match unlink(&place.dir, name) {
            Ok(()) if matches!(one.stage, Stage::Present(..)) => Outcome::Dropped,
            Ok(()) => Outcome::Copied { bytes: one.bytes },
            // It was there a moment ago, and is gone: a server that was asked twice, because its first answer was lost.
            Err(_) if is_remote(&place.dir) && Stat::at(&place.dir, name) == Err(Errno::NOENT) => {
                Outcome::Copied { bytes: one.bytes }
            }
            Err(source) => failed(source),
        }
    }

    /// The sources have gone; should a power cut bring them back, the record is still needed.
    fn spend_record(&self, context: &Context) {
        if let Ok(copying) = self.target.copying(context) {
            let record = self.record.as_deref();
            let places = self.items.iter().map(|one| one.item.place.as_ref().unwrap_or(&self.source));
            copying.spent.add(context, &copying.stage_dir, record, places);
        }
    }

    /// Removes the record at once, since nothing that it speaks of was published.
    pub(super) fn remove_record(&self, context: &Context) {
        if let (Some(name), Ok(copying)) = (&self.record, self.target.copying(context)) {
            // A record that stays is read by the next run, which finds everything done.
            unlink(copying.stage_dir.dir(), name).ok();
        }
    }
}
