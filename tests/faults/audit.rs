//! What must hold after a run in which something went wrong, and after the one that follows.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::common::snapshot::{Entry, Snapshot};
use crate::promises::litter;

use super::world::{Ran, Shape, Way, World};

/// How closely a target is compared with its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// In everything that P7 names.
    Faithful,
    /// In everything but which files are links of each other: links could not be made.
    LinksAside,
    /// In its content: something else was refused, as by a file system that cannot hold it.
    Content,
}

/// Both sides, as they are now.
pub struct Now {
    pub from: Snapshot,
    pub to: Snapshot,
}

impl Now {
    pub fn of(world: &World) -> Self {
        let of = |path: &Path| Snapshot::of(path).without_root();
        Self { from: of(&world.sides.from), to: of(&world.sides.to) }
    }
}

/// Whether two entries hold the same.
pub fn same_content(left: &Entry, right: &Entry) -> bool {
    (left.kind, left.size, &left.content, &left.target) == (right.kind, right.size, &right.content, &right.target)
}

fn is_alike(left: &Entry, right: &Entry, likeness: Likeness) -> bool {
    match likeness {
        Likeness::Content => same_content(left, right),
        Likeness::LinksAside => {
            Entry { link_group: None, ..left.clone() } == Entry { link_group: None, ..right.clone() }
        }
        Likeness::Faithful => left == right,
    }
}

pub fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".pmove-"))
}

/// What a run that was killed, or failed, must not have done: P1 and P2. Adds what is wrong to `wrong`.
pub fn safe(world: &World, now: &Now, likeness: Likeness, wrong: &mut Vec<String>) {
    for path in world.whole.paths() {
        let source = world.whole.get(path).unwrap();
        let is_whole =
            |snapshot: &Snapshot, path: &Path| snapshot.get(path).is_some_and(|now| same_content(source, now));
        if source.kind != FileType::Directory
            && !is_whole(&now.from, path)
            && !is_whole(&now.to, &world.at_target(path))
        {
            wrong.push(format!("P1: {} is lost", path.display()));
        }
    }
    // Where a rename cannot refuse to replace, an empty directory holds the name of one until it is published over.
    let holds_name = |path: &Path| {
        let is_ours = now.to.get(path).is_some_and(|now| now.kind == FileType::Directory && now.mode == 0o700);
        let is_empty = !now.to.paths().any(|other| other.starts_with(path) && other != path);
        world.case.way == Way::PlainRenames && is_ours && is_empty
    };
    // Of a directory that is there, everything is there.
    let mut wanted: Vec<(PathBuf, &Entry)> = Vec::new();
    for path in world.whole.paths() {
        wanted.push((world.at_target(path), world.whole.get(path).unwrap()));
    }
    for (path, _) in &wanted {
        let top: PathBuf = path.components().take(1).collect();
        let old_top = world.before.get(&top);
        let now_top = now.to.get(&top);
        let is_published =
            now_top.is_some() && (old_top.is_none() || now.to.paths().any(|p| p.starts_with(&top) && p != top));
        if is_published && !holds_name(&top) && path != &top && now.to.get(path).is_none() {
            wrong.push(format!("P2: {} is missing from what was published", path.display()));
        }
    }
    for path in now.to.paths().filter(|path| !is_hidden(path)) {
        let entry = now.to.get(path).unwrap();
        let new = wanted.iter().find(|(wanted, _)| wanted == path).map(|(_, entry)| *entry);
        let likeness = if likeness == Likeness::Faithful { Likeness::LinksAside } else { likeness };
        let is_new = new.is_some_and(|new| is_alike(new, entry, likeness));
        let is_old = world.before.get(path).is_some_and(|old| old == entry);
        if !is_new && !is_old && !holds_name(path) {
            let diff = new.map_or_else(|| "not wanted there".to_owned(), |new| new.diff(entry));
            wrong.push(format!("P2: {} is neither what it was nor what was moved: {diff}", path.display()));
        }
    }
}

