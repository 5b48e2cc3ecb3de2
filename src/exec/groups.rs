//! Hard-link groups among single files: their names are collected until all of them, or all that the run will
//! meet, are there, and then moved as one batch, so that they stay one file (P7) and are retired together.
//!
//! Directories are not held open meanwhile, there may be any number of them: each is opened again at the end, and
//! must be the same one then.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::MoveError;
use crate::item::{Batch, Gathered, Item, Place};
use crate::sys::{Dir, FileId};
use crate::transfer::Target;

/// So many items make a batch of groups.
const BATCH: usize = 256;

/// The groups that are being collected.
#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<FileId, Group>);

#[derive(Debug)]
struct Group {
    target: Arc<Target>,
    members: Vec<Member>,
}

/// One name of a file.
#[derive(Debug)]
struct Member {
    parent: FileId,
    /// The path of its directory, as the user would write it.
    prefix: Box<[u8]>,
    item: Item,
}

/// What became of a name.
#[derive(Debug)]
pub(super) enum Added {
    /// It waits for the others.
    Collected,
    /// They are all there.
    Complete(Collected),
    /// This very name was there already: the same source, named twice.
    Repeated(Item, Box<MoveError>),
}

/// Groups that are to be moved together, and members whose directory is not what it was.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) batch: Option<Batch<Target>>,
    pub(super) lost: Vec<(Item, Box<MoveError>)>,
}

impl Groups {
    /// Adds a name of `file`, which has `links` names in all.
    pub(super) fn add(&mut self, file: FileId, links: u32, source: &Place, target: Arc<Target>, item: Item) -> Added {
        let group = self.0.entry(file).or_insert_with(|| Group { target, members: Vec::new() });
        let parent = source.dir.id();
        if group.members.iter().any(|other| other.parent == parent && other.item.name == item.name) {
            let gone = MoveError::Stat { path: source.path_of(&item), source: Errno::NOENT };
            return Added::Repeated(item, Box::new(gone));
        }
        group.members.push(Member { parent, prefix: source.prefix().into(), item });
        if group.members.len() < links as usize {
            return Added::Collected;
        }
        match self.0.remove(&file) {
            Some(group) => Added::Complete(group.gather(Gathered::All)),
            None => Added::Collected,
        }
    }

    /// Some of what was collected, each group whole as far as it goes: about `most` names. None if nothing is left.
    pub(super) fn take(&mut self, most: usize, gathered: Gathered) -> Option<Collected> {
        let first = *self.0.keys().next()?;
        let mut taken = self.0.remove(&first)?;
        while taken.members.len() < most.min(BATCH)
            && let Some(&next) = self.0.keys().next()
            && let Some(group) = self.0.remove(&next)
        {
            taken.members.extend(group.members);
        }
        Some(taken.gather(gathered))
    }
}

impl Group {
    /// Opens the members' directories again.
    fn gather(self, links: Gathered) -> Collected {
        let Self { target, members } = self;
        let mut places: HashMap<FileId, Arc<Place>> = HashMap::new();
        let mut collected = Collected::default();
        let mut items = Vec::with_capacity(members.len());
        for Member { parent, prefix, item } in members {
            let place = match places.get(&parent) {
                Some(place) => Ok(Arc::clone(place)),
                None => open_again(&prefix, parent),
            };
            match place {
                Ok(place) => {
                    places.insert(parent, Arc::clone(&place));
                    items.push(Item { place: Some(place), links, ..item });
                }
                Err(source) => {
                    let path = crate::item::path_from([&*prefix, &*item.name].concat());
                    let error = match source {
                        // It was looked at when it was collected.
                        Errno::NOENT => MoveError::Vanished { path },
                        source => MoveError::Stat { path, source },
                    };
                    collected.lost.push((item, Box::new(error)));
                }
            }
        }
        if let Some(source) = items.first().and_then(|item| item.place.clone()) {
            collected.batch = Some(Batch { source, target, items });
        }
        collected
    }
}

fn open_again(prefix: &[u8], id: FileId) -> Result<Arc<Place>, Errno> {
    let dir = Dir::open_named(prefix)?;
    // Another directory has its path now: its files are not the ones that were named.
    if dir.id() == id { Ok(Arc::new(Place::new(dir, prefix))) } else { Err(Errno::NOENT) }
}
