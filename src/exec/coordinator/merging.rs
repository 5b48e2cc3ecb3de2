//! `--merge`: the entries of a source directory become items of their own, which go into the target directory that is there
//! already; a directory whose entries are all gone is removed.
//!
//! What is missing at the target moves whole, as ever. Only where directory meets directory does a merge go down, one
//! directory at a time, so that depth is no limit; all that was fed meanwhile moves side by side. Directories are held open
//! while they are fed, a bounded number of them. Then all in flight is settled, their targets are closed together, and
//! what is empty is removed.

mod ending;
mod opening;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{MoveError, Quoted};
use crate::exec::groups::Whither;
use crate::item::{Gathered, Item, Place, Standing, path_from};
use crate::sys::{Entry, FileId, FileKind, Listing, Stat};
use crate::transfer::{Target, is_hidden_name};

use super::Coordinator;

/// The directories that are being merged.
#[derive(Debug, Default)]
pub(super) struct Merging {
    dirs: HashMap<u32, Merge>,
    next: u32,
    /// Met by workers, and not begun.
    met: VecDeque<Met>,
    /// Those that are being fed: each lies in the one before it.
    stack: Vec<u32>,
    /// Those all of whose entries are settled.
    ripe: Vec<u32>,
    /// How many hold their source directory.
    held: usize,
    is_at_work: bool,
}

/// A directory that a worker has found in the way of another.
#[derive(Debug)]
struct Met {
    item: Item,
    source: Arc<Place>,
    to: Whither,
}

/// A source directory that is being merged into a target directory.
#[derive(Debug)]
struct Merge {
    /// The directory, as an item of the one that it lies in.
    item: Item,
    source: FileId,
    to: Whither,
    /// Both, as long as they are held open.
    place: Option<Arc<Place>>,
    target: Option<Arc<Target>>,
    /// The directory that it lies in, where that is not being merged itself.
    top: Option<Arc<Place>>,
    feeding: Feeding,
    /// Directories in it that are to be merged, too.
    dirs: Vec<Entry>,
    /// Entries that are not settled.
    pending: u64,
    /// Something in it stays, and that was said, or was what the user wants.
    is_left: bool,
    /// Something in it has gone since it was listed.
    has_progress: bool,
    /// It was not fed to the end.
    is_cut: bool,
}

/// How far the feeding of a directory has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feeding {
    /// It is still to be listed.
    Begun,
    /// Only the directories in it are left.
    Listed,
    Done,
}

/// Why a directory is not merged.
enum NotMerged {
    /// It is no such case: source or target is not a directory any more.
    Otherwise,
    Failed(Box<MoveError>),
}

impl Merging {
    /// Whether a directory is being fed just now.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_at_work
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_over(&self) -> bool {
        self.dirs.is_empty() && self.met.is_empty()
    }

    /// Takes in a directory that a worker has found to be in the way of another.
    pub(super) fn meet(&mut self, source: Arc<Place>, target: &Target, item: Item) {
        self.met.push_back(Met { item, source, to: Whither::of(target) });
    }

    /// Lets go of the target directories: they are closed.
    pub(super) fn forget_targets(&mut self) {
        for merge in self.dirs.values_mut() {
            merge.target = None;
        }
    }

    /// Takes note that an entry has ended; whether it stays.
    pub(super) fn note_end(&mut self, within: Option<u32>, stays: bool) {
        let Some(id) = within else { return };
        let Some(merge) = self.dirs.get_mut(&id) else { return };
        merge.pending -= 1;
        merge.is_left |= stays;
        merge.has_progress |= !stays;
        if merge.feeding == Feeding::Done && merge.pending == 0 {
            self.ripe.push(id);
        }
    }

    /// Something that changes whenever anything does.
    pub(super) fn state(&self) -> (usize, u32, u64) {
        (self.dirs.len(), self.next, self.dirs.values().map(|merge| merge.pending).sum())
    }