/// Whether everything that was asked for is done.
pub fn is_complete(world: &World, now: &Now) -> bool {
    let is_there = |path: &Path| {
        let source = world.whole.get(path).unwrap();
        world.is_skipped(path) || now.to.get(world.at_target(path)).is_some_and(|now| same_content(source, now))
    };
    world.whole.paths().all(is_there) && now.from.paths().all(|path| world.is_skipped(path))
}

/// What a run said must be true: P5.
pub fn honest(world: &World, now: &Now, ran: &Ran, wrong: &mut Vec<String>) {
    let complete = is_complete(world, now);
    if ran.is_done {
        if !complete {
            wrong.push("P5: exit 0, but not everything is done".to_owned());
        }
        return;
    }
    let is_named = |path: &Path| {
        let at = [world.sides.from.join(path), world.sides.to.join(world.at_target(path))];
        at.iter().any(|path| ran.messages.contains(path.to_str().unwrap()))
    };
    let tops = || world.whole.paths().filter(|path| path.components().count() == 1);
    // Nobody could see that it was to be skipped.
    let may_be_complete = tops().any(|path| world.is_skipped(path) && is_named(path));
    if complete && !may_be_complete {
        wrong.push("P5: exit 1, but everything is done".to_owned());
    }
    if ran.messages.is_empty() {
        wrong.push("P5: exit 1, and nothing was said".to_owned());
    }
    let not_reached = ran.messages.contains("not reached") || ran.messages.contains("stopped:");
    let is_target_named = ran.messages.contains(&format!("'{}'", world.sides.to.display()))
        || ran.messages.contains("an interrupted run left in");
    for path in tops() {
        let is_at_source = now.from.get(path).is_some();
        let is_at_target =
            now.to.get(world.at_target(path)).is_some_and(|now| same_content(world.whole.get(path).unwrap(), now));
        if (is_at_source || !is_at_target)
            && !world.is_skipped(path)
            && !is_named(path)
            && !is_target_named
            && !not_reached
        {
            wrong.push(format!("P5: {} was not moved, and is not named", path.display()));
        }
    }
}

/// What must hold after the run that follows: P6 and P7.
pub fn finished(world: &World, again: &Ran, likeness: Likeness, wrong: &mut Vec<String>) {
    // What the first run has finished is not there any more, which a literal name cannot hide.
    let may_miss = matches!(world.case.shape, Shape::Operands | Shape::Tree | Shape::NewName);
    let unexpected: Vec<&str> = again
        .messages
        .lines()
        .filter(|line| !line.contains(": cannot stat ") && !line.contains(" failed") || !may_miss)
        .collect();
    if !again.is_done && (!may_miss || again.messages.is_empty()) || !unexpected.is_empty() {
        wrong.push(format!("P6: the re-run says {:?}", again.messages));
    }
    let now = Now::of(world);
    for path in now.from.paths().filter(|path| !world.is_skipped(path)) {
        wrong.push(format!("P6: {} is still at its source", path.display()));
    }
    for path in world.whole.paths() {
        let target = world.at_target(path);
        let wanted = if world.is_skipped(path) { world.before.get(&target) } else { world.whole.get(path) };
        let wanted = wanted.map(|entry| Entry {
            link_group: entry.link_group.as_ref().map(|first| world.at_target(first)),
            ..entry.clone()
        });
        match (now.to.get(&target), wanted) {
            (Some(now), Some(wanted)) if is_alike(&wanted, now, likeness) => {}
            (now, wanted) => {
                let diff = match (now, &wanted) {
                    (Some(now), Some(wanted)) => wanted.diff(now),
                    (now, _) => if now.is_some() { "not wanted there" } else { "not there" }.to_owned(),
                };
                wrong.push(format!("P7: {} is not as it was: {}", target.display(), diff.trim()));
            }
        }
    }
    let is_wanted = |path: &Path| world.whole.paths().any(|wanted| world.at_target(wanted) == path);
    for path in now.to.paths().filter(|path| !is_hidden(path) && !is_wanted(path)) {
        wrong.push(format!("P6: {} was done twice, or is not ours", path.display()));
    }
    let litter = [litter(&world.sides.from), litter(&world.sides.to)].concat();
    if !litter.is_empty() {
        wrong.push(format!("P6: left behind: {litter:?}"));
    }
}
