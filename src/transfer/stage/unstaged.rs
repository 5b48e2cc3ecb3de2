//! Batches of which nothing can be staged: how each of their items ends.

use std::sync::Arc;

use rustix::io::Errno;

use crate::error::MoveError;
use crate::item::{Batch, Item, Outcome, Place, Verdict};
use crate::sys::Stat;
use crate::transfer::{Context, Target};

use super::Part;

/// Source and target directory are one, seen through two mounts that do not know of each other (a network file system
/// of this very machine): a copy would replace the source itself.
pub(super) fn refuse_same(context: &Context, batch: Batch<Target>) -> Part {
    end_all(context, batch, |from, target, item| {
        let (from, to) = (from.path_of(item), target.path(item));
        Outcome::Failed(Box::new(MoveError::SameFile { from, to }))
    })
}

/// Whether a source that was named does not exist. (What a listing has found was there; should it be gone, it has vanished.)
pub(super) fn is_missing(source: &Arc<Place>, item: &Item) -> bool {
    let place = item.place_or(source);
    item.hint.is_none() && Stat::at(&place.dir, &item.name) == Err(Errno::NOENT)
}

/// No source of the batch is there.
pub(super) fn nothing_is_there(context: &Context, batch: Batch<Target>) -> Part {
    end_all(context, batch, |from, _, item| {
        Outcome::Failed(Box::new(MoveError::Stat { path: from.path_of(item), source: Errno::NOENT }))
    })
}

/// There is no room to stage in.
pub(super) fn nothing_can_be_staged(context: &Context, batch: Batch<Target>, error: Errno) -> Part {
    end_all(context, batch, |from, target, item| how_it_ends(context, from, target, item, error))
}

fn end_all(context: &Context, batch: Batch<Target>, outcome_of: impl Fn(&Place, &Target, &Item) -> Outcome) -> Part {
    let Batch { source, target, items } = batch;
    let end = |item: &Item| {
        let outcome = outcome_of(item.place_or(&source), &target, item);
        context.settle(&source, &target.place, item, outcome)
    };
    Part { settled: items.iter().map(end).collect(), ..Part::default() }
}

/// As mv, which looks at source and target before it creates anything.
fn how_it_ends(context: &Context, from: &Place, target: &Target, item: &Item, error: Errno) -> Outcome {
    let stat = match Stat::at(&from.dir, &item.name) {
        Ok(stat) => stat,
        Err(source) => return Outcome::Failed(target.missing(context, from, item, source)),
    };
    let is_in_the_way = Stat::at(&target.place.dir, item.target_name()).is_ok();
    if is_in_the_way || item.only_directory {
        match target.judge(context, from, item, &stat) {
            Ok(judged) if judged.verdict == Verdict::Skip && is_in_the_way => return Outcome::Skipped,
            Ok(_) => {}
            Err(error) => return Outcome::Failed(error),
        }
    }
    let (what, path) = (stat.kind.word(), target.path(item));
    Outcome::Failed(Box::new(MoveError::Create { what, path, source: error }))
}
