//! Names given out at the target, so that two sources of one run never land on one name, and it is always the
//! later one that is refused.
//!
//! Names from one source directory cannot meet, so while a target directory has only one, a filter of fixed size is
//! enough. Once several meet in it, each name costs a fingerprint. A hit is a suspicion: the item waits
//! until everything before it is settled, and then the kernel is asked.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::item::{Place, Standing};
use crate::sys::{FileId, folded};
use crate::transfer::Target;

use super::bloom::Bloom;

/// The set is cut up, so that growing it copies a small part of it at a time.
const PARTS: usize = 64;

/// The names that were given out.
#[derive(Debug, Default)]
pub(super) struct Names {
    state: RandomState,
    /// What is known of each target directory.
    firsts: HashMap<FileId, First>,
    /// Sources seen: directory and name.
    sources: Bloom,
    /// Fingerprints of target names, once that is needed.
    targets: Vec<HashSet<u64>>,
}

/// The source directories of one target directory.
#[derive(Debug)]
struct First {
    /// The first, which may be the only one.
    source: FileId,
    is_only: bool,
}

impl Names {
    /// Reserves `target_name` for the source `name` in `place`.
    pub(super) fn reserve(&mut self, target: &Target, place: &Place, name: &[u8], target_name: &[u8]) -> Standing {
        let (here, there) = (place.dir.id(), target.place.dir.id());
        let is_repeated = !self.sources.insert(self.state.hash_one((here, name)));
        let folds = target.folds_case();
        let known = self.firsts.entry(there).or_insert(First { source: here, is_only: true });
        known.is_only &= known.source == here;
        let (first, is_only) = (known.source, known.is_only);
        let mut is_rival = false;
        if folds || !is_only {
            // Names of the first directory were not kept; but a source of this name in it was.
            is_rival = first != here && self.sources.contains(self.state.hash_one((first, name)));
            let fingerprint =
                if folds { self.folded(there, target_name) } else { self.state.hash_one((there, target_name)) };
            if self.targets.is_empty() {
                self.targets.resize_with(PARTS, HashSet::new);
            }
            let part = usize::try_from(fingerprint >> 32).unwrap_or(0) % PARTS;
            is_rival |= !self.targets[part].insert(fingerprint);
        }
        match (is_rival, is_repeated) {
            (true, _) => Standing::Rival,
            (false, true) => Standing::Repeated,
            (false, false) => Standing::Free,
        }
    }

    /// A fingerprint that names have in common if a file system might take them for one. Where it folds otherwise,
    /// the identity of what was published tells.
    fn folded(&self, target: FileId, name: &[u8]) -> u64 {
        self.state.hash_one((target, folded(name).as_slice()))
    }
}
