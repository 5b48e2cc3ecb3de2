//! Clearing away what ended runs left, and finishing what they had hidden.

use rustix::io::Errno;

use crate::crew::Crew;
use crate::error::{MoveError, Quoted};
use crate::item::path_from;
use crate::sys::{Dir, Listing, Stat, sync_removals, unlink, unlink_dir};
use crate::transfer::Target;
use crate::transfer::carried;
use crate::transfer::record::{Intent, Way};
use crate::transfer::stage_dir::{is_stage_name, remove_base, swapped};
use crate::transfer::trail::clear_along;
use crate::transfer::tree::{Left, Remains, TreeRecord, clear_tree};

use super::{EndedRun, Leftovers};

impl Leftovers {
    /// Removes what ended runs left and nobody needs. What a source that is still there may need stays. Returns what
    /// the user should know.
    pub(crate) fn clear(self, target: &Target) -> Vec<String> {
        let Self { base, runs, intents, parents, trees, .. } = self;
        let unfinished = intents
            .values()
            .any(|intent| parents.get(&intent.parent).is_some_and(|path| is_unfinished(target, path, intent)));
        let mut news = Vec::new();
        for (index, run) in runs.into_iter().enumerate() {
            let is_clear_below = clear_along(target, &run.dir, &mut news);
            let needed = |entry: &[u8]| {
                entry.first() == Some(&b't') && !is_clear_below
                    || trees.values().any(|tree| tree.run == index && tree.journal == entry)
                    || entry.first() == Some(&b'r') && unfinished
            };
            clear_run(&target.place.dir, &run, needed, &mut news);
            // ENOTEMPTY where something is still needed.
            unlink_dir(&base, &run.name).ok();
        }
        drop(base);
        remove_base(&target.place.dir);
        news
    }
}

/// Whether the source of an intent still waits to be retired. In doubt, yes.
fn is_unfinished(target: &Target, parent: &[u8], intent: &Intent) -> bool {
    if intent.way == Way::Carried {
        let source = Dir::open_named(parent).ok().filter(|dir| dir.id() == intent.parent);
        return source.is_some_and(|dir| carried::is_between(&dir, &target.place.dir, intent));
    }
    let is_source_there = || {
        let dir = Dir::open_named(parent)?;
        Ok(dir.id() == intent.parent && intent.stamp.check(&dir, &intent.name)?)
    };
    let is_target_there = || Stat::at(&target.place.dir, intent.target_name()).map(|_| true);
    is_there(is_source_there()) && is_there(is_target_there())
}

/// What a look says, where an error other than that there is nothing says nothing.
fn is_there(looked: std::result::Result<bool, Errno>) -> bool {
    !matches!(looked, Ok(false) | Err(Errno::NOENT | Errno::NOTDIR))
}

/// Empties the stage directory of an ended run, but for what `needed` says. Whatever cannot be looked at stays.
fn clear_run(target: &Dir, run: &EndedRun, needed: impl Fn(&[u8]) -> bool, news: &mut Vec<String>) {
    let mut next = 0_u64;
    let mut fresh = || {
        next += 1;
        // Unlike what an earlier attempt to clear may have left.
        format!("x{}-{next}", std::process::id()).into_bytes()
    };
    let Ok(entries) = Listing::all(&run.dir) else { return };
    let ours = || entries.iter().filter(|entry| is_stage_name(&entry.name));
    // Hidden sources first: they are found by their journals.
    let mut kept_stages = Vec::new();
    for entry in ours().filter(|entry| entry.name.first() == Some(&b'j')) {
        let Ok(record) = TreeRecord::of_ended_run(&run.dir, &entry.name) else { return };
        let is_finished = record.as_ref().is_none_or(|record| finish_hidden(target, record, news));
        if is_finished {
            unlink(&run.dir, &entry.name).ok();
        } else if let Some(record) = record {
            if needed(&entry.name) {
                kept_stages.push(record.header.stage);
            } else {
                unlink(&run.dir, &entry.name).ok();
            }
        }
    }
    for entry in ours() {
        let keep = match entry.name.first() {
            Some(b'j') => true,
            Some(b'd') => kept_stages.iter().any(|stage| **stage == *entry.name),
            Some(b'w') => !is_ours(run, &entry.name, news),
            _ => needed(&entry.name),
        };
        if !keep {
            // What cannot be cleared is met again by the next run.
            clear_tree(&run.dir, &entry.name, &mut fresh).ok();
        }
    }
}

/// Whether a stage that was changing places with a target is one of the two, and not what somebody else had put there.
fn is_ours(run: &EndedRun, name: &[u8], news: &mut Vec<String>) -> bool {
    let (Some(known), Ok(stat)) = (swapped(name), Stat::at(&run.dir, name)) else { return false };
    let is_ours = known.contains(&stat.id.ino);
    if !is_ours {
        let path = path_from([&run.dir.absolute_path(), &b"/"[..], name].concat());
        news.push(format!(
            "{} was put in the place of a target while that was being replaced: it is kept",
            Quoted(&path)
        ));
    }
    is_ours
}

/// Finishes the removal of a source that had vanished for its user already. Whether it is gone, or was before.
fn finish_hidden(target: &Dir, record: &TreeRecord, news: &mut Vec<String>) -> bool {
    let header = &record.header;
    let parent = match Dir::open_named(&header.parent_path) {
        Ok(parent) if parent.id() == header.parent => parent,
        // The directory that held it is gone, or another has its place.
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => return true,
        Err(_) => return false,
    };
    match Remains::of(&parent, record, None).is_hidden() {
        Ok(true) => {}
        Ok(false) => return !is_there(Stat::at(&parent, &header.name).map(|stat| stat.id == header.source)),
        Err(_) => return false,
    }
    let Ok(published) = header.published_somewhere_in(target) else { return false };
    let remains = Remains::of(&parent, record, published.as_ref().map(|(_, dir)| dir));
    let path = |name: &[u8]| path_from([&header.parent_path, &b"/"[..], name].concat());
    match remains.remove(&Crew::small()) {
        // Else the journal stays: it is the only one that can say what the source's hidden name means.
        Ok(Left::Nothing) => sync_removals([&parent]).is_ok(),
        Ok(Left::Something(name)) => {
            let error = MoveError::LeftBehind { from: path(&header.name), kept: path(&name) };
            news.push(error.to_string());
            true
        }
        Ok(Left::All(name)) => {
            news.push(MoveError::CopyGone { from: path(&header.name), kept: path(&name) }.to_string());
            true
        }
        Ok(Left::Refused(name, source)) => {
            news.push(MoveError::Remove { path: path(&name), source }.to_string());
            false
        }
        Err(_) => false,
    }
}
