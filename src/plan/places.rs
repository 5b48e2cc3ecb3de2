//! The source directories: opened once, a bounded number of them held, and watched for overlaps.
//!
//! `d d/x`, `d/x d` and the output of a plain `find` name a directory and what is in it. Such sources must not be
//! moved side by side, and what has gone with its directory counts as moved.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::Arc;

use rustix::io::Errno;

use crate::item::Place;
use crate::sys::Dir;

use super::bloom::Bloom;

/// So many directories are held open at most: lists mostly come directory by directory.
const HELD: usize = 32;

/// How a source lies to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    None,
    /// A directory on its way may be a source itself.
    Within,
    /// Sources in it, or below it, have been named.
    Around,
}

/// What a source's path is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

/// The source directories of a run.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    /// The most recently used last.
    held: VecDeque<(Box<[u8]>, usize, Arc<Place>)>,
    state: RandomState,
    /// Paths of sources.
    sources: Bloom,
    /// Paths of directories that hold sources, and of those above them.
    parents: HashSet<u64>,
    /// Paths of directories that were merged.
    merged: HashSet<u64>,
    /// The last parent that was looked at: mostly the next one is the same.
    last: Option<Box<[u8]>>,
    /// The last parent of which a name's fingerprint was taken, and what had been hashed with that.
    hashed: Option<(Box<[u8]>, DefaultHasher)>,
    /// The last operand's parent.
    last_operand: Option<Box<[u8]>>,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.clamp(1, HELD),
            held: VecDeque::new(),
            state: RandomState::new(),
            sources: Bloom::default(),
            parents: HashSet::new(),
            merged: HashSet::new(),
            last: None,
            hashed: None,
            last_operand: None,
        }
    }

    /// Looks for overlaps of the source with this fingerprint, in the directory `parent` (with its slash), with the sources
    /// before it.
    pub(super) fn overlap(&mut self, source: Fingerprint, parent: &[u8]) -> Overlap {
        if self.last.as_deref() != Some(parent) {
            self.last = Some(parent.into());
            let mut is_within = false;
            for at in slashes(parent) {
                let above = self.fingerprint(&parent[..at]);
                self.parents.insert(above);
                is_within |= self.sources.contains(above);
            }
            if is_within {
                // The next one in the same directory has to wait as well.
                self.last = None;
                return Overlap::Within;
            }
        }
        if self.parents.contains(&source.0) { Overlap::Around } else { Overlap::None }
    }

    /// Takes note of a source.
    pub(super) fn note_source(&mut self, source: Fingerprint) {
        self.sources.insert(source.0);
    }

    /// Takes note of a source whose entries have become sources themselves.
    pub(super) fn note_merged(&mut self, path: &[u8]) {
        let fingerprint = self.fingerprint(path);
        self.merged.insert(fingerprint);
    }

    /// Whether `path` lies in a directory whose entries have become sources.
    pub(super) fn was_merged(&self, path: &[u8]) -> bool {
        !self.merged.is_empty() && slashes(path).any(|at| self.merged.contains(&self.fingerprint(&path[..at])))
    }

    /// The directories on the way of `path` that were (or seem to have been) sources of this run: where each ends.
    pub(super) fn sources_above(&self, path: &[u8]) -> impl Iterator<Item = usize> {
        slashes(path).filter(|&at| self.sources.contains(self.fingerprint(&path[..at])))
    }

    /// The fingerprint of the name `name` in the directory `parent` (with its slash). The path is not hashed again for each
    /// name in it: that was a quarter of all that a list's name costs in instructions.
    pub(super) fn source(&mut self, parent: &[u8], name: &[u8]) -> Fingerprint {
        let known = self.hashed.as_ref().filter(|(known, _)| **known == *parent);
        let mut hasher = if let Some((_, hasher)) = known {
            hasher.clone()
        } else {
            let hasher = self.hashed_to(parent);
            self.hashed = Some((parent.into(), hasher.clone()));
            hasher
        };
        add_names(name, &mut hasher);
        Fingerprint(hasher.finish())
    }

    /// A fingerprint of a path, whatever superfluous slashes and dots it is written with.
    fn fingerprint(&self, path: &[u8]) -> u64 {
        self.hashed_to(path).finish()
    }

    fn hashed_to(&self, path: &[u8]) -> DefaultHasher {
        let mut hasher = self.state.build_hasher();
        hasher.write_u8(u8::from(path.starts_with(b"/")));
        add_names(path, &mut hasher);
        hasher
    }

    /// Lets go of all directories: one of them may have been moved, and its path stands for another now.
    pub(super) fn forget(&mut self) {
        self.held.clear();
    }

    /// Whether a directory is reached through a symlink, unless that was asked for the source before as well. An earlier
    /// operand may be about to move what the link leads to: mv's user would see that it has.
    pub(super) fn leads_through_link(&mut self, path: &[u8], is_first: bool) -> bool {
        if self.last_operand.as_deref() == Some(path) {
            return false;
        }
        self.last_operand = Some(path.into());
        // Before the first one nothing has moved.
        let is_linked = !is_first && Dir::is_through_link(path);
        if is_linked {
            // To be opened anew.
            self.held.retain(|(held, ..)| **held != *path);
        }
        is_linked
    }

    /// Opens a directory. Symlinks in the first `trusted` bytes of its path are followed, others refused.
    pub(super) fn open(&mut self, path: &[u8], trusted: usize) -> Result<Arc<Place>, Errno> {
        if let Some(at) = self.held.iter().rposition(|(held, len, _)| **held == *path && *len == trusted) {
            if at + 1 == self.held.len() {
                return Ok(Arc::clone(&self.held[at].2));
            }
            if let Some(found) = self.held.remove(at) {
                let place = Arc::clone(&found.2);
                self.held.push_back(found);
                return Ok(place);
            }
        }
        let dir = if trusted == path.len() {
            Dir::open_named(path)?
        } else {
            let below = &path[trusted..];
            let start = below.iter().position(|&byte| byte != b'/');
            Dir::open_named(&path[..trusted])?.open_beneath(start.map_or(b".", |start| &below[start..]))?
        };
        let place = Arc::new(Place::new(dir, path));
        if self.held.len() >= self.most {
            self.held.pop_front();
        }
        self.held.push_back((path.into(), trusted, Arc::clone(&place)));
        Ok(place)
    }
}

/// Adds the names of a path, each with a slash behind it.
fn add_names(path: &[u8], hasher: &mut DefaultHasher) {
    for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
        hasher.write(name);
        hasher.write_u8(b'/');
    }
}

/// Where the slashes in a path are, but for one that it begins with.
fn slashes(path: &[u8]) -> impl Iterator<Item = usize> {
    path.iter().enumerate().filter(|&(at, &byte)| byte == b'/' && at > 0).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_directory_is_known_by_its_path() {
        let mut places = Places::new(1);
        for path in ["a", "b", "d/a", "d/b", "/d/b", "/a", "d/e/a", "d/.", ".", "/", ""] {
            let (parent, name) = super::super::split(path.as_bytes());
            let whole = Fingerprint(places.fingerprint(path.as_bytes()));
            // Also when the directory is known already.
            assert_eq!([places.source(parent, name), places.source(parent, name)], [whole; 2], "{path}");
        }
        assert_eq!(places.source(b"d//./", b"a"), places.source(b"d/", b"a"));
        assert_ne!(places.source(b"d/", b"a"), places.source(b"/d/", b"a"));
    }
}
