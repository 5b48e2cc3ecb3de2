//! The end of merging: source directories that are empty are removed, children before parents, with rmdir only.

use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::exec::coordinator::Coordinator;
use crate::item::{Item, Outcome, Paths, path_from};
use crate::sys::{Stat, unlink_dir};

use super::Feeding;

impl Coordinator<'_> {
    /// Settles what is in flight, closes the target directories, and removes the source directories that are empty. What
    /// else is being merged is opened again when its turn comes.
    pub(in crate::exec::coordinator) fn close_merged(&mut self) -> anyhow::Result<()> {
        self.close_targets()?;
        while let Some(id) = self.merging.ripe.pop() {
            self.remove_merged(id);
            // Their parents were opened for that.
            if self.merging.held >= self.goals.most() {
                self.let_go();
            }
        }
        self.let_go();
        Ok(())
    }

    /// Closes the source directories, but for the one that is being fed.
    fn let_go(&mut self) {
        let top = self.merging.stack.last().copied();
        for (id, merge) in &mut self.merging.dirs {
            if Some(*id) != top {
                merge.place = None;
            }
        }
        self.merging.held = self.merging.dirs.values().filter(|merge| merge.place.is_some()).count();
    }

    /// Removes a source directory, if nothing is left in it.
    fn remove_merged(&mut self, id: u32) {
        let Some(merge) = self.merging.dirs.get(&id) else { return };
        let parent = match (&merge.top, merge.item.within) {
            (Some(top), _) => Ok(Arc::clone(top)),
            (None, Some(within)) => self.opened_source(within),
            (None, None) => return,
        };
        let Some(mut merge) = self.merging.dirs.remove(&id) else { return };
        if merge.place.take().is_some() {
            self.merging.held -= 1;
        }
        let mut from = path_from(merge.item.name.to_vec());
        let removed = parent.and_then(|parent| {
            from = parent.path(&merge.item.name);
            let removed = match Stat::at(&parent.dir, &merge.item.name) {
                Ok(stat) if stat.id == merge.source => unlink_dir(&parent.dir, &merge.item.name),
                // It is gone, or another has its name.
                Ok(_) | Err(Errno::NOENT) => Ok(()),
                Err(error) => Err(error),
            };
            match removed {
                Ok(()) => Ok(true),
                // What the user wants left alone, or what has failed, is in it.
                Err(Errno::NOTEMPTY | Errno::EXIST) if merge.is_left => Ok(false),
                Err(source) => Err(Box::new(MoveError::Remove { path: from.clone(), source })),
            }
        });
        match removed {
            // What has appeared in it meanwhile, or was not listed, because names went while it was: as long as there is
            // less of it each time.
            Err(error) if error.errno() == Some(Errno::NOTEMPTY) && merge.has_progress => {
                (merge.feeding, merge.has_progress) = (Feeding::Begun, false);
                self.merging.dirs.insert(id, merge);
                self.merging.stack.push(id);
            }
            Ok(_) if merge.is_cut && merge.item.within.is_none() => {
                self.end_merged(&merge.item, Err(Box::new(MoveError::NotReached { path: from })));
            }
            removed => {
                let to = path_from(merge.to.prefix.to_vec());
                let paths =
                    self.context.wants_paths.then(|| Paths { from, to, backup: None, how: None, inside: Vec::new() });
                self.end_with_paths(&merge.item, removed, paths);
            }
        }
    }

    pub(super) fn end_merged(&mut self, item: &Item, removed: Result<bool>) {
        self.end_with_paths(item, removed, None);
    }

    /// Ends a directory: its entries have been told of.
    fn end_with_paths(&mut self, item: &Item, removed: Result<bool>, paths: Option<Paths>) {
        self.merging.note_end(item.within, !matches!(removed, Ok(true)));
        match removed {
            Ok(removed) => self.tally.finish(item.order, Outcome::Merged { removed }, paths.map(Box::new), Vec::new()),
            Err(error) => self.tally.refuse(item.order, error),
        }
    }

    /// Takes note of something that keeps a directory from being merged wholly.
    pub(super) fn fail_in(&mut self, id: u32, error: Box<MoveError>) {
        if let Some(merge) = self.merging.dirs.get_mut(&id) {
            merge.is_left = true;
        }
        self.tally.refuse(None, error);
    }
}
