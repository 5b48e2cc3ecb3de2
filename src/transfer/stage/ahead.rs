//! What can be known of an item before anything is copied: that it is one more name of what is staged already, that it
//! cannot be moved at all, or that its target makes copying unnecessary.

use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Conflict, Gathered, How, Item, Outcome, Place, Verdict, Way};
use crate::sys::{FileKind, Stat, lock, lock_shared, may_be_one_file, open_regular};
use crate::transfer::compare::is_identical;
use crate::transfer::dress::Warnings;
use crate::transfer::rename::not_a_directory;
use crate::transfer::stage_dir::supported;
use crate::transfer::staged::{Held, Stage, StagedItem};
use crate::transfer::stamp::Stamp;
use crate::transfer::target::Judgement;
use crate::transfer::{Context, Target};

use super::{Deferred, Done, Part, Stager};

/// A file of this size or more is worth a look at its target before it is copied for nothing. Bytes.
const WORTH_A_LOOK: u64 = 128 << 10;

/// Settles what can be settled without a stage directory, which would change the target directory's times: items that come
/// before the first that is copied.
pub(super) fn settle_ahead(
    context: &Context,
    source: &Arc<Place>,
    target: &Arc<Target>,
    items: Vec<Item>,
    part: &mut Part,
) -> Vec<Item> {
    let mut items = items.into_iter();
    let mut rest = Vec::with_capacity(items.len());
    while !target.is_prepared()
        && rest.is_empty()
        && !context.stop.is_set()
        && let Some(item) = items.next()
    {
        let from = item.place.as_ref().unwrap_or(source);
        let stat = Stat::at(&from.dir, &item.name).ok();
        let judge = |stat: &Stat| {
            Stat::at(&target.place.dir, item.target_name()).ok()?;
            match target.judge(context, from, &item, stat) {
                Ok(Judgement { verdict: Verdict::Skip, .. }) => Some(Outcome::Skipped),
                Ok(_) => None,
                Err(error) => Some(Outcome::Failed(error)),
            }
        };
        match stat {
            Some(stat) if item.only_directory && !stat.is_dir() => {
                let refused = not_a_directory(from, target.path(&item), &item, &stat);
                part.settled.push(context.settle(source, &target.place, &item, Outcome::Failed(Box::new(refused))));
            }
            Some(stat) if stat.is_dir() && context.way == Way::Any => {
                let (source, target) = (Arc::clone(from), Arc::clone(target));
                part.deferred.push(Deferred::Tree { source, target, item });
            }
            Some(stat) => match judge(&stat) {
                Some(outcome) => part.settled.push(context.settle(source, &target.place, &item, outcome)),
                None => rest.push(item),
            },
            None => rest.push(item),
        }
    }
    rest.extend(items);
    rest
}

