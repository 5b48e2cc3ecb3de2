//! Whether sources get into each other's way, so that it matters which of them goes first.

use std::collections::BTreeSet;

use super::find::{Candidate, split};
use super::world::{Ino, World};

/// A directory, a name in it, and what has that name.
pub(super) type Found<'a> = (Ino, &'a str, Ino);

/// Whether, and why, it is not laid down what happens first: what one finds, another may have moved.
pub(super) fn vague(
    world: &World,
    candidates: &[Result<Candidate, String>],
    dest_trace: &[Ino],
    dest: Ino,
) -> Option<&'static str> {
    let mut found: Vec<(&Candidate, Vec<Ino>, Option<Found>)> = Vec::new();
    for candidate in candidates.iter().flatten() {
        let mut trace = Vec::new();
        let (parent, name) = split(candidate.path.trim_end_matches('/'));
        let parent = world.resolve(parent, &mut trace).ok();
        let place = parent.and_then(|parent| Some((parent, name, world.child(parent, name)?)));
        if place.is_some_and(|(.., ino)| world.is_symlink(ino) && dest_trace.contains(&ino)) {
            return Some("DEST is reached through a source");
        }
        found.push((candidate, trace, place));
    }
    for (at, (one, trace, place)) in found.iter().enumerate() {
        // Through DEST, and further on by a name that another source is to get there.
        let way: Vec<&str> = one.path.split('/').filter(|name| !name.is_empty()).collect();
        let is_named = |(other, ..): &(&Candidate, _, _)| {
            way[..way.len() - 1].contains(&split(other.path.trim_end_matches('/')).1)
        };
        if trace.contains(&dest)
            && (found[..at].iter().any(is_named) || at > 0 && trace.iter().any(|&ino| world.is_symlink(ino)))
        {
            return Some("a source lies in what another becomes");
        }
        for (other, other_trace, other_place) in &found[..at] {
            let meets = place.is_some() && place == other_place;
            let leads = |trace: &[Ino], place: &Option<Found>| place.is_some_and(|(.., ino)| trace.contains(&ino));
            if !meets && !leads(trace, other_place) && !leads(other_trace, place) {
                continue;
            }
            let plain = (plainly(&one.path), plainly(&other.path));
            let is_seen = plain.0 == plain.1
                || plain.0.starts_with(&format!("{}/", plain.1))
                || plain.1.starts_with(&format!("{}/", plain.0));
            if !is_seen {
                return Some("a source is reached by two ways");
            }
            if one.task != other.task {
                return Some("a pattern finds what another source is");
            }
        }
    }
    None
}

/// Whether, as their paths are written, one source lies in another, or two end in the same name.
pub(super) fn meet(candidates: &[Result<Candidate, String>]) -> bool {
    let paths: BTreeSet<String> = candidates.iter().flatten().map(|candidate| plainly(&candidate.path)).collect();
    let names: BTreeSet<&str> = paths.iter().map(|path| split(path).1).collect();
    let mut above = paths.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]));
    names.len() < paths.len() || above.any(|above| paths.contains(above))
}

/// A path without superfluous slashes and dots.
pub(super) fn plainly(path: &str) -> String {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").collect::<Vec<_>>().join("/")
}
