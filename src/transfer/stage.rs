//! Staging a batch: every item's content and properties are put where its target will be, under no name or a
//! hidden one. Nothing that anybody sees changes here.

mod ahead;
mod unstaged;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use crate::crew::Turn;
use crate::error::{MoveError, Result};
use crate::item::{Batch, Gathered, How, Item, Outcome, Place, Settled, Way};
use crate::sys::{Durability, FileId, FileKind, Stat, close, create_named, create_unnamed, open_regular};

use super::content::{ContentError, Copied, copy_content};
use super::dress::{Made, Warnings, creation_mode, dress};
use super::rename::not_a_directory;
use super::special::stage_special;
use super::stage_dir::shows_through;
use super::staged::{Stage, Staged, StagedItem, withdraw};
use super::target::{Copying, Route};
use super::{Context, SyncMode, Target};
use ahead::settle_ahead;
use unstaged::{is_missing, nothing_can_be_staged, nothing_is_there, refuse_same};

/// So many bytes are staged before a batch goes to its barrier, whatever is left of it.
const PART_BYTES: u64 = 256 << 20;

/// So many items are staged before they are published and retired, where no barrier is in between: what the kernel has at
/// hand of a file is still at hand then.
const PART_WITHOUT_BARRIER: usize = 32;

/// An item that this batch cannot settle.
#[derive(Debug)]
pub(crate) enum Deferred {
    /// A directory: it is staged as a tree.
    Tree { source: Arc<Place>, target: Arc<Target>, item: Item },
    /// A directory is at its target, into which it is to be merged.
    Merge { source: Arc<Place>, target: Arc<Target>, item: Item },
    /// Its target exists, and the user is to be asked.
    Ask { source: Arc<Place>, target: Arc<Target>, item: Item },
    /// One of several links to a file: they are moved together.
    Linked { source: Arc<Place>, target: Arc<Target>, item: Item, file: FileId, links: u32 },
}

/// What came of staging (a part of) a batch.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) staged: Option<Staged>,
    pub(crate) settled: Vec<Settled>,
    pub(crate) deferred: Vec<Deferred>,
    /// What is still to be staged, after the barrier has begun with this part.
    pub(crate) rest: Option<Batch<Target>>,
}

impl Part {
    /// Together with what has come of the others.
    fn and(mut self, other: Self) -> Self {
        self.settled.extend(other.settled);
        self.deferred.extend(other.deferred);
        Self { staged: other.staged, rest: other.rest, ..self }
    }
}

enum Done {
    Staged(Box<StagedItem>),
    Settled(Outcome),
    Tree,
    Linked(FileId, u32),
    /// The user is to be asked first.
    Ask,
}

impl Done {
    /// One more name of a file that is staged already: nothing was copied for it.
    fn link(item: &Item, stat: &Stat, stage: Stage, staged_id: Option<FileId>) -> Self {
        let (item, warnings) = (item.clone(), Vec::new());
        Self::Staged(Box::new(StagedItem {
            item,
            stat: *stat,
            stage,
            staged_id,
            bytes: 0,
            how: How::default(),
            warnings,
        }))
    }
}

/// Where workers wait, a batch of more than twice as many items is shared, this many to each. Each share has a record and a
/// barrier of its own.
pub(crate) const SHARE: usize = 16;

/// Whether others should go on with what is `left` of a batch, because this worker is mostly waiting.
pub(crate) fn is_worth_sharing(context: &Context, left: usize, turn: &Turn<'_>) -> bool {
    // Where descriptors are short, one batch at a time has them.
    left > 2 * SHARE && !context.named_stages && turn.is_waiting()
}

/// So many items of a batch are staged before they are published.
fn most_items(context: &Context, copying: &Copying) -> usize {
    let has_barrier = context.sync != SyncMode::None && copying.barrier.durability() != Durability::Never;
    if has_barrier { usize::MAX } else { PART_WITHOUT_BARRIER }
}

