//! Target directories other than DEST: opened beneath it, a bounded number of them at a time, and closed together.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::exec::groups::Whither;
use crate::item::{Below, Place, path_from};
use crate::sys::Dir;
use crate::transfer::{Leftovers, MadeDirs, Target};

use super::Coordinator;

/// So many target directories are held open at most.
const MOST: usize = 1024;

/// The target directories of a run, but for DEST itself.
#[derive(Debug)]
pub(super) struct Goals {
    open: Vec<Arc<Target>>,
    /// Those that are open because paths are kept, by their paths.
    by_path: HashMap<Box<[u8]>, Arc<Target>>,
    made: MadeDirs,
    most: usize,
    /// How many were left open the last time, because directories that wait for each other are in them.
    kept: usize,
}

impl Goals {
    /// `descriptors`: so many the process may hold.
    pub(super) fn new(descriptors: usize) -> Self {
        // Each may hold its directory, the three of its stage directory, what an ended run left there, and its source.
        let most = (descriptors / 32).clamp(2, MOST);
        Self { open: Vec::new(), by_path: HashMap::new(), made: MadeDirs::default(), most, kept: 0 }
    }

    /// Whether there should not be more.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= self.most + self.kept
    }

    /// How many there may be.
    pub(super) fn most(&self) -> usize {
        self.most
    }
}

impl Coordinator<'_> {
    /// The directory below DEST that keeps a path: made, if it is not there.
    pub(super) fn target_below(&mut self, below: &Below) -> anyhow::Result<Result<Arc<Target>>> {
        if below.path.is_empty() {
            return Ok(Ok(Arc::clone(self.planner.target())));
        }
        if let Some(target) = self.goals.by_path.get(&below.path) {
            return Ok(Ok(Arc::clone(target)));
        }
        if self.goals.is_full() {
            self.close_targets()?;
        }
        let dest = Arc::clone(self.planner.target());
        let opened = self.goals.made.open(&self.context, &dest.place, below);
        Ok(opened.and_then(|dir| {
            let target = self.open_target(dir, &dest.place.prefix_below(&below.path), false)?;
            self.goals.by_path.insert(below.path.clone(), Arc::clone(&target));
            Ok(target)
        }))
    }

    /// Makes a target of a directory, which is closed with the others.
    pub(super) fn open_target(&mut self, dir: Dir, prefix: &[u8], has_arrived: bool) -> Result<Arc<Target>> {
        let leftovers = Leftovers::find(&dir)
            .map_err(|source| MoveError::Leftovers { path: path_from(prefix.to_vec()), source })?;
        let target = Target::new(Place::new(dir, prefix)).with_leftovers(leftovers).arrived(has_arrived);
        let target = Arc::new(target);
        self.goals.open.push(Arc::clone(&target));
        Ok(target)
    }

    /// Opens a target directory again that was closed meanwhile. It must be the same.
    pub(super) fn reopen_target(&mut self, to: &Whither) -> Result<Arc<Target>> {
        let dest = self.planner.target();
        if to.id == dest.place.dir.id() {
            return Ok(Arc::clone(dest));
        }
        let is_it = |target: &&Arc<Target>| target.place.dir.id() == to.id && target.has_arrived() == to.has_arrived;
        if let Some(open) = self.goals.open.iter().find(is_it) {
            return Ok(Arc::clone(open));
        }
        let below = to.prefix.strip_prefix(dest.place.prefix()).unwrap_or_default();
        let reopened = dest.place.dir.open_far(below.strip_suffix(b"/").unwrap_or(below));
        let failed = |source| MoveError::Target { path: path_from(to.prefix.to_vec()), source };
        match reopened {
            Ok(dir) if dir.id() == to.id => self.open_target(dir, &to.prefix, to.has_arrived),
            Ok(_) => Err(Box::new(failed(Errno::NOENT))),
            Err(error) => Err(Box::new(failed(error))),
        }
    }

    /// Settles what is in flight, and closes all target directories but DEST, and but for those of directories that wait
    /// for each other.
    pub(super) fn close_targets(&mut self) -> anyhow::Result<()> {
        self.drain()?;
        self.goals.by_path.clear();
        self.merging.forget_targets();
        let held = &self.held;
        let is_held = |target: &Arc<Target>| held.iter().any(|tree| Arc::ptr_eq(tree.target(), target));
        let (held, idle) = std::mem::take(&mut self.goals.open).into_iter().partition(is_held);
        self.goals.open = held;
        self.goals.kept = self.goals.open.len();
        self.close_these(&idle);
        Ok(())
    }

    /// Removes what this run and ended ones have left in these directories. Sources may come back if that fails: then what
    /// ended runs have left is needed once more.
    pub(super) fn close_these(&mut self, targets: &[Arc<Target>]) {
        let failed = Target::close_all(&self.context, targets);
        let is_needed = failed.iter().any(|(_, source)| *source != Errno::NOTEMPTY);
        for (path, source) in failed {
            // What failed has left what a later run needs, and was reported.
            if source != Errno::NOTEMPTY || self.tally.is_flawless() {
                self.tally.warn(&MoveError::Remove { path, source }.to_string());
            }
        }
        if is_needed || self.context.stop.is_interrupted() {
            return;
        }
        for target in targets {
            for news in target.clear_leftovers() {
                self.tally.warn(&news);
            }
        }
    }

    /// Removes what this run and ended ones have left at the targets, and gives directories that were made what they are
    /// to have.
    pub(super) fn close(&mut self) {
        let mut targets = std::mem::take(&mut self.goals.open);
        targets.push(Arc::clone(self.planner.target()));
        targets.extend(self.planner.take_beside());
        self.close_these(&targets);
        drop(targets);
        for error in self.goals.made.finish(&self.planner.target().place) {
            self.tally.refuse(None, Box::new(error));
        }
    }
}
