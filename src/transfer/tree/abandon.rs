//! Giving a tree up before it is published: nothing of it stays, or a stage that holds much work, for the next run.

use rustix::io::Errno;

use crate::error::MoveError;
use crate::item::{Outcome, Settled, Warning};
use crate::sys::Durability;
use crate::transfer::target::Copying;
use crate::transfer::{Context, SyncMode};

use super::clear_tree;
use super::frame::{Frame, Header};
use super::journal::Journal;
use super::stage::StagedTree;

/// A stage of this size or more is kept when its move is interrupted: copying it again would cost more than the
/// room it takes. Bytes.
const WORTH_KEEPING: u64 = 64 << 20;

impl StagedTree {
    /// Gives the tree up because its barrier failed, or because the run is to end.
    pub(crate) fn give_up(self, context: &Context, error: Errno) -> Settled {
        let (from, to) = (self.job.source.path_of(&self.job.item), self.job.target.path(&self.job.item));
        let error = match error {
            Errno::CANCELED => MoveError::NotReached { path: from },
            source => MoveError::NotDurable { from, to, source },
        };
        self.abandon(context, Box::new(error))
    }

    /// Ends the tree's move without publishing it, and keeps nothing of it.
    pub(super) fn discard(self, context: &Context, outcome: Outcome) -> Settled {
        let Self { job, header, journal, root, .. } = self;
        context.links.forget(&root);
        if let Ok(copying) = job.target.copying(context) {
            clear(copying, &header, journal);
        }
        job.settle(context, outcome)
    }

    /// Gives the tree up: the source stays whole. A stage that holds much work stays for the next run, unless it
    /// cannot be trusted or the target is full.
    pub(crate) fn abandon(self, context: &Context, error: Box<MoveError>) -> Settled {
        let Self { job, header, journal, root, bytes, reused, warnings, .. } = self;
        let bytes = bytes + reused;
        context.links.forget(&root);
        let Ok(copying) = job.target.copying(context) else {
            return job.settle(context, Outcome::Failed(error));
        };
        // Of a source that is gone nothing is left to go on with.
        let is_gone = matches!(*error, MoveError::Vanished { .. });
        let keeps = bytes >= WORTH_KEEPING
            && !is_gone
            && !error.is_fatal()
            && checkpoint(copying, context, &journal) == Ok(true);
        let mut outcome = error;
        if keeps {
            let stage = [&copying.stage_dir.relative_path(), &b"/"[..], &header.stage].concat();
            let kept = MoveError::Interrupted {
                from: job.source.path_of(&job.item),
                stage: job.target.place.path(&stage),
                bytes,
            };
            if matches!(*outcome, MoveError::NotReached { .. }) {
                outcome = Box::new(kept);
            } else {
                let mut settled = job.settle(context, Outcome::Failed(outcome));
                settled.warnings = warnings;
                let text = kept.to_string();
                settled.warnings.push(Warning { kind: text.clone(), text });
                return settled;
            }
        } else {
            clear(copying, &header, journal);
        }
        job.settle(context, Outcome::Failed(outcome))
    }
}

/// Removes a stage and its journal. What cannot be removed is cleared by the next run: without its journal nothing in it
/// is believed.
fn clear(copying: &Copying, header: &Header, journal: Journal) {
    clear_tree(copying.stage_dir.dir(), &header.stage, || copying.stage_dir.fresh_name('d')).ok();
    journal.remove(copying.stage_dir.dir());
}

/// Makes what the journal lists durable, and says so in it. False if the user does not ask for durability: then nothing is
/// proven.
pub(super) fn checkpoint(copying: &Copying, context: &Context, journal: &Journal) -> std::result::Result<bool, Errno> {
    let before = journal.flush()?;
    match copying.barrier.durability() {
        _ if context.sync == SyncMode::None => return Ok(false),
        Durability::Whole => drop(copying.barrier.sync_all()?),
        // Each file was synced when it was staged; what cannot last needs no barrier to be proven.
        Durability::Each | Durability::Never => {}
    }
    journal.append(&Frame::Proven { before });
    journal.flush()?;
    // A proof that is not on the disk itself would be lost with the power, and with it all the work since the one before.
    copying.barrier.sync_files([journal.file()]).map(|_| true)
}