/// Stages items of `batch` until there is enough for a barrier, or others should go on.
pub(crate) fn stage_batch(context: &Context, batch: Batch<Target>, turn: &mut Turn<'_>) -> Part {
    let Batch { source, target, items } = batch;
    // A stage directory for nothing would change the target directory's times.
    if !target.is_prepared() && items.iter().all(|item| is_missing(&source, item)) {
        return nothing_is_there(context, Batch { source, target, items });
    }
    let mut part = Part::default();
    let items = settle_ahead(context, &source, &target, items, &mut part);
    if items.is_empty() {
        return part;
    }
    let copying = match target.copying(context) {
        Ok(copying) => copying,
        Err(error) => return part.and(nothing_can_be_staged(context, Batch { source, target, items }, error)),
    };
    if shows_through(&copying.stage_dir, &source.dir) {
        return part.and(refuse_same(context, Batch { source, target, items }));
    }
    let route = copying.route(source.dir.stat().mount);
    let mut staged: Vec<StagedItem> = Vec::with_capacity(items.len());
    let mut bytes = 0;
    // Links to one file must be staged together, however large it is.
    let is_gathered = items.iter().any(|item| item.links != Gathered::No);
    let (most_bytes, most) =
        if is_gathered { (u64::MAX, usize::MAX) } else { (PART_BYTES, most_items(context, copying)) };
    let mut items = items.into_iter();
    while bytes < most_bytes
        && staged.len() < most
        && (staged.is_empty() || is_gathered || !is_worth_sharing(context, items.len(), turn))
        && let Some(item) = items.next()
    {
        let from = Arc::clone(item.place_or(&source));
        let stager = Stager { context, copying, route: &route, from: &from, target: &target };
        let done = stager.stage(&item, &staged).unwrap_or_else(|error| Done::Settled(Outcome::Failed(error)));
        match done {
            Done::Staged(one) => {
                bytes += one.bytes;
                staged.push(StagedItem { item, ..*one });
            }
            Done::Settled(outcome) => part.settled.push(context.settle(&source, &target.place, &item, outcome)),
            Done::Tree => part.deferred.push(Deferred::Tree { source: from, target: Arc::clone(&target), item }),
            Done::Ask => part.deferred.push(Deferred::Ask { source: from, target: Arc::clone(&target), item }),
            Done::Linked(file, links) => {
                part.deferred.push(Deferred::Linked { source: from, target: Arc::clone(&target), item, file, links });
            }
        }
        turn.step();
    }
    let rest: Vec<Item> = items.collect();
    if !rest.is_empty() {
        part.rest = Some(Batch { source: Arc::clone(&source), target: Arc::clone(&target), items: rest });
    }
    if !staged.is_empty() {
        let whole = Staged { source, target: Arc::clone(&target), items: staged, record: None };
        match whole.with_record(context, copying) {
            Ok(staged) => part.staged = Some(staged),
            Err(settled) => part.settled.extend(settled),
        }
    }
    part
}

/// What staging one item needs.
struct Stager<'a> {
    context: &'a Context,
    copying: &'a Copying,
    route: &'a Route,
    from: &'a Place,
    target: &'a Target,
}