impl Stager<'_> {
    /// What can be known to fail, or to be unnecessary, before anything is copied.
    pub(super) fn before_copying(
        &self,
        item: &Item,
        stat: &Stat,
        earlier: &[StagedItem],
        warnings: &mut Warnings,
    ) -> Result<Option<Done>> {
        // What is not copied is no link to what is.
        if self.context.policy.conflict == Conflict::DropIdentical
            && let Some(done) = self.look_ahead(item, stat)?
        {
            return Ok(Some(done));
        }
        if stat.links > 1 {
            if item.links == Gathered::No {
                return Ok(Some(Done::Linked(stat.id, stat.links)));
            }
            if let Some(index) =
                earlier.iter().position(|other| other.stat.id == stat.id && !matches!(other.stage, Stage::Present(..)))
            {
                match self.link(item, stat, index, earlier) {
                    // No (more) links to be had here: a copy, then.
                    Err(error @ (Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)) => {
                        warnings.links(self.context, &self.target.path(item), error)?;
                    }
                    linked => return linked.map(Some).map_err(|error| self.cannot_create(item, error)),
                }
            }
        }
        if self.context.links.may_know(stat) {
            // A tree of this run may hold the file already, or another name of it has gone before.
            let name = self.copying.stage_dir.fresh_name('s');
            let source = (&self.from.dir, &*item.name, stat);
            match self.context.links.link(source, self.copying.stage_dir.dir(), &name) {
                Ok(()) => return Ok(Some(Done::link(item, stat, Stage::Named(name, None), None))),
                Err(Errno::NOENT) => {}
                Err(error) => warnings.links(self.context, &self.target.path(item), error)?,
            }
        }
        if stat.is_mount_root {
            let (from, to) = (self.from.path_of(item), self.target.path(item));
            return Err(Box::new(MoveError::Move { from, to, source: Errno::BUSY }));
        }
        if let Err(source) = self.from.can_remove(stat) {
            return Err(Box::new(MoveError::Remove { path: self.from.path_of(item), source }));
        }
        if let Some(done) = self.look_ahead(item, stat)? {
            return Ok(Some(done));
        }
        // It came here to be compared only.
        if self.context.way == Way::Any { Ok(None) } else { Err(self.not_copied(item)) }
    }

    pub(super) fn not_copied(&self, item: &Item) -> Box<MoveError> {
        let (from, to) = (self.from.path_of(item), self.target.path(item));
        Box::new(MoveError::Move { from, to, source: Errno::XDEV })
    }

    /// What need not be copied, because of what stands at the target. Publishing asks again.
    fn look_ahead(&self, item: &Item, stat: &Stat) -> Result<Option<Done>> {
        let policy = &self.context.policy;
        // To copy a small file costs less than to look, unless many targets are expected to exist.
        if policy.is_plain() && stat.size < WORTH_A_LOOK
            || Stat::at(&self.target.place.dir, item.target_name()).is_err()
        {
            return Ok(None);
        }
        let judged = self.target.judge(self.context, self.from, item, stat)?;
        match (judged.verdict, judged.existing) {
            (Verdict::Skip, _) => Ok(Some(Done::Settled(Outcome::Skipped))),
            (Verdict::Ask, _) => Ok(Some(Done::Ask)),
            (Verdict::Compare, Some(existing)) => self.compare(item, stat, &existing).map(Some),
            _ => Ok(None),
        }
    }

    /// Compares a file with its target, which is to stay if both have the same content.
    fn compare(&self, item: &Item, stat: &Stat, existing: &Stat) -> Result<Done> {
        let (from, to) = (self.from.path_of(item), self.target.path(item));
        let (dir, new_name) = (&self.target.place.dir, item.target_name());
        if may_be_one_file(&self.from.dir, dir) {
            return Err(Box::new(MoveError::MaybeOne { from, to }));
        }
        let read = |source| MoveError::Read { path: to.clone(), source };
        self.from.can_remove(stat).map_err(|source| MoveError::Remove { path: from.clone(), source })?;
        let held = if existing.kind == FileKind::Regular && stat.kind == FileKind::Regular {
            Some(self.hold_both(item, stat).map_err(read)?)
        } else {
            None
        };
        if !is_identical(&self.from.dir, &item.name, stat, dir, new_name, existing).map_err(read)? {
            return Err(Box::new(MoveError::NotReplaced { path: to }));
        }
        if let Some(held) = &held {
            self.sync_each(&held.target, &from, &to)?;
        }
        let (stage, item) = (Stage::Present(Stamp::of(existing), held), item.clone());
        Ok(Done::Staged(Box::new(StagedItem {
            item,
            stat: *stat,
            stage,
            staged_id: None,
            bytes: 0,
            how: How::default(),
            warnings: Vec::new(),
        })))
    }

    /// Opens a file and its target, and locks both until the file is removed: another run may be about to remove the target
    /// because this file is there.
    fn hold_both(&self, item: &Item, stat: &Stat) -> std::result::Result<Held, Errno> {
        let source = self.context.locked(stat.id, || {
            let file = open_regular(&self.from.dir, &item.name)?;
            supported(lock(&file))?;
            Ok(file)
        })?;
        let target = open_regular(&self.target.place.dir, item.target_name())?;
        supported(lock_shared(&target))?;
        Ok(Held { _source: source, target })
    }

    /// Stages one more name for a file that `earlier[index]` has staged.
    fn link(&self, item: &Item, stat: &Stat, index: usize, earlier: &[StagedItem]) -> std::result::Result<Done, Errno> {
        let stage = match &earlier[index].stage {
            Stage::Named(first, _) => {
                let name = self.copying.stage_dir.fresh_name('s');
                let dir = self.copying.stage_dir.dir();
                crate::sys::link(dir, first, dir, &name)?;
                Stage::Named(name, None)
            }
            _ => Stage::Link(index),
        };
        Ok(Done::link(item, stat, stage, earlier[index].staged_id))
    }
}
