//! What `-v` tells of a directory that was copied: every entry of it, in the order of a walk through it, whatever the order
//! in which the workers came to them.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::item::{How, path_from};
use crate::report::{copied, created_directory, how_copied, removed, removed_directory};
use crate::transfer::Context;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A directory was made.
    Made,
    /// A file was copied; how, if it has a content.
    Copied(Option<How>),
    /// It is one more name of what was copied.
    Linked,
}

/// The entries of one tree, by their paths below its root; nothing, if nobody wants to know.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Vec<(Vec<u8>, Entry)>>);

impl Told {
    /// Takes note of what became of an entry.
    pub(super) fn note(&self, below: Vec<u8>, entry: Entry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((below, entry));
    }

    /// The lines for a tree that has moved from `from` to `to`.
    pub(super) fn lines(self, context: &Context, from: &[u8], to: &[u8]) -> Vec<String> {
        let mut entries = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        entries.sort_unstable_by(|(a, _), (b, _)| names(a).cmp(names(b)));
        let path = |root: &[u8], below: &[u8]| -> PathBuf {
            let slash: &[u8] = if below.is_empty() || root.ends_with(b"/") { b"" } else { b"/" };
            path_from([root, slash, below].concat())
        };
        let (mut lines, mut removals) = (Vec::new(), Vec::new());
        // Directories on the way to the entry at hand: each is removed behind its last entry.
        let mut open: Vec<&[u8]> = Vec::new();
        for (below, entry) in &entries {
            while let Some(dir) = open.pop_if(|dir| !is_in(below, dir)) {
                removals.push(removed_directory(&path(from, dir)));
            }
            match entry {
                Entry::Made => {
                    lines.push(created_directory(&path(to, below)));
                    open.push(below);
                    continue;
                }
                Entry::Copied(how) => {
                    lines.push(copied(&path(from, below), &path(to, below), None));
                    lines.extend(how.filter(|_| context.debug).map(how_copied));
                }
                Entry::Linked => {}
            }
            removals.push(removed(&path(from, below)));
        }
        removals.extend(open.iter().rev().map(|dir| removed_directory(&path(from, dir))));
        lines.extend(removals);
        lines
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

/// Whether a path lies below a directory.
fn is_in(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"))
}
