//! What has to wait for the rest of its run: names of one file, and directories that share files. It is brought to its
//! end when the run is, or before something begins that may meet it.

use crate::item::{Batch, Gathered};

use super::Coordinator;
use crate::exec::groups::{Collected, Draft};

const TOO_MANY: &str = "too many directories share hard links: some of these links become copies";

impl Coordinator<'_> {
    /// Waits until everything before is settled: what is in flight, hard-link groups, directories that wait for each other,
    /// and directories that are being merged.
    pub(super) fn settle_all(&mut self, gathered: Gathered) -> anyhow::Result<()> {
        self.settle_fed(gathered)?;
        self.settle_merging(gathered)
    }

    /// The same, but for directories that are being merged.
    pub(super) fn settle_fed(&mut self, gathered: Gathered) -> anyhow::Result<()> {
        self.drain()?;
        // Names that share a file with what is in trees find it there now.
        while let Some(collected) = self.groups.take(self.permits, gathered) {
            self.begin_group(collected)?;
            self.drain()?;
            if gathered == Gathered::All {
                self.context.links.forget_singles();
            }
            if self.goals.is_full() {
                self.close_targets()?;
                if self.context.links.dirs_of_singles() >= self.context.open_dirs {
                    self.tally.warn(TOO_MANY);
                    self.context.links.forget_singles();
                }
            }
        }
        if gathered == Gathered::SoFar && !self.held.is_empty() {
            self.context.links.outlive_sources();
            self.retired_early += self.held.len();
            self.too_many_held |= self.retired_early >= self.context.open_dirs;
            self.retire_some()?;
        }
        self.retire_held()
    }

    /// Hands over groups of links, what goes to other directories when the names before it are there.
    pub(super) fn begin_group(&mut self, collected: Collected) -> anyhow::Result<()> {
        for (item, error) in collected.lost {
            self.refuse(&item, error);
        }
        for (round, drafts) in collected.rounds.into_iter().enumerate() {
            if round > 0 {
                self.drain()?;
            }
            for Draft { source, to, items } in drafts {
                match self.reopen_target(&to) {
                    Ok(target) => {
                        self.in_flight += items.len();
                        self.engine()?.0.batch(Batch { source, target, items });
                    }
                    Err(error) => items.iter().for_each(|item| self.refuse(item, error.clone())),
                }
            }
        }
        Ok(())
    }

    /// Lets go of directories that wait for each other, when there are more than can be held open. Links between them
    /// and those to come are lost, which is said.
    pub(super) fn retire_some(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.too_many_held) {
            self.tally.warn(TOO_MANY);
            self.context.links.clear();
            self.retired_early = 0;
            self.retire_held()?;
        }
        Ok(())
    }

    /// Retires the directories that had to wait for each other. Each has passed both barriers.
    pub(super) fn retire_held(&mut self) -> anyhow::Result<()> {
        for tree in std::mem::take(&mut self.held) {
            let copying = tree.target().copying(&self.context).map_err(std::io::Error::from)?;
            match copying.barrier.waived() {
                Ok(durable) => {
                    self.in_flight += 1;
                    self.trees_open += 1;
                    self.engine()?.0.retire(tree, durable);
                }
                Err(error) => {
                    let settled = tree.keep(&self.context, error);
                    self.end(settled);
                }
            }
        }
        self.drain()
    }
}
