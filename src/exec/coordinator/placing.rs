//! From items to batches: each item finds its target directory, goes on where an ended run was interrupted, and joins what
//! goes the same way.

use std::sync::Arc;

use crate::error::Quoted;
use crate::exec::work::Waiting;
use crate::item::{Batch, Below, Gathered, Item, Outcome, Place, Standing, Way};
use crate::sys::{Stat, is_below};
use crate::transfer::{Resumed, Target};

use super::{BATCH, COPIED_ON_ONE_MOUNT, Coordinator, RENAME_BATCH};

impl Coordinator<'_> {
    /// Adds an item to what goes to its target directory.
    pub(super) fn place(
        &mut self,
        source: Arc<Place>,
        below: Option<&Below>,
        item: Item,
        is_only: bool,
    ) -> anyhow::Result<()> {
        let Some(below) = below else {
            let target = Arc::clone(self.planner.target());
            return self.add(source, target, item, is_only);
        };
        let target = match self.target_below(below)? {
            Ok(target) => target,
            Err(error) => {
                self.refuse(&item, error);
                return Ok(());
            }
        };
        let standing = self.planner.reserve(&target, &source, &item);
        let item = Item { standing, ..item };
        if standing == Standing::Free {
            // Not alone: what has been made on the way there is made durable with everything else.
            return self.add(source, target, item, false);
        }
        drop(target);
        self.settle_all(Gathered::SoFar)?;
        self.add_below(source, below, item)
    }

    /// Adds an item when everything before it is settled, and waits for it.
    pub(super) fn place_alone(
        &mut self,
        source: Arc<Place>,
        below: Option<&Below>,
        item: Item,
        is_only: bool,
    ) -> anyhow::Result<()> {
        self.settle_all(Gathered::SoFar)?;
        if item.standing == Standing::Repeated && self.would_repeat(&source, &item) {
            self.tally.finish(item.order, Outcome::Skipped, None, Vec::new());
            return Ok(());
        }
        self.place(source, below, item, is_only)?;
        self.settle_all(Gathered::SoFar)
    }

    /// Whether a source is a directory that was to go into itself before. That is not said again, only that it is named twice.
    fn would_repeat(&mut self, source: &Place, item: &Item) -> bool {
        let target = &self.planner.target().place.dir;
        let is_into_itself = Stat::at(&source.dir, &item.name)
            .is_ok_and(|stat| stat.is_dir() && is_below(target, stat.id).unwrap_or(false));
        if is_into_itself {
            let path = source.path_of(item);
            self.tally.warn(&format!("source directory {} specified more than once", Quoted(&path)));
        }
        is_into_itself
    }

    /// Adds an item whose name is reserved, and waits for it.
    fn add_below(&mut self, source: Arc<Place>, below: &Below, item: Item) -> anyhow::Result<()> {
        match self.target_below(below)? {
            Ok(target) => self.add(source, target, item, false)?,
            Err(error) => self.refuse(&item, error),
        }
        self.settle_all(Gathered::SoFar)
    }

    /// Adds an item to the open batch, or goes on with it where an ended run was interrupted.
    pub(super) fn add(
        &mut self,
        source: Arc<Place>,
        target: Arc<Target>,
        item: Item,
        is_only: bool,
    ) -> anyhow::Result<()> {
        let Some(item) = self.resume(&source, &target, item)? else { return Ok(()) };
        if self.may_ask(&target, &item) {
            // Of what is being merged, others may wait for their other names.
            if item.within.is_some() || self.merging.is_at_work() {
                self.drain()?;
            } else {
                self.settle_all(Gathered::SoFar)?;
            }
            self.note_question(source, target, item);
            return self.answer_questions();
        }
        if self
            .open
            .as_ref()
            .is_some_and(|open| !Arc::ptr_eq(&open.source, &source) || !Arc::ptr_eq(&open.target, &target))
        {
            self.flush()?;
        }
        let most = self.most_in_batch(&source, &target);
        let room = self.usual_items.min(most);
        let open = self.open.get_or_insert_with(|| Batch { source, target, items: Vec::with_capacity(room) });
        open.items.push(item);
        let is_full = open.items.len() >= most;
        if is_only {
            self.move_here()
        } else if is_full {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Goes on with an item where an ended run was interrupted; gives it back if that run knew nothing of it.
    fn resume(&mut self, source: &Arc<Place>, target: &Arc<Target>, item: Item) -> anyhow::Result<Option<Item>> {
        // To let two names change places is never what an ended run was about.
        if !target.has_leftovers() || self.context.way == Way::Exchange {
            return Ok(Some(item));
        }
        let (order, within) = (item.order, item.within);
        match target.resume(&self.context, source, item) {
            Resumed::Afresh(item) => return Ok(Some(item)),
            Resumed::Settled(outcome) => {
                if let Outcome::Failed(error) = &outcome {
                    self.context.note_failure(error);
                }
                let stays = matches!(outcome, Outcome::Failed(_));
                self.merging.note_end(within, stays);
                self.tally.finish(order, outcome, None, Vec::new());
            }
            Resumed::Tree(job) => {
                self.in_flight += 1;
                self.trees.push_back(*job);
                self.begin_tree()?;
            }
            Resumed::Published(tree) => {
                self.in_flight += 1;
                self.trees_open += 1;
                self.engine()?.0.go_on(Waiting::PublishedTree(tree));
            }
        }
        Ok(None)
    }

    /// How many items a batch between the two has at most.
    fn most_in_batch(&self, source: &Place, target: &Target) -> usize {
        let most = match target.is_on_mount_of(source) {
            // Even what is on one mount may have to be copied (subvolumes, quota projects), and then holds descriptors.
            true if self.has_met_copies() => COPIED_ON_ONE_MOUNT,
            true => RENAME_BATCH,
            false => BATCH,
        };
        most.min(self.permits)
    }
}
