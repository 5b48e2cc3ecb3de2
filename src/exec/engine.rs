//! The threads: a private rayon pool, and one thread that waits for barriers, so that no worker has to. Renames go through a
//! lane: one worker at a time takes them, without being woken for each batch.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::crew::Hire;
use crate::error::in_words;
use crate::item::{Batch, Settled};
use crate::report::Phase;
use crate::sys::Barrier;
use crate::transfer::{Context, Deferred, PublishedTree, Target, TreeJob};

use super::work::{Sink, Waiting, barrier_of, behind_barrier, go_on, work, work_on_share, work_on_tree};

/// What workers tell the coordinator.
#[derive(Debug)]
pub(super) enum Event {
    Settled(Vec<Settled>),
    Deferred(Vec<Deferred>),
    /// A tree that has to wait for something else.
    NotATree(Box<Deferred>),
    Held(Box<PublishedTree>),
    /// A tree is staged (or has ended): the next one may be begun.
    TreeStaged,
    /// A worker has left what is to be renamed for other work: it is for the next one.
    LaneLeft,
    /// A worker panicked over work of which this is the first source.
    Panicked(PathBuf),
}

/// The pool and the barrier thread.
pub(super) struct Engine {
    shared: Arc<Shared>,
    barrier: Option<JoinHandle<()>>,
}

struct Shared {
    context: Arc<Context>,
    pool: rayon::ThreadPool,
    lane: Mutex<Lane>,
    /// Some of that had to be copied after all.
    has_met_copies: AtomicBool,
    events: Sender<Event>,
    /// None ends the barrier thread.
    barrier: Sender<Option<Waiting>>,
}

/// What waits to be renamed. Renames between two directories exclude each other in the kernel, so one worker does them all,
/// and finds the next batch here without being woken for it.
#[derive(Default)]
struct Lane {
    batches: VecDeque<Batch<Target>>,
    is_served: bool,
}

/// So many batches a worker renames before others may have it: it may be one that waits for the parts of its tree, which took
/// this on meanwhile.
const BATCHES_IN_LANE: usize = 16;

/// A pool of as many workers as there may ever be. None is started: that is for the crew to ask for, by what is returned
/// with it. To rayon, one that is not started is one that is busy: it is never woken, and nothing is waited for. (Its own
/// queue, in which only it could put work, is empty.) One that is started when the pool has gone ends at once.
fn pool(most: usize) -> Result<(rayon::ThreadPool, Hire), rayon::ThreadPoolBuildError> {
    let mut idle = VecDeque::with_capacity(most);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(most)
        .spawn_handler(|worker| {
            idle.push_back(worker);
            Ok(())
        })
        .build()?;
    let idle = Mutex::new(idle);
    let hire = move |wanted: usize| {
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        while most - idle.len() < wanted
            && let Some(worker) = idle.pop_front()
        {
            let name = format!("pmove-{}", worker.index());
            // A worker that waits for its tree takes other work meanwhile, on the same stack.
            let builder = std::thread::Builder::new().name(name).stack_size(8 << 20);
            if builder.spawn(|| worker.run()).is_err() {
                // The one at hand is lost with that. Those that are there have to do.
                return most - idle.len() - 1;
            }
        }
        most - idle.len()
    };
    Ok((pool, Box::new(hire)))
}

fn no_threads(error: &dyn std::error::Error) -> anyhow::Error {
    anyhow::anyhow!("cannot start a thread: {}", in_words(&error.to_string()))
}