impl Stager<'_> {
    fn stage(&self, item: &Item, earlier: &[StagedItem]) -> Result<Done> {
        let path = || self.from.path_of(item);
        if self.context.stop.is_set() {
            return Err(Box::new(MoveError::NotReached { path: path() }));
        }
        // A listing that says "regular" saves the look; whatever it says is checked on what was opened.
        let looked = if item.hint == Some(FileKind::Regular) && !item.only_directory {
            None
        } else {
            let stat = Stat::at(&self.from.dir, &item.name)
                .map_err(|source| self.target.missing(self.context, self.from, item, source))?;
            if item.only_directory && !stat.is_dir() {
                return Err(Box::new(not_a_directory(self.from, self.target.path(item), item, &stat)));
            }
            Some(stat)
        };
        match looked.map_or(FileKind::Regular, |stat| stat.kind) {
            FileKind::Directory if self.context.way == Way::Any => Ok(Done::Tree),
            FileKind::Directory => Err(self.not_copied(item)),
            FileKind::Regular => self.regular(item, looked, earlier),
            _ => {
                let stat = looked.ok_or_else(|| MoveError::UnknownKind { path: path() })?;
                self.special(item, stat, earlier)
            }
        }
    }

    fn regular(&self, item: &Item, looked: Option<Stat>, earlier: &[StagedItem]) -> Result<Done> {
        let path = self.from.path_of(item);
        let file = match open_regular(&self.from.dir, &item.name) {
            Ok(file) => file,
            // It was looked at, or listed, before.
            Err(Errno::NOENT) => return Err(Box::new(MoveError::Vanished { path })),
            // It is not what the listing said: a symlink, or a socket, by now.
            Err(Errno::LOOP | Errno::NXIO) if looked.is_none() => {
                return self.stage(&Item { hint: None, ..item.clone() }, earlier);
            }
            Err(source) => return Err(Box::new(MoveError::Open { path, source })),
        };
        let stat = Stat::of(&file).map_err(|source| MoveError::Stat { path: path.clone(), source })?;
        // Swapped between the look and the opening: whoever did it wants us to read something else.
        if stat.kind != FileKind::Regular || looked.is_some_and(|looked| looked.id != stat.id) {
            return Err(Box::new(MoveError::ChangedWhileRead { path }));
        }
        let mut warnings = Warnings::default();
        if let Some(done) = self.before_copying(item, &stat, earlier, &mut warnings)? {
            return Ok(done);
        }
        self.context.counters.known_bytes(stat.size);
        let target_path = self.target.path(item);
        let (to, name) = self.create(item, &stat)?;
        let filled = self.fill(&file, &to, &stat, &path, &target_path).and_then(|bytes| {
            dress(self.context, self.copying, (&file, &to), &stat, Made::File, &target_path, &mut warnings)?;
            self.sync_each(&to, &path, &target_path)?;
            Ok(bytes)
        });
        let finished = filled.and_then(|Copied { bytes, how }| {
            let (stage, staged_id) = self.close(to, name.clone(), &target_path)?;
            let (item, warnings) = (item.clone(), warnings.0);
            Ok(Done::Staged(Box::new(StagedItem { item, stat, stage, staged_id, bytes, how, warnings })))
        });
        if let (Err(_), Some(name)) = (&finished, name) {
            withdraw(self.copying, &Stage::Named(name, None));
        }
        finished
    }

    /// The stage of a file that is filled. On a server it is closed first: only that says whether all of it was taken.
    fn close(&self, file: OwnedFd, name: Option<Vec<u8>>, to: &std::path::Path) -> Result<(Stage, Option<FileId>)> {
        let Some(name) = name else { return Ok((Stage::Unnamed(file), None)) };
        if !self.target.is_remote() {
            return Ok((Stage::Named(name, (!self.context.named_stages).then_some(file)), None));
        }
        let id = Stat::of(&file).ok().map(|stat| stat.id);
        close(file).map_err(|source| MoveError::Write { path: to.to_owned(), source })?;
        Ok((Stage::Named(name, None), id))
    }

    /// Where barriers go file by file, the file is made durable at once, on this thread.
    fn sync_each(&self, file: &OwnedFd, from: &std::path::Path, to: &std::path::Path) -> Result<()> {
        let barrier = &self.copying.barrier;
        if barrier.durability() != Durability::Each || self.context.sync == SyncMode::None {
            return Ok(());
        }
        match barrier.sync_files([file]) {
            // The batch's own barrier makes the proof.
            Ok(durable) => {
                drop(durable);
                Ok(())
            }
            Err(source) => Err(Box::new(MoveError::NotDurable { from: from.to_owned(), to: to.to_owned(), source })),
        }
    }

    /// Makes the file that is filled: without a name if that works here, else under a hidden one.
    fn create(&self, item: &Item, stat: &Stat) -> Result<(OwnedFd, Option<Vec<u8>>)> {
        let dir = self.copying.stage_dir.dir();
        let mode = creation_mode(stat);
        if !self.copying.no_unnamed.load(Ordering::Relaxed) {
            match create_unnamed(dir, mode) {
                Ok(file) => return Ok((file, None)),
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS | Errno::NOENT) => {
                    self.copying.no_unnamed.store(true, Ordering::Relaxed);
                }
                Err(error) => return Err(self.cannot_create(item, error)),
            }
        }
        let name = self.copying.stage_dir.fresh_name('s');
        let file = create_named(dir, &name, mode).map_err(|error| self.cannot_create(item, error))?;
        Ok((file, Some(name)))
    }

    fn cannot_create(&self, item: &Item, source: Errno) -> Box<MoveError> {
        Box::new(MoveError::Create { what: "regular file", path: self.target.path(item), source })
    }

    fn fill(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        stat: &Stat,
        path: &std::path::Path,
        target_path: &std::path::Path,
    ) -> Result<Copied> {
        copy_content(self.context, self.route, from, to, stat)
            .map_err(|error| Box::new(content_error(error, path, target_path)))
    }

    fn special(&self, item: &Item, stat: Stat, earlier: &[StagedItem]) -> Result<Done> {
        let mut warnings = Warnings::default();
        if let Some(done) = self.before_copying(item, &stat, earlier, &mut warnings)? {
            return Ok(done);
        }
        let (path, target_path) = (self.from.path_of(item), self.target.path(item));
        let name = self.copying.stage_dir.fresh_name('s');
        let to = (self.copying.stage_dir.dir(), &name[..]);
        let paths = (&*path, &*target_path);
        match stage_special(self.context, (&self.from.dir, &item.name), &stat, to, paths, &mut warnings) {
            Ok(()) => {
                let staged = if self.target.is_remote() { Stat::at(to.0, to.1).ok() } else { None };
                let staged_id = staged.map(|stat| stat.id);
                let stage = Stage::Named(name, None);
                let (item, warnings) = (item.clone(), warnings.0);
                Ok(Done::Staged(Box::new(StagedItem {
                    item,
                    stat,
                    stage,
                    staged_id,
                    bytes: 0,
                    how: How::default(),
                    warnings,
                })))
            }
            Err(error) => {
                withdraw(self.copying, &Stage::Named(name, None));
                Err(error)
            }
        }
    }
}

/// Puts what copying said into mv's words.
pub(super) fn content_error(error: ContentError, from: &std::path::Path, to: &std::path::Path) -> MoveError {
    match error {
        ContentError::Read(source) => MoveError::Read { path: from.to_owned(), source },
        ContentError::Write(source) => MoveError::Write { path: to.to_owned(), source },
        ContentError::Changed => MoveError::ChangedWhileRead { path: from.to_owned() },
        ContentError::Stopped => MoveError::NotReached { path: from.to_owned() },
    }
}
