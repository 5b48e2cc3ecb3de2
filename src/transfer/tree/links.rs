//! Where files with several links have been staged, so that their other names become links, too (P7): within a
//! tree, between the trees of a run, and between trees and single files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use crate::sys::{Dir, FileId, Stat, link, unlink};

use super::nodes::Nodes;

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
}

/// The files with several links that this run has staged in trees.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<HashMap<FileId, Group>>);

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
    pub(super) fn claim(&self, file: FileId) -> Claim {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let group = groups.entry(file).or_insert(Group { home: None, met: 0 });
        group.met += 1;
        if group.met == 1 { Claim::Copy } else { Claim::LinkLater }
    }

    /// The first name was staged, as `staged`: others can link to it.
    pub(super) fn settle_home(&self, file: FileId, staged: FileId, at: At<'_>) {
        if let Some(group) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&file) {
            group.home = Some(at.home(staged));
        }
    }

    /// Makes `new` in `to` one more name of the staged `file`.
    ///
    /// # Errors
    /// ENOENT if it was not staged, or is not there any more: then it has to be copied.
    pub(crate) fn link(&self, file: &Stat, to: &Dir, new: &[u8]) -> Result<(), Errno> {
        let home = {
            let groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            groups.get(&file.id).and_then(|group| group.home.clone()).ok_or(Errno::NOENT)?
        };
        let dir = home.nodes.open(&home.root, home.dir)?;
        link(&dir, &home.name, to, new)?;
        // Somebody may have put another file there since it was published.
        let made = Stat::at(to, new)?;
        if made.id == home.id && made.size == file.size {
            return Ok(());
        }
        unlink(to, new)?;
        Err(Errno::NOENT)
    }

    /// Takes note of a name that an ended run has published, so that names still to come can be links to it.
    pub(super) fn adopt(&self, file: FileId, published: Option<FileId>, at: At<'_>) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let group = groups.entry(file).or_insert(Group { home: None, met: 0 });
        group.met += 1;
        if group.home.is_none() {
            group.home = published.map(|published| at.home(published));
        }
    }

    /// Forgets the files all of whose names have been met: nothing will be linked to them any more.
    pub(super) fn forget_complete(&self, linked: &HashMap<FileId, u32>) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (file, links) in linked {
            if groups.get(file).is_some_and(|group| group.met >= *links) {
                groups.remove(file);
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether some name of the file has not been met.
    pub(super) fn is_open(&self, file: FileId, links: u32) -> bool {
        let groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(&file).is_some_and(|group| group.met < links)
    }

    /// Forgets what a stage that was given up held.
    pub(super) fn forget(&self, root: &Arc<Dir>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, group| group.home.as_ref().is_some_and(|home| !Arc::ptr_eq(&home.root, root)));
    }
}
