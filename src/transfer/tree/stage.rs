//! Staging a tree: checks first, then the walk, side by side on the pool's workers, then links, then the
//! directories' own properties from the bottom up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Outcome, Settled, Verdict, Warning};
use crate::sys::{
    Dir, Durability, FileId, Listing, Stat, birth_of, create_private_dir, effective_user, is_below, rename_replacing,
    unlink_dir,
};
use crate::transfer::dress::Warnings;
use crate::transfer::stage::Deferred;
use crate::transfer::target::{Copying, Route};
use crate::transfer::{Context, SyncMode, Target};

use super::abandon::checkpoint;
use super::copy::Walk;
use super::frame::{Frame, Header, Known};
use super::journal::Journal;
use super::nodes::{Node, Nodes, ROOT};
use super::told::{self, Told};
use super::{TreeJob, finish};

/// A name of a file of which another name is staged elsewhere: its directory, the name, and what the file was.
pub(super) type Late = (u32, Box<[u8]>, Stat);

/// What all workers on one tree share.
pub(super) struct Tree<'a> {
    pub(super) context: &'a Context,
    pub(super) copying: &'a Copying,
    pub(super) route: Arc<Route>,
    pub(super) job: &'a TreeJob,
    /// The source's root, and the stage's.
    pub(super) source: Dir,
    pub(super) stage: Arc<Dir>,
    pub(super) nodes: Arc<Nodes>,
    pub(super) journal: Journal,
    pub(super) known: Known,
    /// The stage is one that an ended run left.
    pub(super) takes_over: bool,
    pub(super) bytes: AtomicU64,
    /// Bytes that an ended run had staged.
    pub(super) reused: AtomicU64,
    pub(super) failure: OnceLock<Box<MoveError>>,
    pub(super) warnings: Mutex<Warnings>,
    /// What `-v` will tell.
    pub(super) told: Told,
    /// Names of files of which another name is staged elsewhere.
    pub(super) late: Mutex<Vec<Late>>,
    /// Files with several links that were staged, by how many.
    pub(super) linked: Mutex<HashMap<FileId, u32>>,
    pub(super) open_dirs: AtomicUsize,
    pub(super) last_checkpoint: Mutex<(Instant, u64)>,
}

/// A tree whose content is staged, but not known to be durable.
#[derive(Debug)]
pub(crate) struct StagedTree {
    pub(super) job: TreeJob,
    pub(super) header: Header,
    pub(super) journal: Journal,
    pub(super) root: Arc<Dir>,
    pub(super) source: Stat,
    pub(super) bytes: u64,
    /// Bytes that an ended run had staged.
    pub(super) reused: u64,
    pub(super) warnings: Vec<Warning>,
    pub(super) told: Told,
    /// Some of its files have names outside that have not been met.
    pub(super) has_open_links: bool,
}

/// Why a tree was not staged.
pub(crate) enum NotStaged {
    /// That is its end.
    Settled(Box<Settled>),
    /// Something else has to be done first.
    Deferred(Box<Deferred>),
}

/// What a look at source and target says before anything is copied.
enum Look {
    /// It can be staged; what the source is.
    Stage(Stat),
    /// The policy leaves source and target alone.
    Skip,
    /// The user is to be asked first.
    Ask,
    /// It is to be merged into what is there.
    Merge,
}

