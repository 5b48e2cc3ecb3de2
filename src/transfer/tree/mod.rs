//! Directories across devices: each is staged as one tree, published with one rename, and vanishes from its
//! source with one rename (P8).
//!
//! ```text
//! TreeJob ──stage──► StagedTree ──publish(Durable)──► PublishedTree ──retire(Durable)──► settled
//! ```
//!
//! Trees are walked by descriptor, never by path, so that depth is no limit and nobody can lead the walk
//! outside. The journal, a file in the stage directory, lists what was staged; retiring goes by it, and so
//! does the next run if this one is ended.

mod abandon;
mod clear;
mod copy;
mod finish;
mod frame;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod journal;
mod links;
mod nodes;
mod publish;
mod retire;
mod stage;
mod told;
mod tree_record;

use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Item, Outcome, Place, Settled};
use crate::sys::{Dir, Stat, rename_replacing, unlink};

pub(super) use clear::clear_tree;
pub(super) use frame::Known;
pub(super) use links::Links;
pub(super) use publish::NotPublished;
pub(crate) use publish::PublishedTree;
pub(super) use retire::{Left, Remains};
pub(crate) use stage::{NotStaged, StagedTree, stage_tree};
pub(super) use tree_record::TreeRecord;

use super::{Context, Target};

/// A directory that has to be copied.
#[derive(Debug)]
pub(crate) struct TreeJob {
    pub(crate) source: Arc<Place>,
    pub(crate) target: Arc<Target>,
    pub(crate) item: Item,
    /// What an ended run staged of it.
    pub(crate) reuse: Option<Reuse>,
}

impl TreeJob {
    /// Whether the source is still under its name. A directory that somebody else is moving away may be half empty:
    /// what was staged of it must not be taken for the whole.
    fn still_there(&self, source: &Stat) -> Result<()> {
        let path = || self.source.path_of(&self.item);
        match Stat::at(&self.source.dir, &self.item.name) {
            Ok(now) if now.id == source.id => Ok(()),
            Ok(_) => Err(Box::new(MoveError::ChangedWhileRead { path: path() })),
            Err(Errno::NOENT) => Err(Box::new(MoveError::Vanished { path: path() })),
            Err(source) => Err(Box::new(MoveError::Stat { path: path(), source })),
        }
    }

    /// Opens the source, which must be what it was.
    fn open_source(&self, was: &Stat) -> Result<Dir> {
        let path = || self.source.path_of(&self.item);
        let opened = self.source.dir.open_child(&self.item.name);
        let source = opened.map_err(|source| self.blame(was, Box::new(MoveError::Open { path: path(), source })))?;
        if source.id() != was.id {
            return Err(Box::new(MoveError::ChangedWhileRead { path: path() }));
        }
        Ok(source)
    }

    /// The error to report: if the source is gone, then that, and not what followed from it.
    fn blame(&self, source: &Stat, error: Box<MoveError>) -> Box<MoveError> {
        if matches!(*error, MoveError::NotReached { .. }) {
            return error;
        }
        match self.still_there(source) {
            Err(gone) if matches!(*gone, MoveError::Vanished { .. }) => gone,
            _ => error,
        }
    }

    /// The error if what stands at the target does not make way: in mv's words.
    fn cannot_replace(&self, source: Errno) -> MoveError {
        MoveError::InterDevice { from: self.source.path_of(&self.item), to: self.target.path(&self.item), source }
    }

    /// Ends the job.
    fn settle(self, context: &Context, outcome: Outcome) -> Settled {
        Settled { is_tree: true, ..context.settle(&self.source, &self.target.place, &self.item, outcome) }
    }
}

/// A stage that an ended run left, to be taken over once the tree can be moved at all.
#[derive(Debug)]
pub(crate) struct Reuse {
    /// The ended run's part of the stage directory.
    pub(super) run: Dir,
    /// The stage's name there, and its journal's.
    pub(super) stage: Vec<u8>,
    pub(super) journal: Vec<u8>,
    /// What its journal proves durable.
    pub(super) known: Known,
}

impl Reuse {
    /// Makes the stage ours: `name` in `stage_dir`. Whether that worked.
    fn take_stage(&self, stage_dir: &Dir, name: &[u8]) -> bool {
        rename_replacing(&self.run, &self.stage, stage_dir, name).is_ok()
    }

    fn remove_journal(&self) {
        // One that stays speaks of a stage that is gone, and is cleared with the rest of its run.
        unlink(&self.run, &self.journal).ok();
    }
}
