//! Finishing one file that an ended run may have published: its copy is compared, made durable, and then its source goes.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Conflict, Outcome, Place};
use crate::sys::{Dir, FileKind, Stat, open_regular, unlink};

use super::compare::is_copy;
use super::other_name::kept_names;
use super::record::Intent;
use super::{Context, SyncMode, Target};

/// Finishes one file of a batch that an ended run may have published. None if it did not, or if anything about
/// source or target is not as it was.
pub(super) fn finish(
    context: &Context,
    source: &Arc<Place>,
    target: &Target,
    intent: &Intent,
) -> Result<Option<Outcome>> {
    let (from, to) = (&source.dir, &target.place.dir);
    let path = source.path(&intent.name);
    let was = match Stat::at(from, &intent.name) {
        Ok(was) => was,
        Err(error) => return unknown(path, error),
    };
    if !intent.stamp.matches(&was) {
        return Ok(None);
    }
    let Some((new_name, is)) = find_copy(context, source, target, intent, &was)? else { return Ok(None) };
    let new_name = &*new_name;
    let not_durable = |source| MoveError::NotDurable { from: path.clone(), to: target.place.path(new_name), source };
    if context.sync == SyncMode::Auto {
        let barrier = &target.copying(context).map_err(not_durable)?.barrier;
        if is.kind == FileKind::Regular {
            let file = open_regular(to, new_name).map_err(not_durable)?;
            barrier.sync_files([&file]).map(drop).map_err(not_durable)?;
        }
        barrier.sync_dirs([to]).map(drop).map_err(not_durable)?;
    }
    match intent.stamp.check(from, &intent.name) {
        Ok(true) => {}
        _ => return Err(Box::new(MoveError::Changed { from: path, to: target.place.path(new_name) })),
    }
    unlink(from, &intent.name).map_err(|source| MoveError::Remove { path, source })?;
    if let Ok(copying) = target.copying(context) {
        // The ended run's record is cleared at the end, which must not come before this.
        copying.spent.add(context, &copying.stage_dir, None, [source]);
    }
    Ok(Some(Outcome::Copied { bytes: 0 }))
}

/// An error is no answer: taken afresh, a source might be skipped, or be overwritten by itself.
fn unknown<T>(path: PathBuf, error: Errno) -> Result<Option<T>> {
    match error {
        Errno::NOENT | Errno::NOTDIR => Ok(None),
        source => Err(Box::new(MoveError::Stat { path, source })),
    }
}

/// What an ended run has published of a source: under the target's name, or, where what has that name was to be kept,
/// under one like it.
fn find_copy(
    context: &Context,
    source: &Place,
    target: &Target,
    intent: &Intent,
    was: &Stat,
) -> Result<Option<(Vec<u8>, Stat)>> {
    let (from, to, wanted) = (&source.dir, &target.place.dir, intent.target_name());
    for name in published_names(context, to, wanted) {
        let is = match Stat::at(to, &name) {
            Ok(is) => is,
            Err(error) => return unknown(target.place.path(&name), error),
        };
        if is.id == was.id {
            return Ok(None);
        }
        match is_copy(from, &intent.name, was, to, &name, &is) {
            Ok(true) => return Ok(Some((name, is))),
            Ok(false) => {}
            Err(error) => return unknown(target.place.path(&name), error),
        }
    }
    Ok(None)
}

/// The names under which an ended run may have published what was to get the name `wanted`: that, or, where what has it was to
/// be kept, those like it that are taken.
pub(super) fn published_names<'a>(
    context: &Context,
    to: &'a Dir,
    wanted: &'a [u8],
) -> impl Iterator<Item = Vec<u8>> + use<'a> {
    let keeps = context.policy.conflict == Conflict::KeepBoth;
    let others = kept_names(wanted).take_while(move |name| keeps && Stat::at(to, name) != Err(Errno::NOENT));
    std::iter::once(wanted.to_vec()).chain(others)
}