/// Stages a directory as a tree.
///
/// # Errors
/// It was not staged, or not wholly.
pub(crate) fn stage_tree(context: &Context, job: TreeJob) -> std::result::Result<Box<StagedTree>, NotStaged> {
    let settle = |job: TreeJob, outcome| NotStaged::Settled(Box::new(job.settle(context, outcome)));
    let stat = match look_first(context, &job) {
        Ok(Look::Stage(stat)) => stat,
        Ok(Look::Skip) => return Err(settle(job, Outcome::Skipped)),
        Ok(Look::Ask) => {
            let TreeJob { source, target, item, .. } = job;
            return Err(NotStaged::Deferred(Box::new(Deferred::Ask { source, target, item })));
        }
        Ok(Look::Merge) => {
            let TreeJob { source, target, item, .. } = job;
            return Err(NotStaged::Deferred(Box::new(Deferred::Merge { source, target, item })));
        }
        Err(error) => return Err(settle(job, Outcome::Failed(error))),
    };
    let guard = context.counters.staging(job.target.path(&job.item));
    let target = Arc::clone(&job.target);
    let prepared = prepare(context, &target, &job, &stat);
    let (tree, header) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Err(settle(job, Outcome::Failed(error))),
    };
    let result = fill(&tree, &stat);
    context.links.forget_complete(&tree.linked.lock().unwrap_or_else(PoisonError::into_inner));
    let Tree { stage, journal, bytes, reused, warnings, told, linked, .. } = tree;
    drop(guard);
    let bytes = bytes.into_inner();
    let linked = linked.into_inner().unwrap_or_else(PoisonError::into_inner);
    let staged = StagedTree {
        has_open_links: linked.iter().any(|(&file, &links)| context.links.is_open(file, links)),
        job,
        header,
        journal,
        root: stage,
        source: stat,
        bytes,
        reused: reused.into_inner(),
        warnings: warnings.into_inner().unwrap_or_else(PoisonError::into_inner).0,
        told,
    };
    // A directory that somebody else is removing falls to pieces while it is read.
    match result.map_err(|error| staged.job.blame(&stat, error)) {
        Ok(()) => Ok(Box::new(staged)),
        Err(error) => Err(NotStaged::Settled(Box::new(staged.abandon(context, error)))),
    }
}

/// What can be known before anything is copied.
fn look_first(context: &Context, job: &TreeJob) -> Result<Look> {
    let (from, to) = (|| job.source.path_of(&job.item), || job.target.path(&job.item));
    let stat = Stat::at(&job.source.dir, &job.item.name)
        .map_err(|source| job.target.missing(context, &job.source, &job.item, source))?;
    if stat.is_mount_root {
        return Err(Box::new(MoveError::Move { from: from(), to: to(), source: Errno::BUSY }));
    }
    if is_below(&job.target.place.dir, stat.id).unwrap_or(false) {
        return Err(Box::new(MoveError::IntoItself { from: from(), to: to() }));
    }
    match Stat::at(&job.target.place.dir, job.item.target_name()) {
        Err(_) => {}
        Ok(existing) if context.policy.skips_all() => {
            if !took_back_placeholder(job, &existing) {
                return Ok(Look::Skip);
            }
        }
        Ok(existing) => match job.target.judge(context, &job.source, &job.item, &stat)?.verdict {
            Verdict::Skip => return Ok(Look::Skip),
            Verdict::Ask => return Ok(Look::Ask),
            Verdict::Merge if took_back_placeholder(job, &existing) => {}
            Verdict::Merge => return Ok(Look::Merge),
            Verdict::KeepBoth | Verdict::BackUp => {}
            _ if existing.is_dir() && !is_empty(job) => return Err(Box::new(job.cannot_replace(Errno::NOTEMPTY))),
            _ => {}
        },
    }
    job.source.can_remove(&stat).map_err(|source| MoveError::Remove { path: from(), source })?;
    Ok(Look::Stage(stat))
}

/// Where a rename cannot refuse to replace, a directory of ours holds the name until it is published over. If the target
/// is one that an ended run has left, it goes.
fn took_back_placeholder(job: &TreeJob, existing: &Stat) -> bool {
    let may_be_ours = job.reuse.is_some()
        && existing.is_dir()
        && existing.mode == 0o700
        && existing.uid == effective_user()
        && is_empty(job);
    // rmdir leaves it alone should somebody have put something into it.
    may_be_ours && unlink_dir(&job.target.place.dir, job.item.target_name()).is_ok()
}

