//! What a worker does with a batch, a part of one, or a tree; and which way each takes to its barriers.

use std::sync::Arc;

use rustix::io::Errno;

use crate::crew::Turn;
use crate::item::{Batch, Place, Settled};
use crate::report::Phase;
use crate::sys::{Barrier, Durability, is_remote};
use crate::transfer::{
    Context, Deferred, NotStaged, Publication, Published, PublishedTree, SHARE, Staged, StagedTree, SyncMode, Target,
    TreeJob, is_worth_sharing, rename_batch, stage_batch, stage_tree,
};

use super::engine::Event;

/// Work that waits for the file system's barrier.
#[derive(Debug)]
pub(super) enum Waiting {
    Staged(Staged),
    Published(Published),
    StagedTree(Box<StagedTree>),
    PublishedTree(Box<PublishedTree>),
}

impl Waiting {
    /// How many items there are, of a batch. Work on a tree is shared, and no worker's turn.
    pub(super) fn items(&self) -> Option<usize> {
        match self {
            Self::Staged(staged) => Some(staged.len()),
            Self::Published(published) => Some(published.len()),
            Self::StagedTree(_) | Self::PublishedTree(_) => None,
        }
    }

    fn target(&self) -> &Arc<Target> {
        match self {
            Self::Staged(staged) => staged.target(),
            Self::Published(published) => published.target(),
            Self::StagedTree(tree) => tree.target(),
            Self::PublishedTree(tree) => tree.target(),
        }
    }
}

/// Who takes what comes of the work.
pub(super) trait Sink {
    fn settled(&self, settled: Vec<Settled>);
    fn deferred(&self, deferred: Vec<Deferred>);
    /// A tree that has to wait for something else.
    fn not_a_tree(&self, deferred: Deferred);
    /// Published, but to be retired when the run's other trees are published.
    fn held(&self, tree: Box<PublishedTree>);
    /// A part of a batch that another worker is to go on with. Given back where there is none.
    fn share(&self, batch: Batch<Target>) -> Option<Batch<Target>>;
    /// To be brought to the file system's barrier. Given back where there is nobody to wait for it.
    fn wait(&self, waiting: Waiting) -> Option<Waiting>;
}

/// Moves a batch, as far as this thread can. Whether something was copied.
pub(super) fn work(context: &Context, batch: Batch<Target>, sink: &dyn Sink) -> bool {
    let mut turn = context.crew.turn();
    let attempted = rename_batch(context, batch);
    sink.settled(attempted.settled);
    sink.deferred(attempted.deferred);
    attempted.copies.is_some_and(|batch| copy(context, batch, &mut turn, sink))
}

/// The same, for a part of a batch that somebody else has begun.
pub(super) fn work_on_share(context: &Context, batch: Batch<Target>, sink: &dyn Sink) {
    copy(context, batch, &mut context.crew.turn(), sink);
}

/// Copies a batch. Whether anything waits for a barrier, or has passed it.
fn copy(context: &Context, batch: Batch<Target>, turn: &mut Turn<'_>, sink: &dyn Sink) -> bool {
    note_distance(context, &batch.source, &batch.target);
    let mut has_staged = false;
    let mut rest = Some(batch);
    while let Some(batch) = rest {
        let part = stage_batch(context, batch, turn);
        // Before this part goes to its barrier, so that others begin meanwhile.
        // (Links to one file are never left.)
        rest = match part.rest {
            Some(rest) if is_worth_sharing(context, rest.items.len(), turn) => share(rest, sink),
            rest => rest,
        };
        sink.settled(part.settled);
        sink.deferred(part.deferred);
        if let Some(staged) = part.staged {
            has_staged = true;
            bring_to_barrier(context, staged, sink);
        }
    }
    has_staged
}

/// Takes note if a server is at either end.
fn note_distance(context: &Context, source: &Place, target: &Target) {
    if !context.crew.is_far() && (target.is_remote() || is_remote(&source.dir)) {
        context.crew.note_far();
    }
}

/// Hands a batch to others, in shares. Returns what could not be handed over.
fn share(batch: Batch<Target>, sink: &dyn Sink) -> Option<Batch<Target>> {
    let Batch { source, target, items } = batch;
    let mut left = items.into_iter();
    loop {
        let items: Vec<_> = left.by_ref().take(SHARE).collect();
        if items.is_empty() {
            return None;
        }
        let part = Batch { source: Arc::clone(&source), target: Arc::clone(&target), items };
        if let Some(Batch { items: back, .. }) = sink.share(part) {
            return Some(Batch { source, target, items: back.into_iter().chain(left).collect() });
        }
    }
}

/// Moves a directory, as far as this thread can.
pub(super) fn work_on_tree(context: &Context, job: TreeJob, sink: &dyn Sink) {
    note_distance(context, &job.source, &job.target);
    match stage_tree(context, job) {
        Ok(tree) => go_on(context, Waiting::StagedTree(tree), sink),
        Err(NotStaged::Settled(settled)) => sink.settled(vec![*settled]),
        Err(NotStaged::Deferred(deferred)) => sink.not_a_tree(*deferred),
    }
}

/// The barrier that `waiting` has to pass. None if its target cannot be used any more, which cannot be.
pub(super) fn barrier_of(context: &Context, waiting: &Waiting) -> Option<Arc<Barrier>> {
    let target = waiting.target();
    target.copying(context).ok().map(|copying| Arc::clone(&copying.barrier))
}

