//! The directories of a tree, by number: which lies in which, and what they were.

use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::sys::{Dir, Stat};

/// The number of a tree's root.
pub(super) const ROOT: u32 = 0;

/// A kernel path may have 4096 bytes (`PATH_MAX`); a longer way is gone in several steps.
const STEP: usize = 4000;

/// A directory of a tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) parent: u32,
    pub(super) name: Box<[u8]>,
    /// What the source directory was; none where only the journal is known.
    pub(super) stat: Option<Stat>,
}

/// All directories of a tree. A parent has a smaller number than its children.
#[derive(Debug, Default)]
pub(super) struct Nodes(Mutex<Vec<Node>>);

impl Nodes {
    /// Adds a directory, and calls `note` with its number before any other can be added.
    pub(super) fn add(&self, node: Node, note: impl FnOnce(u32, &Node)) -> u32 {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = u32::try_from(list.len()).unwrap_or(u32::MAX);
        note(id, &node);
        list.push(node);
        id
    }

    pub(super) fn get(&self, id: u32) -> Option<Node> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id as usize).cloned()
    }

    /// All directories, the deepest first: those of one level don't lie in each other, and may be worked on side by side.
    pub(super) fn levels_upwards(&self) -> Vec<Vec<u32>> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut depths: Vec<usize> = Vec::with_capacity(list.len());
        let mut levels: Vec<Vec<u32>> = Vec::new();
        for (index, node) in list.iter().enumerate() {
            let parent = node.parent as usize;
            // The root is its own parent; what a journal says may be anything.
            let depth = if parent < index { depths[parent] + 1 } else { 0 };
            depths.push(depth);
            levels.resize_with(levels.len().max(depth + 1), Vec::new);
            levels[depth].push(u32::try_from(index).unwrap_or(u32::MAX));
        }
        levels.reverse();
        levels
    }

    /// Takes note of what a source directory was when it was opened.
    pub(super) fn set_stat(&self, id: u32, stat: Stat) {
        if let Some(node) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id as usize) {
            node.stat = Some(stat);
        }
    }

    /// The way from the root to a directory: the names in between, its own last. Empty for the root.
    pub(super) fn way(&self, id: u32) -> Vec<Box<[u8]>> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut way = Vec::new();
        let mut at = id;
        while at != ROOT
            && let Some(node) = list.get(at as usize)
        {
            way.push(node.name.clone());
            // Numbers that were read back from a journal may say anything, but must not lead round in circles.
            at = if node.parent < at { node.parent } else { ROOT };
        }
        way.reverse();
        way
    }

    /// The path of a directory below the root, for messages and as a key.
    pub(super) fn path(&self, id: u32) -> Vec<u8> {
        self.way(id).join(&b'/')
    }

    /// Opens a directory, going down from `root`.
    pub(super) fn open(&self, root: &Dir, id: u32) -> Result<Dir, Errno> {
        let mut here: Option<Dir> = None;
        let mut step: Vec<u8> = Vec::new();
        for name in self.way(id) {
            if step.len() + name.len() + 1 > STEP {
                here = Some(here.as_ref().unwrap_or(root).open_beneath(&step)?);
                step.clear();
            }
            if !step.is_empty() {
                step.push(b'/');
            }
            step.extend_from_slice(&name);
        }
        if step.is_empty() {
            step.push(b'.');
        }
        here.as_ref().unwrap_or(root).open_beneath(&step)
    }
}
