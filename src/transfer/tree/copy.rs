//! The walk: each directory is listed, made in the stage, and its files are copied, by whichever worker is free.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::Scope;
use rustix::io::Errno;

use crate::crew::Turn;
use crate::error::{MoveError, Result};
use crate::item::{How, sticky_forbids};
use crate::sys::{
    Dir, Entry, FileKind, Listing, Stat, close, create_named, create_private_dir, effective_user, open_regular,
};
use crate::transfer::content::{Copied, copy_content};
use crate::transfer::dress::{Made, Warnings, creation_mode, dress};
use crate::transfer::special::stage_special;
use crate::transfer::stage::content_error;
use crate::transfer::stamp::Stamp;

use super::frame::StagedFile;
use super::links::{At, Claim};
use super::nodes::Node;
use super::stage::Tree;
use super::told;

/// So many bytes of a piece are noted in the journal at the latest: a checkpoint proves nothing else. Bytes.
const NOTED: u64 = 64 << 20;

/// A directory of the source and its stage, open.
pub(super) struct Pair<'a> {
    source: Dir,
    stage: Dir,
    open: &'a AtomicUsize,
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The walk through one tree.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) tree: &'a Tree<'a>,
}

impl<'a> Walk<'a> {
    /// Stages the directory `id`, and spawns the work on what is in it. `parent` is its parent, where descriptors
    /// allow keeping it open.
    pub(super) fn directory(self, scope: &Scope<'a>, id: u32, parent: Option<Arc<Pair<'a>>>) {
        if self.tree.is_over() {
            return;
        }
        let mut turn = self.tree.context.crew.turn();
        if let Err(error) = self.try_directory(scope, id, parent, &mut turn) {
            self.tree.fail(error);
        }
    }

    fn try_directory(
        self,
        scope: &Scope<'a>,
        id: u32,
        parent: Option<Arc<Pair<'a>>>,
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        let pair = Arc::new(self.open(id, parent.as_deref())?);
        // Its descriptors are needed no longer, unless by other children.
        drop(parent);
        turn.step();
        let open_error = |source| MoveError::Open { path: self.tree.paths(id, b"").0, source };
        let mut listing = Listing::of(&pair.source).map_err(open_error)?;
        let mut names = self.tree.known.contains_key(&self.tree.nodes.path(id)).then(Vec::new);
        loop {
            let entries =
                listing.next_chunk().map_err(|source| MoveError::Read { path: self.tree.paths(id, b"").0, source })?;
            if entries.is_empty() {
                break;
            }
            if let Some(names) = &mut names {
                names.extend(entries.iter().map(|entry| entry.name.clone()));
            }
            self.entries(scope, id, &pair, entries, turn)?;
        }
        if let Some(names) = names {
            self.drop_stale(id, &pair, names)?;
        }
        Ok(())
    }

    /// Sorts what a listing brought into subdirectories and pieces of files.
    fn entries(
        self,
        scope: &Scope<'a>,
        id: u32,
        pair: &Arc<Pair<'a>>,
        entries: Vec<Entry>,
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        let mut files = Vec::new();
        for entry in entries {
            let kind = match entry.kind {
                FileKind::Unknown => {
                    let look = Stat::at(&pair.source, &entry.name);
                    look.map_err(|source| MoveError::Stat { path: self.tree.paths(id, &entry.name).0, source })?.kind
                }
                kind => kind,
            };
            if kind == FileKind::Directory {
                let child = self.tree.add_node(Node { parent: id, name: entry.name, stat: None });
                // Too many open: the child finds its own way from the root.
                let roomy = self.tree.open_dirs.load(Ordering::Relaxed) < self.tree.context.open_dirs;
                let parent = roomy.then(|| Arc::clone(pair));
                scope.spawn(move |scope| self.directory(scope, child, parent));
            } else {
                files.push(Entry { kind, ..entry });
            }
        }
        self.tree.context.counters.known(files.len() as u64);
        // Others may take the rest of it.
        let most = self.tree.context.crew.piece();
        while files.len() > most {
            let piece = files.split_off(files.len() - most);
            let pair = Arc::clone(pair);
            scope.spawn(move |_| {
                let mut turn = self.tree.context.crew.turn();
                self.files(id, &pair, piece, &mut turn);
            });
        }
        self.files(id, pair, files, turn);
        Ok(())
    }

