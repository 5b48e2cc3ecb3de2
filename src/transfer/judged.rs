//! Replacing a target only if it still is what was judged: source and target change places, and then it is looked at
//! what has come out. An intent record says so meanwhile, so that a run that is killed in between is finished by the
//! next one.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Item, Place};
use crate::sys::{Dir, Stat, exchange, may_lack_flag, rename_replacing, unlink, unlink_dir};

use super::record::{Intent, Record, Way};
use super::rename::explain;
use super::stamp::Stamp;
use super::{Context, Target};

/// How replacing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    Done,
    /// What stands at the target is not what was judged, or nothing is there any more. Nothing has changed.
    Other,
    OtherDevice,
}

/// Puts `item`, which is `stat`, in the place of `existing`.
pub(super) fn replace_judged(
    context: &Context,
    from: &Arc<Place>,
    target: &Target,
    item: &Item,
    stat: &Stat,
    existing: &Stat,
) -> Result<Replaced> {
    let way = Way::Exchanged { displaced: Stamp::of(existing) };
    let record = Record::of(from, way, std::iter::once((item, stat)));
    // Without a record all goes as well, unless the run is killed in the wrong moment.
    let record = target.copying(context).ok().and_then(|copying| {
        let name = copying.stage_dir.fresh_name('r');
        record.write(copying.stage_dir.dir(), &name).ok().map(|_| name)
    });
    let replaced = swap(context, from, target, item, stat, existing);
    if let (Some(name), Ok(copying)) = (record, target.copying(context)) {
        // One that stays is read by the next run, which finds nothing to do.
        unlink(copying.stage_dir.dir(), &name).ok();
    }
    replaced
}

fn swap(
    context: &Context,
    from: &Place,
    target: &Target,
    item: &Item,
    stat: &Stat,
    existing: &Stat,
) -> Result<Replaced> {
    let (dir, name, to, new) = (&from.dir, &*item.name, &target.place.dir, item.target_name());
    let paths = || -> (PathBuf, PathBuf) { (from.path_of(item), target.path(item)) };
    match exchange(dir, name, to, new) {
        Ok(()) => {}
        Err(Errno::XDEV) => return Ok(Replaced::OtherDevice),
        Err(Errno::NOENT) if Stat::at(to, new) == Err(Errno::NOENT) => return Ok(Replaced::Other),
        // Not known here: a look just before is all that there is.
        Err(error) if may_lack_flag(error) => {
            if !is_still(to, new, existing) {
                return Ok(Replaced::Other);
            }
            let renamed = rename_replacing(dir, name, to, new);
            return renamed.map(|()| Replaced::Done).map_err(|error| explain(context, from, target, item, error));
        }
        Err(error) => return Err(explain(context, from, target, item, error)),
    }
    let refused = if is_still(dir, name, existing) {
        match remove(dir, name, existing) {
            Ok(()) | Err(Errno::NOENT) => return Ok(Replaced::Done),
            Err(error) => Some(error),
        }
    } else {
        None
    };
    // It is put back, unless the target has been taken away from there once more.
    let back = if is_still(to, new, stat) { exchange(dir, name, to, new) } else { Err(Errno::BUSY) };
    match (back, refused) {
        (Ok(()), None) => Ok(Replaced::Other),
        (Ok(()), Some(error)) => Err(explain(context, from, target, item, error)),
        (Err(source), _) => {
            let (from, to) = paths();
            Err(Box::new(MoveError::Exchange { from, to, source }))
        }
    }
}

/// Whether a name still stands for the file, as it was.
fn is_still(dir: &Dir, name: &[u8], was: &Stat) -> bool {
    // Renaming has set its ctime.
    Stat::at(dir, name).is_ok_and(|now| now.id == was.id && now.size == was.size && now.mtime == was.mtime)
}

fn remove(dir: &Dir, name: &[u8], stat: &Stat) -> std::result::Result<(), Errno> {
    if stat.is_dir() { unlink_dir(dir, name) } else { unlink(dir, name) }
}

/// Whether an ended run has let source and target change places, and not removed what came out.
pub(super) fn is_between(from: &Dir, to: &Dir, intent: &Intent, displaced: &Stamp) -> bool {
    let is = |now: &Stat, was: &Stamp| {
        now.id.ino == was.ino && now.kind == was.kind && now.size == was.size && now.mtime == was.mtime
    };
    Stat::at(from, &intent.name).is_ok_and(|now| is(&now, displaced))
        && Stat::at(to, intent.target_name()).is_ok_and(|now| is(&now, &intent.stamp))
}

/// Finishes it. False if there is nothing to finish.
pub(super) fn finish(source: &Place, target: &Target, intent: &Intent, displaced: &Stamp) -> Result<bool> {
    if !is_between(&source.dir, &target.place.dir, intent, displaced) {
        return Ok(false);
    }
    let removed = match displaced.kind {
        crate::sys::FileKind::Directory => unlink_dir(&source.dir, &intent.name),
        _ => unlink(&source.dir, &intent.name),
    };
    let failed = |error| Box::new(MoveError::Remove { path: source.path(&intent.name), source: error });
    removed.map(|()| true).map_err(failed)
}
