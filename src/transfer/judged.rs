//! Replacing a target on one device only if it still is what was judged. The source gets a second name in the stage
//! directory, which changes places with the target; then the source loses its first one. An intent record says so
//! meanwhile, so that a run that is killed in between is finished by the next one.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Item, Place};
use crate::sys::{Stat, exchange, link, rename_replacing, unlink};

use super::record::{Record, Way};
use super::rename::explain;
use super::swap::{Swapped, is_still, swap};
use super::target::Copying;
use super::{Context, Target};

/// How replacing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    Done,
    /// What stands at the target is not what was judged, or nothing is there any more. Nothing has changed.
    Other,
    OtherDevice,
}

/// What is to be put in the place of what.
pub(super) struct Replacement<'a> {
    pub(super) context: &'a Context,
    pub(super) from: &'a Arc<Place>,
    pub(super) target: &'a Target,
    pub(super) item: &'a Item,
    /// The source.
    pub(super) stat: &'a Stat,
    /// What was judged.
    pub(super) existing: &'a Stat,
}

impl Replacement<'_> {
    /// Does it.
    pub(super) fn make(&self) -> Result<Replaced> {
        let Self { context, from, target, item, stat, existing } = *self;
        // Where there is nowhere to stage, a look just before is all that there is.
        let Ok(copying) = target.copying(context) else { return self.look_and_rename() };
        let room = copying.stage_dir.dir();
        let name = copying.stage_dir.swap_name(stat.id, existing.id);
        match link(&from.dir, &item.name, room, &name) {
            Ok(()) => {}
            Err(Errno::XDEV) => return Ok(Replaced::OtherDevice),
            Err(Errno::NOENT) => return Err(Box::new(MoveError::Vanished { path: from.path_of(item) })),
            // No (more) links to be had, or not for us.
            Err(_) => return self.look_and_rename(),
        }
        let record = Record::of(from, Way::Carried, std::iter::once((item, stat)));
        let record_name = copying.stage_dir.fresh_name('r');
        // Without a record all goes as well, unless the run is killed in the wrong moment.
        let has_record = record.write(room, &record_name).is_ok();
        let replaced = match Stat::at(room, &name) {
            Ok(linked) if linked.id == stat.id => self.swap(copying, &name),
            _ => Err(Box::new(MoveError::ChangedWhileRead { path: from.path_of(item) })),
        };
        // Whatever else it is, it is somebody's.
        if Stat::at(room, &name).is_ok_and(|now| now.id == stat.id) {
            unlink(room, &name).ok();
        }
        if has_record {
            // One that stays is read by the next run, which finds nothing to do.
            unlink(room, &record_name).ok();
        }
        if matches!(replaced, Ok(None)) {
            self.look_and_rename()
        } else {
            replaced.map(|done| done.unwrap_or(Replaced::Other))
        }
    }

    /// Changes places. None if that cannot be done here.
    fn swap(&self, copying: &Copying, name: &[u8]) -> Result<Option<Replaced>> {
        let Self { context, from, target, item, stat, existing } = *self;
        let (room, to, new) = (copying.stage_dir.dir(), &target.place.dir, item.target_name());
        let failed = |error| explain(context, from, target, item, error);
        match swap((room, name), stat, (to, new), existing).map_err(failed)? {
            Swapped::Done => {}
            Swapped::Other => return Ok(Some(Replaced::Other)),
            Swapped::Lacking => return Ok(None),
            Swapped::Lost(kept) => return Err(self.displaced(&kept)),
        }
        // It is at its target. Its old name goes, unless another file has that by now.
        let removed = match Stat::at(&from.dir, &item.name) {
            Ok(now) if now.id == stat.id => unlink(&from.dir, &item.name),
            _ => Ok(()),
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {
                // What was replaced.
                unlink(room, name).ok();
                Ok(Some(Replaced::Done))
            }
            Err(error) => {
                exchange(room, name, to, new).map_err(failed)?;
                Err(failed(error))
            }
        }
    }

    fn displaced(&self, kept: &[u8]) -> Box<MoveError> {
        let (from, to): (PathBuf, PathBuf) = (self.from.path_of(self.item), self.target.path(self.item));
        Box::new(MoveError::Displaced { from, to, kept: self.target.place.path(kept) })
    }

    fn look_and_rename(&self) -> Result<Replaced> {
        let Self { context, from, target, item, existing, .. } = *self;
        let (to, new) = (&target.place.dir, item.target_name());
        if !Stat::at(to, new).is_ok_and(|now| is_still(&now, existing)) {
            return Ok(Replaced::Other);
        }
        match rename_replacing(&from.dir, &item.name, to, new) {
            Ok(()) => Ok(Replaced::Done),
            Err(Errno::XDEV) => Ok(Replaced::OtherDevice),
            Err(error) => Err(explain(context, from, target, item, error)),
        }
    }
}
