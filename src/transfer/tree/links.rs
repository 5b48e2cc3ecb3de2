//! Where files with several links have been staged, so that their other names become links, too (P7): within a
//! tree, between the trees of a run, and between trees and single files.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::sys::{Dir, FileId, Stat, link, unlink};

use super::nodes::{Nodes, ROOT};
use crate::transfer::Target;
use crate::transfer::compare::is_copy;

/// The place of a staged file: below a stage's root, which stays open through its publishing.
#[derive(Clone, Debug)]
struct Home {
    root: Arc<Dir>,
    nodes: Arc<Nodes>,
    dir: u32,
    name: Box<[u8]>,
    /// What was staged there.
    id: FileId,
}

/// Where a file is in a tree.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) root: &'a Arc<Dir>,
    pub(super) nodes: &'a Arc<Nodes>,
    pub(super) dir: u32,
    pub(super) name: &'a [u8],
}

impl At<'_> {
    fn home(self, id: FileId) -> Home {
        let Self { root, nodes, dir, name } = self;
        Home { root: Arc::clone(root), nodes: Arc::clone(nodes), dir, name: name.into(), id }
    }
}

/// What is known of one file with several links.
#[derive(Debug)]
struct Group {
    /// None while its first name is being copied.
    home: Option<Home>,
    /// Names met so far.
    met: u32,
    /// Its home is a single file's, whose directory is held open for it.
    is_single: bool,
}

/// The files with several links that this run has staged in trees, and those whose names were moved one after the other.
#[derive(Debug, Default)]
pub(crate) struct Links {
    groups: Mutex<HashMap<FileId, Group>>,
    /// Names may be gone whose files are remembered here: a file's last name need not show that it had others, and its
    /// inode number may be another file's by now.
    outlives: AtomicBool,
}

/// What to do with a name of a file that has several.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is the first: copy it, then call [`Links::settle_home`].
    Copy,
    /// Another name is, or will be, staged: link to it at the end.
    LinkLater,
}

impl Links {
    /// Takes note of a name.
    pub(super) fn claim(&self, file: &Stat) -> Claim {
        if !self.may_know(file) {
            return Claim::Copy;
        }
        let mut groups = self.groups();
        if file.links == 1 {
            return if groups.contains_key(&file.id) { Claim::LinkLater } else { Claim::Copy };
        }
        let group = groups.entry(file.id).or_insert(Group { home: None, met: 0, is_single: false });
        group.met += 1;
        if group.met == 1 && group.home.is_none() { Claim::Copy } else { Claim::LinkLater }
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<FileId, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another name of this file may have been met.
    pub(crate) fn may_know(&self, file: &Stat) -> bool {
        file.links > 1 || self.outlives.load(Ordering::Relaxed)
    }

    /// Sources of what is remembered here are removed before all names have been met.
    pub(crate) fn outlive_sources(&self) {
        self.outlives.store(true, Ordering::Relaxed);
    }

    /// Takes note of a single file that was published before its other names were met.
    pub(crate) fn note_single(&self, file: FileId, target: &Target, name: &[u8]) {
        self.outlive_sources();
        if let Ok(root) = target.shared_dir()
            && let Ok(published) = Stat::at(&root, name)
        {
            let at = At { root: &root, nodes: &Arc::default(), dir: ROOT, name };
            let mut groups = self.groups();
            let group = groups.entry(file).or_insert(Group { home: None, met: 0, is_single: false });
            group.is_single |= group.home.is_none();
            group.home.get_or_insert_with(|| at.home(published.id));
        }
    }

    /// The first name was staged, as `staged`: others can link to it.
    pub(super) fn settle_home(&self, file: FileId, staged: FileId, at: At<'_>) {
        if let Some(group) = self.groups().get_mut(&file) {
            group.home = Some(at.home(staged));
        }
    }

    /// Makes `new` in `to` one more name of what was staged of the file that `source` names: a directory, a name, and
    /// what it was.
    ///
    /// # Errors
    /// ENOENT if it was not staged, or is not there any more: then it has to be copied. Any other if that could not be found
    /// out, or there can be no link.
    pub(crate) fn link(&self, source: (&Dir, &[u8], &Stat), to: &Dir, new: &[u8]) -> Result<(), Errno> {
        let (from, name, file) = source;
        let home = self.groups().get(&file.id).and_then(|group| group.home.clone()).ok_or(Errno::NOENT)?;
        let dir = home.nodes.open(&home.root, home.dir)?;
        link(&dir, &home.name, to, new)?;
        // Somebody may have put another file there since it was published.
        let is_it = Stat::at(to, new).and_then(|made| {
            let may_be = made.id == home.id && made.size == file.size;
            Ok(may_be && (!self.outlives.load(Ordering::Relaxed) || is_copy(from, name, file, to, new, &made)?))
        });
        if is_it == Ok(true) {
            return Ok(());
        }
        unlink(to, new)?;
        Err(is_it.err().unwrap_or(Errno::NOENT))
    }

    /// Takes note of a name that an ended run has published, so that names still to come can be links to it.
    pub(super) fn adopt(&self, file: FileId, published: Option<FileId>, at: At<'_>) {
        let mut groups = self.groups();
        let group = groups.entry(file).or_insert(Group { home: None, met: 0, is_single: false });
        group.met += 1;
        if group.home.is_none() {
            group.home = published.map(|published| at.home(published));
        }
    }

    /// Forgets the files all of whose names have been met: nothing will be linked to them any more.
    pub(super) fn forget_complete(&self, linked: &HashMap<FileId, u32>) {
        let mut groups = self.groups();
        for (file, links) in linked {
            if groups.get(file).is_some_and(|group| group.met >= *links) {
                groups.remove(file);
            }
        }
    }

    /// Forgets single files: all their names have gone.
    pub(crate) fn forget_singles(&self) {
        self.groups().retain(|_, group| !group.is_single);
    }

    /// In how many directories single files are remembered: each is held open.
    pub(crate) fn dirs_of_singles(&self) -> usize {
        let groups = self.groups();
        let homes = groups.values().filter(|group| group.is_single).filter_map(|group| group.home.as_ref());
        homes.map(|home| Arc::as_ptr(&home.root)).collect::<HashSet<_>>().len()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.groups().clear();
    }

    /// Whether some name of the file has not been met.
    pub(super) fn is_open(&self, file: FileId, links: u32) -> bool {
        let groups = self.groups();
        groups.get(&file).is_some_and(|group| group.met < links)
    }

    /// Forgets what a stage that was given up held.
    pub(super) fn forget(&self, root: &Arc<Dir>) {
        self.groups().retain(|_, group| group.home.as_ref().is_some_and(|home| !Arc::ptr_eq(&home.root, root)));
    }
}