impl Engine {
    /// Starts the threads. Returns what workers will tell.
    pub(super) fn start(context: &Arc<Context>) -> anyhow::Result<(Self, Receiver<Event>)> {
        context.stop.expect_long_work();
        let (events, told) = channel();
        let (barrier, waiting) = channel();
        let (pool, hire) = pool(context.crew.gather()).map_err(|error| no_threads(&error))?;
        if context.crew.begin(hire) == 0 {
            return Err(no_threads(&std::io::Error::from(rustix::io::Errno::AGAIN)));
        }
        let (lane, has_met_copies) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { context: Arc::clone(context), pool, lane, has_met_copies, events, barrier });
        let thread = std::thread::Builder::new().name("pmove-barrier".into()).spawn({
            let shared = Arc::clone(&shared);
            move || wait_for_barriers(&shared, &waiting)
        });
        let thread = thread.map_err(|error| no_threads(&error))?;
        Ok((Self { shared, barrier: Some(thread) }, told))
    }

    /// Hands a batch to a worker.
    pub(super) fn batch(&self, batch: Batch<Target>) {
        self.shared.spawn(first_path(&batch), move |shared| {
            work(&shared.context, batch, shared);
        });
    }

    /// Hands over a batch that is to be renamed, as soon as those before it are.
    pub(super) fn renames(&self, batch: Batch<Target>) {
        let mut lane = self.shared.lane();
        lane.batches.push_back(batch);
        if !std::mem::replace(&mut lane.is_served, true) {
            self.staff_lane();
        }
    }

    /// Has a worker go on with what is to be renamed.
    pub(super) fn staff_lane(&self) {
        self.shared.spawn(PathBuf::default(), Shared::serve_lane);
    }

    /// Whether something that was to be renamed had to be copied.
    pub(super) fn has_met_copies(&self) -> bool {
        self.shared.has_met_copies.load(Ordering::Relaxed)
    }

    /// Hands a tree to a worker, who may call the others for help.
    pub(super) fn tree(&self, job: TreeJob) {
        let path = job.source.path_of(&job.item);
        self.shared.spawn(path, move |shared| {
            work_on_tree(&shared.context, job, shared);
            shared.tell(Event::TreeStaged);
        });
    }

    /// Hands over work that is under way already.
    pub(super) fn go_on(&self, waiting: Waiting) {
        self.shared.spawn(PathBuf::default(), move |shared| go_on(&shared.context, waiting, shared));
    }

    /// Retires a tree that has passed its barriers.
    pub(super) fn retire(&self, tree: PublishedTree, durable: crate::sys::Durable) {
        self.shared.spawn(PathBuf::default(), move |shared| {
            let settled = tree.retire(&shared.context, durable);
            shared.settled(vec![settled]);
        });
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The thread holds a sender itself, so it has to be told. It is gone only if it panicked.
        self.shared.barrier.send(None).ok();
        if let Some(thread) = self.barrier.take() {
            // A panic there was reported by its hook.
            thread.join().ok();
        }
    }
}

/// What a batch is called, should a worker panic over it.
fn first_path(batch: &Batch<Target>) -> PathBuf {
    batch.items.first().map(|item| batch.source.path_of(item)).unwrap_or_default()
}

impl Shared {
    fn spawn(self: &Arc<Self>, path: PathBuf, work: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let shared = Arc::clone(self);
        self.pool.spawn(move || shared.guarded(path, work));
    }

    /// Works. Should it panic, rayon would abort the process, and nobody would learn over what.
    fn guarded(self: &Arc<Self>, path: PathBuf, work: impl FnOnce(&Arc<Self>)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            // What waits behind it is not to begin while the run is taken down.
            self.context.stop.give_up();
            self.tell(Event::Panicked(path));
        }
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renames until there is nothing left to rename, or until others should have this worker.
    fn serve_lane(self: &Arc<Self>) {
        for _ in 0..BATCHES_IN_LANE {
            let mut lane = self.lane();
            let Some(batch) = lane.batches.pop_front() else {
                lane.is_served = false;
                return;
            };
            drop(lane);
            self.guarded(first_path(&batch), |shared| {
                if work(&shared.context, batch, shared) {
                    shared.has_met_copies.store(true, Ordering::Relaxed);
                }
            });
        }
        // Whatever this worker spawned would be its own next work; what the coordinator spawns comes behind what waits.
        self.tell(Event::LaneLeft);
    }

