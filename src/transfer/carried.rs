//! Finishing what an ended run has carried over half-way (see [`super::flagless`]): the source has its new name, and still
//! its old one.

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::Place;
use crate::sys::{Dir, Listing, Stat, effective_user, has_arrived, rename_replacing, unlink};

use super::Target;
use super::record::Intent;

/// Whether an ended run was interrupted between the two steps: by what is there now, since the record says only what
/// was to be done.
pub(super) fn is_between(from: &Dir, to: &Dir, intent: &Intent) -> bool {
    let (Ok(was), Ok(is)) = (Stat::at(from, &intent.name), Stat::at(to, intent.target_name())) else { return false };
    if was.id.ino != intent.stamp.ino || was.kind != intent.stamp.kind {
        return false;
    }
    if was.is_dir() {
        // Renamed over an empty directory, made for it: should somebody have filled it, the kernel refuses.
        return is.is_dir() && is.id != was.id && is.mode == 0o700 && is.uid == effective_user();
    }
    is.id == was.id && was.links > 1 && are_two_names(from, &intent.name, to, intent.target_name())
}

/// Whether two names of one file are not one name, written in two ways: where names fold, only a listing tells.
fn are_two_names(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> bool {
    if from.id() != to.id() {
        return true;
    }
    let Ok(entries) = Listing::all(from) else { return false };
    name != new && [name, new].iter().all(|name| entries.iter().any(|entry| *entry.name == **name))
}

/// Finishes it. False if there is nothing to finish.
pub(super) fn finish(source: &Place, target: &Target, intent: &Intent) -> Result<bool> {
    let (from, to, new) = (&source.dir, &target.place.dir, intent.target_name());
    if !is_between(from, to, intent) {
        return Ok(false);
    }
    let failed = |error| {
        let (from, to) = (source.path(&intent.name), target.place.path(new));
        Box::new(MoveError::Move { from, to, source: error })
    };
    let was = Stat::at(from, &intent.name).map_err(failed)?;
    let finished = if was.is_dir() {
        match rename_replacing(from, &intent.name, to, new) {
            // Filled by somebody meanwhile: a target like any other.
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(false),
            Err(_) if has_arrived(from, &intent.name, to, new, was.id) => Ok(()),
            renamed => renamed,
        }
    } else {
        match unlink(from, &intent.name) {
            Err(_) if Stat::at(from, &intent.name) == Err(Errno::NOENT) => Ok(()),
            removed => removed,
        }
    };
    finished.map(|()| true).map_err(failed)
}
