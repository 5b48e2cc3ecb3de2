//! The end of staging: links to files that are staged by now, and the directories' own properties, which the
//! making of their entries would have spoilt.

use std::sync::PoisonError;

use rayon::prelude::*;
use rustix::io::Errno;

use crate::crew::Crew;
use crate::error::{MoveError, Result};
use crate::sys::{FileKind, Stat, effective_user, open_regular, unlink};
use crate::transfer::dress::{Made, Warnings, dress};
use crate::transfer::stamp::Stamp;

use super::copy::{Pair, Walk};
use super::frame::StagedFile;
use super::stage::Tree;

/// Links the names of files of which another name was staged first.
pub(super) fn link_late(tree: &Tree<'_>) -> Result<()> {
    let mut late = std::mem::take(&mut *tree.late.lock().unwrap_or_else(PoisonError::into_inner));
    // Directory by directory, so that each is opened once.
    late.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    for group in late.chunk_by(|a, b| a.0 == b.0) {
        let dir = group[0].0;
        let walk = Walk { tree };
        let pair = walk.reopen(dir).map_err(|source| MoveError::Open { path: tree.paths(dir, b"").0, source })?;
        let mut staged = Vec::with_capacity(group.len());
        for (_, name, stat) in group {
            if tree.is_over() {
                return Err(Box::new(MoveError::NotReached { path: tree.paths(dir, name).0 }));
            }
            link_one(tree, &pair, dir, name, stat)?;
            tree.tell(dir, name, super::told::Entry::Linked);
            tree.context.counters.moved(1);
            staged.push(StagedFile { name: name.to_vec(), stamp: Stamp::of(stat) });
        }
        tree.journal.append_files(dir, staged);
    }
    Ok(())
}

fn link_one(tree: &Tree<'_>, pair: &Pair<'_>, dir: u32, name: &[u8], stat: &Stat) -> Result<()> {
    let (from, to) = tree.paths(dir, name);
    let mut linked = tree.context.links.link((pair.source(), name, stat), pair.stage(), name);
    if linked == Err(Errno::EXIST) && tree.takes_over {
        // From the run whose stage this was: is it the right link already? Making it anew is sure.
        unlink(pair.stage(), name).map_err(|source| MoveError::Create {
            what: "regular file",
            path: to.clone(),
            source,
        })?;
        linked = tree.context.links.link((pair.source(), name, stat), pair.stage(), name);
    }
    let mut warnings = Warnings::default();
    match linked {
        Ok(()) => return Ok(()),
        // The first name's tree was given up.
        Err(Errno::NOENT) => {}
        Err(error) => warnings.links(tree.context, &to, error)?,
    }
    tree.add(warnings);
    let open = if stat.kind == FileKind::Regular {
        let file =
            open_regular(pair.source(), name).map_err(|source| MoveError::Open { path: from.clone(), source })?;
        if !Stat::of(&file).is_ok_and(|now| now.id == stat.id) {
            return Err(Box::new(MoveError::ChangedWhileRead { path: from }));
        }
        Some(file)
    } else {
        None
    };
    Walk { tree }.copy(pair, name, open.as_ref(), stat, (&from, &to)).map(drop)
}

/// Whether a tree's root has a mode with which it could not be published.
pub(super) fn lends_mode(stat: &Stat) -> bool {
    stat.mode & 0o700 != 0o700 && effective_user() != 0
}

/// Gives every staged directory its owner, attributes, mode and times, children before parents.
///
/// A directory that is dressed may keep us out of those in it, so levels come one after the other.
pub(super) fn dress_directories(tree: &Tree<'_>) -> Result<()> {
    for level in tree.nodes.levels_upwards() {
        side_by_side(&tree.context.crew, &level, |id| dress_directory(tree, id))?;
    }
    Ok(())
}

/// Has workers do something with directories that don't lie in each other. The first error, in their order.
pub(super) fn side_by_side<E: Send>(
    crew: &Crew,
    level: &[u32],
    work: impl Fn(u32) -> std::result::Result<(), E> + Sync,
) -> std::result::Result<(), E> {
    // To hand one over takes as long as to do it, unless workers wait.
    let piece = (crew.piece() / 4).max(1);
    let in_turn = |ids: &[u32]| {
        let mut turn = crew.turn();
        ids.iter().try_for_each(|&id| {
            let done = work(id);
            turn.step();
            done
        })
    };
    if level.len() <= piece || crew.is_alone() {
        return in_turn(level);
    }
    let results: Vec<_> = level.par_chunks(piece).map(in_turn).collect();
    results.into_iter().collect()
}

fn dress_directory(tree: &Tree<'_>, id: u32) -> Result<()> {
    if tree.context.stop.is_interrupted() {
        return Err(Box::new(MoveError::NotReached { path: tree.paths(id, b"").0 }));
    }
    let (from, to) = tree.paths(id, b"");
    let open = |source| MoveError::Open { path: from.clone(), source };
    let create = |source| MoveError::Create { what: "directory", path: to.clone(), source };
    let Some(stat) = tree.nodes.get(id).and_then(|node| node.stat) else { return Ok(()) };
    let pair = Walk { tree }.reopen(id).map_err(open)?;
    if pair.source().id() != stat.id {
        return Err(Box::new(MoveError::ChangedWhileRead { path: from }));
    }
    let source = pair.source().readable().map_err(open)?;
    let stage = pair.stage().readable().map_err(create)?;
    let mut warnings = Warnings::default();
    // Moving a directory to another takes write permission in it, which its owner gets back when it is published.
    let lent = Stat { mode: stat.mode | 0o700, ..stat };
    let like = if id == super::nodes::ROOT && lends_mode(&stat) { &lent } else { &stat };
    dress(tree.context, tree.copying, (&source, &stage), like, Made::Dir, &to, &mut warnings)?;
    tree.add(warnings);
    if tree.syncs_each() {
        tree.copying.barrier.sync_files([&stage]).map(drop).map_err(|error| tree.not_durable(error))?;
    }
    Ok(())
}