    fn tell(&self, event: Event) {
        // The coordinator outlives all work, unless it panicked: then nobody needs to know.
        self.events.send(event).ok();
    }
}

impl Sink for Arc<Shared> {
    fn settled(&self, settled: Vec<Settled>) {
        if !settled.is_empty() {
            self.tell(Event::Settled(settled));
        }
    }

    fn deferred(&self, deferred: Vec<Deferred>) {
        if !deferred.is_empty() {
            self.tell(Event::Deferred(deferred));
        }
    }

    fn not_a_tree(&self, deferred: Deferred) {
        self.tell(Event::NotATree(Box::new(deferred)));
    }

    fn held(&self, tree: Box<PublishedTree>) {
        self.tell(Event::Held(tree));
    }

    fn share(&self, batch: Batch<Target>) -> Option<Batch<Target>> {
        self.spawn(first_path(&batch), move |shared| work_on_share(&shared.context, batch, shared));
        None
    }

    fn wait(&self, waiting: Waiting) -> Option<Waiting> {
        match self.barrier.send(Some(waiting)) {
            Ok(()) => None,
            Err(back) => back.0,
        }
    }
}

/// Waits for barriers, one after the other; all work that has come together meanwhile passes with the next.
fn wait_for_barriers(shared: &Arc<Shared>, arrivals: &Receiver<Option<Waiting>>) {
    while let Ok(Some(first)) = arrivals.recv() {
        let mut group = vec![first];
        let mut is_over = false;
        while let Ok(next) = arrivals.try_recv() {
            match next {
                Some(next) => group.push(next),
                None => is_over = true,
            }
        }
        for (barrier, group) in by_barrier(&shared.context, group) {
            shared.context.counters.phase(Phase::MakingDurable);
            // One sync is the first barrier for what is staged and the second for what is published.
            let durable = barrier.sync_all();
            shared.context.counters.phase(Phase::Copying);
            for waiting in group {
                let durable = durable.clone();
                shared.spawn(PathBuf::default(), move |shared| {
                    let items = waiting.items();
                    let turn = items.map(|_| shared.context.crew.turn());
                    if let Some(next) = behind_barrier(&shared.context, waiting, durable, shared) {
                        go_on(&shared.context, next, shared);
                    }
                    if let (Some(mut turn), Some(items)) = (turn, items) {
                        turn.steps(items);
                    }
                });
            }
        }
        if is_over {
            return;
        }
    }
}

/// Sorts work by the barrier it waits for. Work without one, which cannot be, is dropped: its sources stay.
fn by_barrier(context: &Context, group: Vec<Waiting>) -> Vec<(Arc<Barrier>, Vec<Waiting>)> {
    let mut sorted: Vec<(Arc<Barrier>, Vec<Waiting>)> = Vec::new();
    for waiting in group {
        let Some(barrier) = barrier_of(context, &waiting) else { continue };
        match sorted.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &barrier)) {
            Some((_, group)) => group.push(waiting),
            None => sorted.push((barrier, vec![waiting])),
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn workers_that_never_start_hold_up_nothing() {
        let (pool, hire) = pool(64).expect("a pool of which nobody is started");
        assert_eq!(hire(2), 2);
        let (done, all) = channel();
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..1000 {
            let (done, count) = (done.clone(), Arc::clone(&count));
            pool.spawn(move || {
                // With others' help, as a tree is.
                rayon::scope(|scope| {
                    for _ in 0..10 {
                        scope.spawn(|_| {
                            count.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
                done.send(()).expect("the test waits for it");
            });
        }
        assert_eq!(hire(5), 5, "more while there is work");
        assert_eq!(hire(3), 5);
        all.iter().take(1000).for_each(drop);
        assert_eq!(count.load(Ordering::Relaxed), 10_000);
        drop(pool);
        // Too late, and no harm: they end at once.
        assert_eq!(hire(64), 64);
        drop(hire);
    }
}