/// Whether the target is an empty directory, which may be replaced. Publishing decides.
fn is_empty(job: &TreeJob) -> bool {
    let listing = job.target.place.dir.open_child(job.item.target_name()).and_then(|dir| Listing::of(&dir));
    listing.and_then(|mut listing| listing.next_chunk()).map_or(true, |chunk| chunk.is_empty())
}

/// Makes (or takes over) the stage's root, and begins the journal.
fn prepare<'a>(context: &'a Context, target: &'a Target, job: &'a TreeJob, stat: &Stat) -> Result<(Tree<'a>, Header)> {
    let create = |source| MoveError::Create { what: "directory", path: target.path(&job.item), source };
    let copying = target.copying(context).map_err(create)?;
    let source = job.open_source(stat)?;
    let room = copying.stage_dir.dir();
    let name = copying.stage_dir.fresh_name('d');
    let reuse = job.reuse.as_ref().filter(|reuse| reuse.take_stage(room, &name));
    if reuse.is_none() {
        make_root(copying, target, &name).map_err(|source| match source {
            Errno::NOSYS | Errno::OPNOTSUPP => {
                MoveError::Move { from: job.source.path_of(&job.item), to: target.path(&job.item), source }
            }
            source => create(source),
        })?;
    }
    let stage = room.open_child(&name).map_err(create)?;
    let header = Header {
        parent: job.source.dir.id(),
        parent_path: job.source.dir.absolute_path(),
        name: job.item.name.to_vec(),
        source: stat.id,
        target_name: job.item.target_name().to_vec(),
        stage_root: stage.id(),
        stage_born: birth_of(stage.fd()).ok().flatten(),
        stage: name,
        hidden: copying.stage_dir.hidden_source_name(),
    };
    let known = reuse.map(|reuse| reuse.known.clone()).unwrap_or_default();
    let journal = Journal::create(room, copying.stage_dir.fresh_name('j'), header.clone(), &known).map_err(create)?;
    if let Some(reuse) = reuse {
        // All that it proves is in the new one now.
        reuse.remove_journal();
    }
    let tree = Tree {
        context,
        copying,
        route: copying.route(source.stat().mount),
        job,
        source,
        stage: Arc::new(stage),
        nodes: Arc::default(),
        journal,
        known,
        takes_over: reuse.is_some(),
        bytes: AtomicU64::new(0),
        reused: AtomicU64::new(0),
        failure: OnceLock::new(),
        warnings: Mutex::default(),
        told: Told::default(),
        late: Mutex::default(),
        linked: Mutex::default(),
        open_dirs: AtomicUsize::new(0),
        last_checkpoint: Mutex::new((Instant::now(), 0)),
    };
    Ok((tree, header))
}

/// Makes the stage's root. On a server by way of a rename: some cannot rename directories, which is to be told before
/// everything is copied.
fn make_root(copying: &Copying, target: &Target, name: &[u8]) -> std::result::Result<(), Errno> {
    let room = copying.stage_dir.dir();
    if !target.is_remote() {
        return create_private_dir(room, name);
    }
    let made = copying.stage_dir.fresh_name('d');
    create_private_dir(room, &made)?;
    match rename_replacing(room, &made, room, name) {
        // A server that was asked twice has done it all the same.
        Err(_) if Stat::at(room, name).is_ok() => Ok(()),
        renamed => renamed.inspect_err(|_| {
            unlink_dir(room, &made).ok();
        }),
    }
}

/// Copies everything into the stage.
fn fill(tree: &Tree<'_>, stat: &Stat) -> Result<()> {
    let root = Node { parent: ROOT, name: Box::default(), stat: Some(*stat) };
    tree.add_node(root);
    rayon::scope(|scope| Walk { tree }.directory(scope, ROOT, None));
    tree.check()?;
    finish::link_late(tree)?;
    finish::dress_directories(tree)?;
    tree.journal.flush().map_err(|source| tree.write_error(source))?;
    // The last names are covered by the barrier; where it goes file by file, the journal is one of them.
    if tree.syncs_each() {
        tree.copying.barrier.sync_files([tree.journal.file()]).map(drop).map_err(|error| tree.not_durable(error))?;
        let room = tree.copying.stage_dir.sync_names(&tree.job.target.place.dir, &tree.copying.barrier);
        room.map(drop).map_err(|error| tree.not_durable(error))?;
    }
    Ok(())
}

