//! Putting a staged file in the place of a target, if that still is what was judged: the two change places, and then it is
//! looked at what has come out. What was not judged goes back, and is never removed, whatever happens meanwhile.

use rustix::io::Errno;

use crate::sys::{Dir, NoReplace, Stat, exchange, may_lack_flag, rename_noreplace};

use super::other_name::kept_names;

/// How changing places ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Swapped {
    /// It is in its place, and what was judged has the stage's name.
    Done,
    /// What stands at the target is not what was judged, or nothing is there. All is as it was.
    Other,
    /// That cannot be done here. All is as it was.
    Lacking,
    /// Somebody else has taken the stage away from its new place. What stood there before is there again, or has this name.
    Lost(Vec<u8>),
}

/// Lets `stage`, which is `staged`, and `target` change places.
///
/// # Errors
/// They could not; or, if the stage's name is not `staged` afterwards, what was displaced could not be put back.
pub(super) fn swap(
    stage: (&Dir, &[u8]),
    staged: &Stat,
    target: (&Dir, &[u8]),
    judged: &Stat,
) -> Result<Swapped, Errno> {
    let there = Stat::at(target.0, target.1);
    if there == Err(Errno::NOENT) || there.is_ok_and(|there| !is_still(&there, judged)) {
        return Ok(Swapped::Other);
    }
    match exchange(stage.0, stage.1, target.0, target.1) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(Swapped::Other),
        Err(error) if may_lack_flag(error) => return Ok(Swapped::Lacking),
        Err(error) => return Err(error),
    }
    match Stat::at(stage.0, stage.1) {
        Ok(displaced) if is_still(&displaced, judged) => return Ok(Swapped::Done),
        _ => {}
    }
    put_back(stage, staged, target)
}

/// Lets them change places once more, unless the stage has been taken away from there.
pub(super) fn put_back(stage: (&Dir, &[u8]), staged: &Stat, target: (&Dir, &[u8])) -> Result<Swapped, Errno> {
    let is_staged = |(dir, name): (&Dir, &[u8])| Stat::at(dir, name).is_ok_and(|now| now.id == staged.id);
    if is_staged(target) && exchange(stage.0, stage.1, target.0, target.1).is_ok() && is_staged(stage) {
        return Ok(Swapped::Other);
    }
    // What is under the stage's name is somebody else's: it belongs under the target's, or beside it.
    for name in std::iter::once(target.1.to_vec()).chain(kept_names(target.1)) {
        match rename_noreplace(stage.0, stage.1, target.0, &name)? {
            NoReplace::Renamed => return Ok(Swapped::Lost(name)),
            NoReplace::Exists => {}
        }
    }
    Err(Errno::EXIST)
}

/// Whether a file is the one that was judged, and as it was. Renaming sets its ctime.
pub(super) fn is_still(now: &Stat, judged: &Stat) -> bool {
    now.id == judged.id && now.size == judged.size && now.mtime == judged.mtime
}