    /// Opens a directory of the source, and makes and opens its stage.
    fn open(self, id: u32, parent: Option<&Pair<'a>>) -> Result<Pair<'a>> {
        let tree = self.tree;
        let (from, to) = tree.paths(id, b"");
        let open = |source| MoveError::Open { path: from.clone(), source };
        let create = |source| MoveError::Create { what: "directory", path: to.clone(), source };
        let node = tree.nodes.get(id).ok_or_else(|| open(Errno::NOENT))?;
        let (source, stage) = if id == super::nodes::ROOT {
            (tree.source.try_clone().map_err(open)?, tree.stage.try_clone().map_err(create)?)
        } else {
            let source = match parent {
                Some(parent) => parent.source.open_child(&node.name),
                None => tree.nodes.open(&tree.source, id),
            };
            let source = source.map_err(open)?;
            self.may_be_moved(&source, id)?;
            if parent.is_some_and(|parent| sticky_forbids(parent.source.stat(), source.stat())) {
                return Err(Box::new(MoveError::Remove { path: from, source: Errno::PERM }));
            }
            let opened;
            let above = if let Some(parent) = parent {
                &parent.stage
            } else {
                opened = tree.nodes.open(&tree.stage, node.parent).map_err(create)?;
                &opened
            };
            match create_private_dir(above, &node.name) {
                Ok(()) => {}
                // A stage that was taken over, in which it may have been something else.
                Err(Errno::EXIST) if tree.takes_over => {
                    if !Stat::at(above, &node.name).map_err(create)?.is_dir() {
                        self.make_way(above, &node.name).map_err(create)?;
                        create_private_dir(above, &node.name).map_err(create)?;
                    }
                }
                Err(error) => return Err(Box::new(create(error))),
            }
            let stage = above.open_child(&node.name).map_err(create)?;
            (source, stage)
        };
        if tree.takes_over {
            // It may have its final mode and ACLs, which keep us out, or let others in by what it gives its children.
            crate::sys::give_mode_held(&stage, 0o700).map_err(create)?;
            stage.readable().and_then(|fd| crate::sys::remove_inherited_acl(&fd)).map_err(create)?;
        }
        tree.tell(id, b"", told::Entry::Made);
        tree.nodes.set_stat(id, *source.stat());
        tree.open_dirs.fetch_add(1, Ordering::Relaxed);
        Ok(Pair { source, stage, open: &tree.open_dirs })
    }

    /// What would make the tree's move fail after everything was copied.
    fn may_be_moved(self, dir: &Dir, id: u32) -> Result<()> {
        let tree = self.tree;
        let refuse =
            |error| Box::new(MoveError::Move { from: tree.paths(id, b"").0, to: tree.paths(id, b"").1, source: error });
        if dir.stat().mount != tree.source.stat().mount {
            return Err(refuse(Errno::BUSY));
        }
        // A bind mount can hide from ".." that the target lies in the source.
        if dir.id() == tree.job.target.place.dir.id() {
            let (from, to) = (tree.job.source.path_of(&tree.job.item), tree.job.target.path(&tree.job.item));
            return Err(Box::new(MoveError::IntoItself { from, to }));
        }
        // A directory of our own lets us in once we ask it to.
        match dir.allows_removal() {
            Err(Errno::ACCESS) if dir.stat().uid == effective_user() => Ok(()),
            Err(source @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => {
                Err(Box::new(MoveError::Remove { path: tree.paths(id, b"").0, source }))
            }
            _ => Ok(()),
        }
    }

    /// Copies some files of a directory, and notes them in the journal.
    fn files(self, id: u32, pair: &Pair<'_>, entries: Vec<Entry>, turn: &mut Turn<'_>) {
        let known = self.tree.known.get(&self.tree.nodes.path(id));
        let mut staged = Vec::with_capacity(entries.len());
        let mut bytes = 0;
        for entry in entries {
            if self.tree.is_over() {
                break;
            }
            if bytes >= NOTED {
                self.note(id, &mut staged);
                bytes = 0;
            }
            match self.file(id, pair, &entry, known.and_then(|known| known.get(&*entry.name))) {
                Ok(Some((stat, how))) => {
                    self.tree.tell(
                        id,
                        &entry.name,
                        told::Entry::Copied((entry.kind == FileKind::Regular).then_some(how)),
                    );
                    bytes += stat.size;
                    staged.push(StagedFile { name: entry.name.into_vec(), stamp: Stamp::of(&stat) });
                    self.tree.context.counters.moved(1);
                }
                Ok(None) => {}
                Err(error) => {
                    self.tree.fail(error);
                    break;
                }
            }
            turn.step();
        }
        self.note(id, &mut staged);
    }

    /// Takes note of what was staged in a directory.
    fn note(self, id: u32, staged: &mut Vec<StagedFile>) {
        self.tree.journal.append_files(id, std::mem::take(staged));
        self.tree.checkpoint_if_due();
    }

    /// Copies one file: what it was, or none if it is to be linked at the end.
    fn file(self, id: u32, pair: &Pair<'_>, entry: &Entry, known: Option<&Stamp>) -> Result<Option<(Stat, How)>> {
        let tree = self.tree;
        let (from, to) = tree.paths(id, &entry.name);
        let stat_error = |source| MoveError::Stat { path: from.clone(), source };
        let open = if entry.kind == FileKind::Regular {
            let file = open_regular(&pair.source, &entry.name)
                .map_err(|source| MoveError::Open { path: from.clone(), source })?;
            Some(file)
        } else {
            None
        };
        let stat = match &open {
            Some(file) => Stat::of(file),
            None => Stat::at(&pair.source, &entry.name),
        }
        .map_err(stat_error)?;
        if stat.kind != entry.kind {
            return Err(Box::new(MoveError::ChangedWhileRead { path: from }));
        }
        if stat.is_pinned || sticky_forbids(pair.source.stat(), &stat) {
            return Err(Box::new(MoveError::Remove { path: from, source: Errno::PERM }));
        }
        if stat.mount != tree.source.stat().mount || stat.is_mount_root {
            return Err(Box::new(MoveError::Move { from, to, source: Errno::BUSY }));
        }
        if stat.links > 1 {
            self.note_linked(&stat);
        }
        if tree.context.links.claim(&stat) == Claim::LinkLater {
            let late = (id, entry.name.clone(), stat);
            tree.late.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(late);
            return Ok(None);
        }
        let mut how = How::default();
        if !self.is_staged_before(pair, &entry.name, &stat, known) {
            tree.context.counters.known_bytes(stat.size);
            let copied = self.copy(pair, &entry.name, open.as_ref(), &stat, (&from, &to))?;
            tree.bytes.fetch_add(copied.bytes, Ordering::Relaxed);
            how = copied.how;
        }
        if stat.links > 1 {
            let staged = Stat::at(&pair.stage, &entry.name).map_err(stat_error)?;
            let at = At { root: &tree.stage, nodes: &tree.nodes, dir: id, name: &entry.name };
            tree.context.links.settle_home(stat.id, staged.id, at);
        }
        Ok(Some((stat, how)))
    }

    fn note_linked(self, stat: &Stat) {
        let mut linked = self.tree.linked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        linked.insert(stat.id, stat.links);
    }

    /// Whether the stage that was taken over holds this file: its journal must prove it durable, and the source
    /// must be what it was then. What else is there under this name is removed.
    fn is_staged_before(self, pair: &Pair<'_>, name: &[u8], stat: &Stat, known: Option<&Stamp>) -> bool {
        if !self.tree.takes_over {
            return false;
        }
        let Ok(staged) = Stat::at(&pair.stage, name) else { return false };
        let is_same = known.is_some_and(|stamp| stamp.matches(stat))
            && staged.kind == stat.kind
            && (staged.size == stat.size || stat.kind != FileKind::Regular);
        if is_same {
            self.tree.reused.fetch_add(stat.size, Ordering::Relaxed);
        } else {
            // Should this fail, creating the file will say so.
            self.make_way(&pair.stage, name).ok();
        }
        is_same
    }

    /// Copies one file, whatever kind it is.
    pub(super) fn copy(
        self,
        pair: &Pair<'_>,
        name: &[u8],
        open: Option<&OwnedFd>,
        stat: &Stat,
        (from, to): (&std::path::Path, &std::path::Path),
    ) -> Result<Copied> {
        let tree = self.tree;
        let mut warnings = Warnings::default();
        let copied = if let Some(file) = open {
            let create = |source| MoveError::Create { what: "regular file", path: to.to_owned(), source };
            let made = create_named(&pair.stage, name, creation_mode(stat)).map_err(create)?;
            let copied = copy_content(tree.context, &tree.route, file, &made, stat)
                .map_err(|error| content_error(error, from, to))?;
            dress(tree.context, tree.copying, (file, &made), stat, Made::File, to, &mut warnings)?;
            if tree.syncs_each() {
                tree.copying.barrier.sync_files([&made]).map(drop).map_err(|error| tree.not_durable(error))?;
            }
            if tree.job.target.is_remote() {
                // Only now a server says whether all of it was taken.
                close(made).map_err(|source| MoveError::Write { path: to.to_owned(), source })?;
            }
            copied
        } else {
            let (source, stage) = ((&pair.source, name), (&pair.stage, name));
            stage_special(tree.context, source, stat, stage, (from, to), &mut warnings)?;
            Copied { bytes: 0, how: How::default() }
        };
        tree.add(warnings);
        Ok(copied)
    }

    /// In a stage that was taken over: removes what the source no longer has.
    fn drop_stale(self, id: u32, pair: &Pair<'_>, mut names: Vec<Box<[u8]>>) -> Result<()> {
        names.sort_unstable();
        let create = |source| MoveError::Create { what: "directory", path: self.tree.paths(id, b"").1, source };
        for entry in Listing::all(&pair.stage).map_err(create)? {
            if names.binary_search(&entry.name).is_ok() {
                continue;
            }
            self.make_way(&pair.stage, &entry.name).map_err(create)?;
        }
        Ok(())
    }

    /// Removes what an ended run has staged under this name, whatever it is.
    fn make_way(self, dir: &Dir, name: &[u8]) -> std::result::Result<(), Errno> {
        let stage_dir = &self.tree.copying.stage_dir;
        let fresh = stage_dir.fresh_name('d');
        crate::sys::rename_replacing(dir, name, stage_dir.dir(), &fresh)?;
        super::clear_tree(stage_dir.dir(), &fresh, || stage_dir.fresh_name('d'))
    }

    /// Opens a directory and its stage once more, for what is left to do at the end.
    pub(super) fn reopen(self, id: u32) -> std::result::Result<Pair<'a>, Errno> {
        let source = self.tree.nodes.open(&self.tree.source, id)?;
        let stage = self.tree.nodes.open(&self.tree.stage, id)?;
        self.tree.open_dirs.fetch_add(1, Ordering::Relaxed);
        Ok(Pair { source, stage, open: &self.tree.open_dirs })
    }
}

impl Pair<'_> {
    pub(super) fn source(&self) -> &Dir {
        &self.source
    }

    pub(super) fn stage(&self) -> &Dir {
        &self.stage
    }
}
