//! Opening the directories that are being merged: beneath what is held open, never by way of a symlink; and again, if they
//! were closed meanwhile, when they must be the same.

use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::exec::coordinator::Coordinator;
use crate::item::{Item, Place, path_from};
use crate::sys::{Dir, is_below};
use crate::transfer::Target;

use super::{NotMerged, shown};

impl Coordinator<'_> {
    /// Opens a source directory and the one that it is to be merged into.
    pub(super) fn open_both(
        &self,
        source: &Place,
        target: &Target,
        item: &Item,
    ) -> std::result::Result<(Dir, Dir), NotMerged> {
        let (from, to) = (|| source.path_of(item), || target.path(item));
        let dir = source.dir.open_child(&item.name).map_err(|error| match error {
            Errno::NOENT => NotMerged::Failed(target.missing(&self.context, source, item, error)),
            Errno::NOTDIR | Errno::LOOP => NotMerged::Otherwise,
            error => NotMerged::Failed(Box::new(MoveError::Stat { path: from(), source: error })),
        })?;
        let into = target.place.dir.open_child(item.target_name()).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => NotMerged::Otherwise,
            error => NotMerged::Failed(Box::new(MoveError::Stat { path: to(), source: error })),
        })?;
        let within = item.within;
        let failure = if dir.id() == into.id() {
            MoveError::SameFile { from: from(), to: to() }
        } else if self.merging.leads_in_circles(within, dir.id(), into.id())
            || within.is_none() && is_below(&into, dir.id()).unwrap_or(false)
        {
            MoveError::IntoItself { from: from(), to: to() }
        } else if dir.stat().is_mount_root {
            MoveError::Move { from: from(), to: to(), source: Errno::BUSY }
        } else {
            return Ok((dir, into));
        };
        Err(NotMerged::Failed(Box::new(failure)))
    }

    /// The source and the target of a directory that is being merged: opened again, if they were closed meanwhile.
    pub(super) fn opened(&mut self, id: u32) -> Result<(Arc<Place>, Arc<Target>)> {
        let place = self.opened_source(id)?;
        let Some(merge) = self.merging.dirs.get(&id) else {
            return Err(Box::new(MoveError::Vanished { path: shown(&place) }));
        };
        if let Some(target) = &merge.target {
            return Ok((place, Arc::clone(target)));
        }
        let to = merge.to.clone();
        let target = self.reopen_target(&to)?;
        if let Some(merge) = self.merging.dirs.get_mut(&id) {
            merge.target = Some(Arc::clone(&target));
        }
        Ok((place, target))
    }

    pub(super) fn opened_source(&mut self, id: u32) -> Result<Arc<Place>> {
        let (top, below) = self.merging.way(id);
        let nothing = || Box::new(MoveError::Vanished { path: path_from(below.clone()) });
        let merge = self.merging.dirs.get(&id).ok_or_else(nothing)?;
        if let Some(place) = &merge.place {
            return Ok(Arc::clone(place));
        }
        let top = self.merging.dirs.get(&top).ok_or_else(nothing)?;
        let parent = top.top.as_ref().ok_or_else(nothing)?;
        let slash: &[u8] = if below.is_empty() { b"" } else { b"/" };
        let path = [&*top.item.name, slash, &below].concat();
        let prefix = parent.prefix_below(&path);
        let dir = match parent.dir.open_far(&path) {
            Ok(dir) if dir.id() == merge.source => dir,
            // Another directory has its name now.
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                return Err(Box::new(MoveError::Vanished { path: parent.path(&path) }));
            }
            Err(source) => return Err(Box::new(MoveError::Stat { path: parent.path(&path), source })),
        };
        let place = Arc::new(Place::new(dir, &prefix));
        if let Some(merge) = self.merging.dirs.get_mut(&id) {
            merge.place = Some(Arc::clone(&place));
            self.merging.held += 1;
        }
        Ok(place)
    }
}
