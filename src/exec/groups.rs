//! Hard-link groups among single files: their names are collected until all of them, or all that the run will
//! meet, are there, and then moved as one batch, so that they stay one file (P7) and are retired together.

use std::collections::HashMap;
use std::sync::Arc;

use crate::item::{Batch, Item, Place};
use crate::sys::FileId;
use crate::transfer::Target;

/// So many items make a batch of incomplete groups at the end.
const BATCH: usize = 256;

/// The groups that are being collected.
#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<FileId, Group>);

#[derive(Debug)]
struct Group {
    target: Arc<Target>,
    members: Vec<(Arc<Place>, Item)>,
}

/// What became of a name.
pub(super) enum Added {
    /// It waits for the others.
    Collected,
    /// They are all there.
    Complete(Batch<Target>),
    /// This very name was there already: the same source, named twice.
    Repeated(Arc<Place>, Item),
}

impl Groups {
    /// Adds a name of `file`, which has `links` names in all.
    pub(super) fn add(
        &mut self,
        file: FileId,
        links: u32,
        source: Arc<Place>,
        target: Arc<Target>,
        item: Item,
    ) -> Added {
        let group = self.0.entry(file).or_insert_with(|| Group { target, members: Vec::new() });
        let here = source.dir.id();
        if group.members.iter().any(|(place, other)| place.dir.id() == here && other.name == item.name) {
            return Added::Repeated(source, item);
        }
        group.members.push((source, item));
        if group.members.len() < links as usize {
            return Added::Collected;
        }
        self.0.remove(&file).and_then(Group::into_batch).map_or(Added::Collected, Added::Complete)
    }

    /// All that is left, in batches that keep each group together.
    pub(super) fn drain(&mut self) -> Vec<Batch<Target>> {
        let mut batches = Vec::new();
        let mut open: Option<Group> = None;
        for (_, group) in self.0.drain() {
            match &mut open {
                Some(open) if Arc::ptr_eq(&open.target, &group.target) && open.members.len() < BATCH => {
                    open.members.extend(group.members);
                }
                _ => batches.extend(open.replace(group).and_then(Group::into_batch)),
            }
        }
        batches.extend(open.and_then(Group::into_batch));
        batches
    }
}

impl Group {
    fn into_batch(self) -> Option<Batch<Target>> {
        let source = Arc::clone(&self.members.first()?.0);
        let items = self.members.into_iter().map(|(place, item)| Item { place: Some(place), gathered: true, ..item });
        Some(Batch { source, target: self.target, items: items.collect() })
    }
}