impl Tree<'_> {
    pub(super) fn add(&self, warnings: Warnings) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).add(warnings);
    }

    pub(super) fn syncs_each(&self) -> bool {
        self.copying.barrier.durability() == Durability::Each && self.context.sync == SyncMode::Auto
    }

    /// Numbers a directory, and notes it in the journal before anything in it can be.
    pub(super) fn add_node(&self, node: Node) -> u32 {
        self.nodes.add(node, |id, node| {
            self.journal.append(&Frame::Dir { id, parent: node.parent, name: node.name.to_vec() });
        })
    }

    /// Ends the work on this tree.
    pub(super) fn fail(&self, error: Box<MoveError>) {
        // The first failure is the one to report: what comes after it may be its consequence.
        drop(self.failure.set(error));
    }

    pub(super) fn is_over(&self) -> bool {
        self.failure.get().is_some() || self.context.stop.is_set()
    }

    fn check(&self) -> Result<()> {
        match self.failure.get() {
            Some(error) => Err(error.clone()),
            None if self.context.stop.is_set() => {
                Err(Box::new(MoveError::NotReached { path: self.job.source.path_of(&self.job.item) }))
            }
            None => Ok(()),
        }
    }

    /// Takes note of what became of a name, if anybody wants to know.
    pub(super) fn tell(&self, dir: u32, name: &[u8], entry: told::Entry) {
        if self.context.wants_paths {
            self.told.note(self.below(dir, name), entry);
        }
    }

    /// The path of a name below the tree's root.
    fn below(&self, dir: u32, name: &[u8]) -> Vec<u8> {
        let mut below = self.nodes.path(dir);
        if !below.is_empty() && !name.is_empty() {
            below.push(b'/');
        }
        below.extend_from_slice(name);
        below
    }

    /// The path of a name in the source, and of the same name in the target, for messages.
    pub(super) fn paths(&self, dir: u32, name: &[u8]) -> (std::path::PathBuf, std::path::PathBuf) {
        let below = self.below(dir, name);
        let join = |root: &[u8]| {
            let slash: &[u8] = if below.is_empty() { b"" } else { b"/" };
            [root, slash, &below].concat()
        };
        (
            self.job.source.path(&join(&self.job.item.name)),
            self.job.target.place.path(&join(self.job.item.target_name())),
        )
    }

    pub(super) fn write_error(&self, source: Errno) -> Box<MoveError> {
        Box::new(MoveError::Write { path: self.job.target.path(&self.job.item), source })
    }

    pub(super) fn not_durable(&self, source: Errno) -> Box<MoveError> {
        let (from, to) = (self.job.source.path_of(&self.job.item), self.job.target.path(&self.job.item));
        Box::new(MoveError::NotDurable { from, to, source })
    }

    /// Every few seconds, or gigabytes, of work: makes what is staged durable, and says so in the journal.
    pub(super) fn checkpoint_if_due(&self) {
        const SECONDS: u64 = 5;
        const BYTES: u64 = 1 << 30;
        // Whoever holds the lock is making a checkpoint, or has just looked.
        let Ok(mut last) = self.last_checkpoint.try_lock() else { return };
        let bytes = self.bytes.load(Ordering::Relaxed);
        if last.0.elapsed().as_secs() < SECONDS && bytes - last.1 < BYTES {
            return;
        }
        if let Err(error) = checkpoint(self.copying, self.context, &self.journal) {
            self.fail(self.not_durable(error));
        }
        *last = (Instant::now(), bytes);
    }
}

impl StagedTree {
    /// The target directory.
    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.job.target
    }
}