    /// The names from the topmost directory that is merged to this one, that one's left out.
    fn way(&self, id: u32) -> (u32, Vec<u8>) {
        let (mut at, mut names) = (id, Vec::new());
        while let Some(merge) = self.dirs.get(&at)
            && let Some(within) = merge.item.within
        {
            names.push(&*merge.item.name);
            at = within;
        }
        names.reverse();
        (at, names.join(&b'/'))
    }

    /// Whether one of the directories around `within` is this source, or this target: a bind mount leads in circles.
    fn leads_in_circles(&self, within: Option<u32>, source: FileId, target: FileId) -> bool {
        let mut at = within;
        while let Some(merge) = at.and_then(|id| self.dirs.get(&id)) {
            if merge.source == target || merge.to.id == source {
                return true;
            }
            at = merge.item.within;
        }
        false
    }
}

impl Coordinator<'_> {
    /// Merges what was met, as far as feeding goes.
    pub(super) fn merge_met(&mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.merging.is_at_work, true) {
            return Ok(());
        }
        loop {
            if self.merging.held >= self.goals.most() || self.goals.is_full() {
                self.close_merged()?;
            }
            if let Some(&top) = self.merging.stack.last() {
                self.step(top)?;
            } else if let Some(met) = self.merging.met.pop_front() {
                self.begin_met(met)?;
            } else {
                break;
            }
        }
        self.merging.is_at_work = false;
        Ok(())
    }

    /// Goes on with the directory that is being fed.
    fn step(&mut self, id: u32) -> anyhow::Result<()> {
        let Some(merge) = self.merging.dirs.get_mut(&id) else { return Ok(()) };
        if self.context.stop.is_set() && (merge.feeding == Feeding::Begun || !merge.dirs.is_empty()) {
            merge.pending -= merge.dirs.len() as u64;
            merge.dirs.clear();
            merge.feeding = Feeding::Listed;
            (merge.is_left, merge.is_cut) = (true, true);
        }
        if merge.feeding == Feeding::Begun {
            merge.feeding = Feeding::Listed;
            return self.feed(id);
        }
        if let Some(entry) = merge.dirs.pop() {
            let item = entry_item(entry, id);
            return match self.opened(id) {
                Ok((place, target)) => self.begin(&place, &target, item),
                Err(error) => {
                    self.end_merged(&item, Err(error));
                    Ok(())
                }
            };
        }
        merge.feeding = Feeding::Done;
        let is_ripe = merge.pending == 0;
        self.merging.stack.pop();
        if is_ripe {
            self.merging.ripe.push(id);
        }
        Ok(())
    }

    /// Lists a directory, and hands its entries on as items.
    fn feed(&mut self, id: u32) -> anyhow::Result<()> {
        let (place, target) = match self.opened(id) {
            Ok(opened) => opened,
            Err(error) => {
                self.fail_in(id, error);
                return Ok(());
            }
        };
        let unread = |source| Box::new(MoveError::ReadDirectory { path: shown(&place), source });
        let mut listing = match Listing::of(&place.dir) {
            Ok(listing) => listing,
            Err(error) => {
                self.fail_in(id, unread(error));
                return Ok(());
            }
        };
        loop {
            let chunk = match listing.next_chunk() {
                Ok(chunk) if chunk.is_empty() => return Ok(()),
                Ok(chunk) => chunk,
                Err(error) => {
                    self.fail_in(id, unread(error));
                    return Ok(());
                }
            };
            for entry in chunk {
                if self.context.stop.is_set() {
                    if let Some(merge) = self.merging.dirs.get_mut(&id) {
                        (merge.is_left, merge.is_cut) = (true, true);
                    }
                    return Ok(());
                }
                // What a run has hidden is finished by its record.
                if is_hidden_name(&entry.name) {
                    self.tally.warn(&format!(
                        "{} is left alone: it has a name that pmove gives to what it hides",
                        Quoted(&place.path(&entry.name))
                    ));
                } else {
                    self.feed_one(id, &place, &target, entry)?;
                }
            }
        }
    }

    fn feed_one(&mut self, id: u32, place: &Arc<Place>, target: &Arc<Target>, entry: Entry) -> anyhow::Result<()> {
        self.context.counters.known(1);
        let meets_directory = || Stat::at(&target.place.dir, &entry.name).is_ok_and(|stat| stat.is_dir());
        // What an ended run has begun with goes the ordinary way, on which that is looked for.
        let goes_down = entry.kind == FileKind::Directory && !target.has_leftovers() && meets_directory();
        let Some(merge) = self.merging.dirs.get_mut(&id) else { return Ok(()) };
        merge.pending += 1;
        if goes_down {
            merge.dirs.push(entry);
            return Ok(());
        }
        let mut item = entry_item(entry, id);
        item.standing = self.planner.reserve(target, place, &item);
        if item.standing == Standing::Rival {
            // An earlier source may be on its way to this very name, or wait for its other names: it is to be there first.
            self.settle_fed(Gathered::SoFar)?;
        }
        self.add(Arc::clone(place), Arc::clone(target), item, false)
    }

    fn begin_met(&mut self, met: Met) -> anyhow::Result<()> {
        let Met { item, source, to } = met;
        match self.reopen_target(&to) {
            Ok(target) => self.begin(&source, &target, item),
            Err(error) => {
                self.end_merged(&item, Err(error));
                Ok(())
            }
        }
    }

    /// Begins to merge a directory, if it can be.
    fn begin(&mut self, source: &Arc<Place>, target: &Arc<Target>, item: Item) -> anyhow::Result<()> {
        let (dir, to) = match self.open_both(source, target, &item) {
            Ok(opened) => opened,
            Err(NotMerged::Otherwise) => {
                let item = Item { hint: None, ..item };
                return self.add(Arc::clone(source), Arc::clone(target), item, false);
            }
            Err(NotMerged::Failed(error)) => {
                self.end_merged(&item, Err(error));
                return Ok(());
            }
        };
        let has_arrived = target.has_arrived() || self.context.has_arrived(to.id());
        let place = Arc::new(Place::new(dir, &source.prefix_below(&item.name)));
        let target = match self.open_target(to, &target.place.prefix_below(item.target_name()), has_arrived) {
            Ok(target) => target,
            Err(error) => {
                self.end_merged(&item, Err(error));
                return Ok(());
            }
        };
        if item.within.is_none() {
            self.planner.note_merged(&[source.prefix(), &item.name].concat());
        }
        let id = self.merging.next;
        self.merging.next += 1;
        let top = item.within.is_none().then(|| Arc::clone(source));
        self.merging.dirs.insert(
            id,
            Merge {
                item,
                source: place.dir.id(),
                to: Whither::of(&target),
                place: Some(place),
                target: Some(target),
                top,
                feeding: Feeding::Begun,
                dirs: Vec::new(),
                pending: 0,
                is_left: false,
                has_progress: false,
                is_cut: false,
            },
        );
        self.merging.held += 1;
        self.merging.stack.push(id);
        Ok(())
    }

    /// Merges all that is to be merged, and waits for all of it.
    pub(super) fn settle_merging(&mut self, gathered: Gathered) -> anyhow::Result<()> {
        while !self.merging.is_over() {
            let before = self.merging.state();
            self.merge_met()?;
            self.settle_fed(gathered)?;
            self.close_merged()?;
            let is_stuck = self.merging.state() == before && !self.merging.is_over();
            if is_stuck && self.merging.met.is_empty() && self.merging.stack.is_empty() {
                anyhow::bail!("internal error while merging: please report it; the same command finishes the job");
            }
        }
        Ok(())
    }
}

/// An entry of a directory that is being merged.
fn entry_item(entry: Entry, within: u32) -> Item {
    let hint = matches!(entry.kind, FileKind::Regular | FileKind::Directory).then_some(entry.kind);
    Item {
        name: entry.name,
        new_name: None,
        only_directory: false,
        hint,
        was_found: true,
        standing: Standing::Free,
        place: None,
        links: Gathered::No,
        backup: None,
        agreed: None,
        order: None,
        within: Some(within),
    }
}

/// The path of a directory, as the user would write it.
fn shown(place: &Place) -> PathBuf {
    path_from(place.prefix().strip_suffix(b"/").unwrap_or(place.prefix()).to_vec())
}
