//! Hard-link groups among single files: their names are collected until all of them, or all that the run will
//! meet, are there, and then moved as one batch, so that they stay one file (P7) and are retired together. Names that go
//! to several target directories go one directory after the other, and each links to what is there by then.
//!
//! Directories are not held open meanwhile, there may be any number of them: each is opened again at the end, and
//! must be the same one then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::MoveError;
use crate::item::{Gathered, Item, Place, path_from};
use crate::sys::{Dir, FileId};
use crate::transfer::Target;

/// So many items make a batch of groups.
const BATCH: usize = 256;

/// The groups that are being collected. By number, in the order in which they were met.
#[derive(Debug, Default)]
pub(super) struct Groups {
    numbers: HashMap<FileId, u64>,
    by_number: BTreeMap<u64, Group>,
    next: u64,
}

#[derive(Debug)]
struct Group {
    file: FileId,
    members: Vec<Member>,
}

/// One name of a file.
#[derive(Debug)]
struct Member {
    parent: FileId,
    /// The path of its directory, as the user would write it.
    prefix: Box<[u8]>,
    to: Whither,
    item: Item,
}

/// A target directory that is not held open.
#[derive(Clone, Debug)]
pub(super) struct Whither {
    pub(super) id: FileId,
    /// Its path, as the user would write it.
    pub(super) prefix: Box<[u8]>,
    /// All that is in it has arrived in this run.
    pub(super) has_arrived: bool,
}

impl Whither {
    pub(super) fn of(target: &Target) -> Self {
        Self { id: target.place.dir.id(), prefix: target.place.prefix().into(), has_arrived: target.has_arrived() }
    }
}

/// What became of a name.
#[derive(Debug)]
pub(super) enum Added {
    /// It waits for the others.
    Collected,
    /// They are all there, and go to one directory.
    Complete(Collected),
    /// This very name was there already: the same source, named twice.
    Repeated(Item, Box<MoveError>),
}

/// Groups that are to be moved together, and members whose directory is not what it was.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// What is to go first, and what after that.
    pub(super) rounds: Vec<Vec<Draft>>,
    pub(super) lost: Vec<(Item, Box<MoveError>)>,
}

/// A batch whose target directory is still to be opened.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) source: Arc<Place>,
    pub(super) to: Whither,
    pub(super) items: Vec<Item>,
}

impl Groups {
    /// Adds a name of `file`, which has `links` names in all.
    pub(super) fn add(&mut self, file: FileId, links: u32, source: &Place, target: &Target, item: Item) -> Added {
        let number = *self.numbers.entry(file).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        let group = self.by_number.entry(number).or_insert_with(|| Group { file, members: Vec::new() });
        let parent = source.dir.id();
        if group.members.iter().any(|other| other.parent == parent && other.item.name == item.name) {
            let gone = MoveError::Stat { path: source.path_of(&item), source: Errno::NOENT };
            return Added::Repeated(item, Box::new(gone));
        }
        group.members.push(Member { parent, prefix: source.prefix().into(), to: Whither::of(target), item });
        let is_complete = group.members.len() >= links as usize;
        if !is_complete || group.members.iter().any(|member| member.to.id != target.place.dir.id()) {
            return Added::Collected;
        }
        let mut collected = Collected::default();
        if let Some(group) = self.remove(number) {
            collected.add(group, Gathered::All, &mut HashMap::new());
        }
        Added::Complete(collected)
    }

    fn remove(&mut self, number: u64) -> Option<Group> {
        let group = self.by_number.remove(&number)?;
        self.numbers.remove(&group.file);
        Some(group)
    }

    /// Some of what was collected, each group whole as far as it goes: about `most` names. None if nothing is left.
    pub(super) fn take(&mut self, most: usize, gathered: Gathered) -> Option<Collected> {
        let mut collected = Collected::default();
        let mut places = HashMap::new();
        let mut taken = 0;
        while taken < most.min(BATCH)
            && let Some(&first) = self.by_number.keys().next()
            && let Some(group) = self.remove(first)
        {
            taken += group.members.len();
            collected.add(group, gathered, &mut places);
        }
        (taken > 0).then_some(collected)
    }
}

impl Collected {
    /// Adds a group, whose members' directories are opened again: one round for each of its target directories.
    fn add(&mut self, group: Group, gathered: Gathered, places: &mut HashMap<FileId, Arc<Place>>) {
        let mut parts: Vec<(Whither, Vec<Item>)> = Vec::new();
        for Member { parent, prefix, to, item } in group.members {
            let place = match places.get(&parent) {
                Some(place) => Ok(Arc::clone(place)),
                None => open_again(&prefix, parent),
            };
            match place {
                Ok(place) => {
                    places.insert(parent, Arc::clone(&place));
                    let item = Item { place: Some(place), ..item };
                    match parts.iter_mut().find(|(known, _)| known.id == to.id) {
                        Some((_, items)) => items.push(item),
                        None => parts.push((to, vec![item])),
                    }
                }
                Err(source) => {
                    let path = path_from([&*prefix, &*item.name].concat());
                    let error = match source {
                        // It was looked at when it was collected.
                        Errno::NOENT => MoveError::Vanished { path },
                        source => MoveError::Stat { path, source },
                    };
                    self.lost.push((item, Box::new(error)));
                }
            }
        }
        let links = if parts.len() > 1 { Gathered::SoFar } else { gathered };
        for (round, (to, items)) in parts.into_iter().enumerate() {
            if self.rounds.len() <= round {
                self.rounds.push(Vec::new());
            }
            let items = items.into_iter().map(|item| Item { links, ..item });
            let drafts = &mut self.rounds[round];
            if let Some(draft) = drafts.iter_mut().find(|draft| draft.to.id == to.id) {
                draft.items.extend(items);
            } else {
                let items: Vec<Item> = items.collect();
                let source = items.first().and_then(|item| item.place.clone());
                drafts.extend(source.map(|source| Draft { source, to, items }));
            }
        }
    }
}

fn open_again(prefix: &[u8], id: FileId) -> Result<Arc<Place>, Errno> {
    let dir = Dir::open_named_far(prefix)?;
    // Another directory has its path now: its files are not the ones that were named.
    if dir.id() == id { Ok(Arc::new(Place::new(dir, prefix))) } else { Err(Errno::NOENT) }
}
