//! Renaming on a mount that cannot do it without replacing (NFS, some FUSE): in two steps that stand in for one, with an
//! intent record, so that a run that is killed between them is finished by the next.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Item, Place};
use crate::sys::{
    Carried, Dir, FileId, NoReplace, Stat, carry, has_arrived, may_lack_flag, rename_noreplace, rename_without_flag,
    unlink,
};

use super::record::{Record, Way};
use super::rename::not_a_directory;
use super::{Context, Target};

/// Renames without ever replacing, by the way that is known to work on this mount. `id` says which file it is, if that is
/// known: then a rename that was done counts as done, whatever was said of it.
pub(super) fn rename_for_good(
    context: &Context,
    (from, name): (&Dir, &[u8]),
    (to, new): (&Dir, &[u8]),
    id: Option<FileId>,
) -> std::result::Result<NoReplace, Errno> {
    let renamed = if context.lacks_noreplace(to) {
        rename_without_flag(from, name, to, new)
    } else {
        match rename_noreplace(from, name, to, new) {
            Err(error) if may_lack_flag(error) => rename_without_flag(from, name, to, new)
                // EINVAL has other meanings, too; but what works without the flag has failed for the flag.
                .inspect(|_| context.note_lack_of_noreplace(to)),
            renamed => renamed,
        }
    };
    match (renamed, id) {
        (Ok(NoReplace::Renamed), _) | (_, None) => renamed,
        (_, Some(id)) if has_arrived(from, name, to, new, id) => Ok(NoReplace::Renamed),
        _ => renamed,
    }
}

/// How carrying one item over ended.
pub(super) enum Carriage {
    Done,
    /// Its target exists.
    Exists,
    OtherDevice,
}

/// Items that are carried over, with a record of them at the target.
pub(super) struct Carrying<'a> {
    context: &'a Context,
    target: &'a Target,
    items: Vec<(Item, std::result::Result<Stat, Errno>)>,
    record: Option<Vec<u8>>,
}

impl<'a> Carrying<'a> {
    /// Looks at the items, and writes down what is to become of them.
    pub(super) fn begin(context: &'a Context, source: &Arc<Place>, target: &'a Target, items: Vec<Item>) -> Self {
        let look = |item: Item| {
            let place = item.place_or(source);
            let stat = Stat::at(&place.dir, &item.name);
            (item, stat)
        };
        let items: Vec<_> = items.into_iter().map(look).collect();
        let known = items.iter().filter_map(|(item, stat)| stat.as_ref().ok().map(|stat| (item, stat)));
        let record = Record::of(source, Way::Carried, known);
        // Without a record all goes as well, unless the run is killed in the wrong moment.
        let record = target.copying(context).ok().and_then(|copying| {
            let name = copying.stage_dir.fresh_name('r');
            record.write(copying.stage_dir.dir(), &name).ok().map(|_| name)
        });
        Self { context, target, items, record }
    }

    /// Carries the items over, each handed on with how it went.
    pub(super) fn go(mut self, source: &Arc<Place>, mut each: impl FnMut(Item, Result<Carriage>)) {
        for (item, stat) in std::mem::take(&mut self.items) {
            let place = Arc::clone(item.place_or(source));
            let carried = self.carry(&place, &item, stat);
            each(item, carried);
        }
        if let (Some(name), Ok(copying)) = (self.record, self.target.copying(self.context)) {
            // One that stays is read by the next run, which finds everything done.
            unlink(copying.stage_dir.dir(), &name).ok();
        }
    }

    fn carry(&self, from: &Place, item: &Item, stat: std::result::Result<Stat, Errno>) -> Result<Carriage> {
        let paths = || -> (PathBuf, PathBuf) { (from.path_of(item), self.target.path(item)) };
        if self.context.stop.is_set() {
            return Err(Box::new(MoveError::NotReached { path: paths().0 }));
        }
        let stat = stat.map_err(|source| MoveError::Stat { path: paths().0, source })?;
        if item.only_directory && !stat.is_dir() {
            return Err(Box::new(not_a_directory(from, paths().1, item, &stat)));
        }
        match carry(&from.dir, &item.name, &stat, &self.target.place.dir, item.target_name()) {
            Ok(carried) => {
                self.context.note_lack_of_noreplace(&self.target.place.dir);
                match carried {
                    Carried::Done => Ok(Carriage::Done),
                    Carried::Exists => Ok(Carriage::Exists),
                    Carried::Swapped => {
                        let (from, to) = paths();
                        Err(Box::new(MoveError::Changed { from, to }))
                    }
                }
            }
            Err(Errno::XDEV) => Ok(Carriage::OtherDevice),
            Err(error) => Err(super::rename::explain(self.context, from, self.target, item, error)),
        }
    }
}