fn bring_to_barrier(context: &Context, staged: Staged, sink: &dyn Sink) {
    if staged.has_all_files() && context.may_sync_singly(staged.len()) {
        pass_alone(context, Waiting::Staged(staged), sink);
    } else {
        go_on(context, Waiting::Staged(staged), sink);
    }
}

/// Sends work to the barrier thread, if its file system has a barrier as a whole; else makes its own.
pub(super) fn go_on(context: &Context, waiting: Waiting, sink: &dyn Sink) {
    let is_shared = context.sync == SyncMode::Auto
        && barrier_of(context, &waiting).is_some_and(|barrier| barrier.durability() == Durability::Whole);
    let alone = if is_shared { sink.wait(waiting) } else { Some(waiting) };
    if let Some(waiting) = alone {
        pass_alone(context, waiting, sink);
    }
}

/// Makes a barrier for this work alone, and goes on behind it.
fn pass_alone(context: &Context, waiting: Waiting, sink: &dyn Sink) {
    let mut next = Some(waiting);
    while let Some(waiting) = next.take() {
        let durable = sync_alone(context, &waiting);
        next = match behind_barrier(context, waiting, durable, sink) {
            Some(waiting) => Some(waiting),
            None => return,
        };
    }
}

fn sync_alone(context: &Context, waiting: &Waiting) -> Result<crate::sys::Durable, Errno> {
    let target = waiting.target();
    let copying = target.copying(context)?;
    let barrier = &copying.barrier;
    if context.sync == SyncMode::None {
        return barrier.waived();
    }
    match waiting {
        Waiting::Staged(staged) => {
            drop(copying.stage_dir.sync_names(&target.place.dir, barrier)?);
            // Where every barrier goes file by file, the content was synced when it was staged.
            match barrier.durability() {
                Durability::Each => barrier.sync_files(staged.record_file()),
                Durability::Whole | Durability::Never => barrier.sync_files(staged.files()),
            }
        }
        // Where everything is synced one by one, the tree's files and directories were when they were staged.
        Waiting::StagedTree(_) if barrier.durability() != Durability::Whole => barrier.sync_files([]),
        Waiting::StagedTree(_) => barrier.sync_all(),
        // A name alone does not need everything else on the file system to be written.
        Waiting::Published(_) | Waiting::PublishedTree(_) => barrier.sync_dirs([&target.place.dir]),
    }
}

/// Does what comes behind a barrier, or takes work back if the barrier failed. What comes of it may have one more
/// barrier before it.
pub(super) fn behind_barrier(
    context: &Context,
    waiting: Waiting,
    durable: Result<crate::sys::Durable, Errno>,
    sink: &dyn Sink,
) -> Option<Waiting> {
    // What is not published when a signal comes is taken back; what is published is finished.
    let durable = match (&waiting, durable) {
        (Waiting::Staged(_) | Waiting::StagedTree(_), _) if context.stop.is_interrupted() => Err(Errno::CANCELED),
        (_, durable) => durable,
    };
    if durable.as_ref().is_err_and(|&error| error != Errno::CANCELED) {
        context.stop.give_up();
    }
    match (waiting, durable) {
        (Waiting::Staged(staged), Ok(durable)) => {
            let Publication { published, settled, deferred } = staged.publish(context, durable);
            sink.settled(settled);
            sink.deferred(deferred);
            published.map(Waiting::Published)
        }
        (Waiting::Staged(staged), Err(error)) => {
            sink.settled(staged.withdraw(context, error));
            None
        }
        (Waiting::Published(published), Ok(durable)) => {
            context.counters.phase(Phase::Removing);
            sink.settled(published.retire(context, durable));
            None
        }
        (Waiting::Published(published), Err(error)) => {
            sink.settled(published.keep(context, error));
            None
        }
        (Waiting::StagedTree(tree), Ok(durable)) => match tree.publish(context, durable) {
            Ok(published) => Some(Waiting::PublishedTree(Box::new(published))),
            Err(settled) => {
                sink.settled(vec![*settled]);
                None
            }
        },
        (Waiting::StagedTree(tree), Err(error)) => {
            sink.settled(vec![tree.give_up(context, error)]);
            None
        }
        (Waiting::PublishedTree(tree), Ok(_)) if tree.has_open_links() => {
            sink.held(tree);
            None
        }
        (Waiting::PublishedTree(tree), Ok(durable)) => {
            context.counters.phase(Phase::Removing);
            sink.settled(vec![tree.retire(context, durable)]);
            None
        }
        (Waiting::PublishedTree(tree), Err(error)) => {
            sink.settled(vec![tree.keep(context, error)]);
            None
        }
    }
}

/// The sink of work on the coordinator's own thread.
pub(super) struct Here(pub(super) std::sync::mpsc::Sender<Event>);

impl Sink for Here {
    fn settled(&self, settled: Vec<Settled>) {
        self.0.send(Event::Settled(settled)).ok();
    }

    fn deferred(&self, deferred: Vec<Deferred>) {
        self.0.send(Event::Deferred(deferred)).ok();
    }

    fn not_a_tree(&self, deferred: Deferred) {
        self.0.send(Event::NotATree(Box::new(deferred))).ok();
    }

    fn held(&self, tree: Box<PublishedTree>) {
        self.0.send(Event::Held(tree)).ok();
    }

    fn share(&self, batch: Batch<Target>) -> Option<Batch<Target>> {
        Some(batch)
    }

    fn wait(&self, waiting: Waiting) -> Option<Waiting> {
        Some(waiting)
    }
}
