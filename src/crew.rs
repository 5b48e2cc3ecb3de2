//! Who may be at work: a gate that is as wide as [`pace`] says, and the meters by which that is found out.
//!
//! A worker takes its turn for work that waits for no other worker: copying some files, removing some. Whatever waits for
//! others (a whole tree, a barrier) takes none. So whoever has a turn comes to its end, whatever the width, and nobody waits
//! for ever for a turn, also where rayon has it take up other work while it waits for its own.

mod pace;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::sys::thread_time;

use pace::{Pacer, Sample};

/// No more workers than these, unless they are asked for by number: on a mount that takes a millisecond an operation nearly
/// nothing was won beyond 32 (benches/README.md).
const MOST: usize = 64;

/// A piece of work is so long where workers wait: long enough not to be about handing it over, short enough that all have
/// some.
const PIECE: Duration = Duration::from_millis(40);

/// The fewest files in a piece, and the most.
const FEWEST: usize = 4;
const MANY: usize = 128;

/// How many workers the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    /// As many as are of use.
    Auto,
    /// So many.
    Exactly(NonZeroUsize),
}

/// Starts workers until there are so many, if that many can be had. Returns how many there are.
pub(crate) type Hire = Box<dyn Fn(usize) -> usize + Send + Sync>;

/// The workers of a run, as far as it matters how many there are.
pub(crate) struct Crew {
    jobs: Jobs,
    most: AtomicUsize,
    began: Instant,
    state: Mutex<State>,
    room: Condvar,
    /// A server does some of the work: waiting for it is what more workers are for.
    is_far: AtomicBool,
    /// What [`Pacer::is_new`] said last.
    is_new: AtomicBool,
    /// Files in a piece.
    piece: AtomicUsize,
    hire: OnceLock<Hire>,
}

#[derive(Debug)]
struct State {
    at_work: usize,
    pacer: Pacer,
}

impl Crew {
    /// `most` are as many as there are descriptors for.
    pub(crate) fn new(jobs: Jobs, most: NonZeroUsize) -> Self {
        let most = most.get();
        let (least, most) = match jobs {
            Jobs::Exactly(jobs) => (jobs.get().min(most), jobs.get().min(most)),
            // Until there are to be threads, one does, and processors need not be counted.
            Jobs::Auto => (1, most),
        };
        let pacer = Pacer::new(least, most).near();
        Self {
            jobs,
            most: AtomicUsize::new(most),
            began: Instant::now(),
            is_far: AtomicBool::new(false),
            is_new: AtomicBool::new(pacer.is_new()),
            state: Mutex::new(State { at_work: 0, pacer }),
            room: Condvar::new(),
            piece: AtomicUsize::new(MANY),
            hire: OnceLock::new(),
        }
    }

    /// For work that is done before a run begins: on the threads that there are.
    pub(crate) fn small() -> Self {
        Self::new(Jobs::Exactly(NonZeroUsize::MIN), NonZeroUsize::MIN)
    }

    /// Gets ready for threads. How many there may ever be.
    pub(crate) fn gather(&self) -> usize {
        let most = self.most.load(Ordering::Relaxed);
        if self.jobs != Jobs::Auto {
            return most;
        }
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(most);
        let most = most.min(MOST).max(processors);
        self.most.store(most, Ordering::Relaxed);
        let pacer = Pacer::new(processors, most);
        let pacer = if self.is_far() { pacer } else { pacer.near() };
        self.is_new.store(pacer.is_new(), Ordering::Relaxed);
        self.lock().pacer = pacer;
        most
    }

    /// Has those begin that are needed at first; `hire` will be asked for more. How many there are.
    pub(crate) fn begin(&self, hire: Hire) -> usize {
        let hire = self.hire.get_or_init(|| hire);
        let wanted = self.lock().pacer.width();
        let there = hire(wanted);
        if there < wanted {
            self.lock().pacer.limit(there);
        }
        there
    }

    /// Begins a piece of work that waits for no other worker, as soon as there is room for it: at once where the number of
    /// workers is fixed, since then there are no more than that.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let mut state = self.lock();
        while self.jobs == Jobs::Auto && state.at_work >= state.pacer.width() {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.at_work += 1;
        drop(state);
        let now = Meter::now();
        Turn { crew: self, began: now, since: now, steps: 0, unsaid: 0 }
    }

    /// Takes note that a server does some of the work.
    pub(crate) fn note_far(&self) {
        if !self.is_far.swap(true, Ordering::Relaxed) {
            let mut state = self.lock();
            state.pacer.note_far(self.began.elapsed());
            self.is_new.store(state.pacer.is_new(), Ordering::Relaxed);
        }
    }

    /// Whether that was noted.
    pub(crate) fn is_far(&self) -> bool {
        self.is_far.load(Ordering::Relaxed)
    }

    /// How many files should make a piece of work that another worker may take.
    pub(crate) fn piece(&self) -> usize {
        self.piece.load(Ordering::Relaxed)
    }

    /// Whether the workers have mostly been waiting of late: only then are pieces small.
    pub(crate) fn is_waiting(&self) -> bool {
        self.piece() < MANY
    }

    /// Whether there is nobody to share work with: there may be no pool at all then, and rayon is not to start one.
    pub(crate) fn is_alone(&self) -> bool {
        self.most.load(Ordering::Relaxed) == 1
    }

    fn note(&self, sample: Sample) {
        self.size_pieces(sample);
        let mut state = self.lock();
        let before = state.pacer.width();
        state.pacer.note(self.began.elapsed(), sample);
        let after = state.pacer.width();
        self.is_new.store(state.pacer.is_new(), Ordering::Relaxed);
        drop(state);
        if after > before {
            if let Some(hire) = self.hire.get() {
                let there = hire(after);
                if there < after {
                    self.lock().pacer.limit(there);
                }
            }
            self.room.notify_all();
        }
    }

    fn size_pieces(&self, sample: Sample) {
        if sample.steps == 0 || sample.wall < LOOK_AT_FIRST || !self.is_far() {
            return;
        }
        let piece = if sample.is_waiting() && !self.is_alone() {
            let each = sample.wall.as_nanos() / u128::from(sample.steps);
            usize::try_from(PIECE.as_nanos() / each.max(1)).unwrap_or(MANY).clamp(FEWEST, MANY)
        } else {
            MANY
        };
        if piece != self.piece() {
            self.piece.store(piece, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew").field("jobs", &self.jobs).field("state", &self.state).finish_non_exhaustive()
    }
}

/// How often a worker looks at its meters: a look takes as long as a small system call.
const LOOK: Duration = Duration::from_millis(25);
const LOOK_AT_FIRST: Duration = Duration::from_millis(2);

#[derive(Clone, Copy, Debug)]
struct Meter {
    wall: Instant,
    cpu: Duration,
}

impl Meter {
    fn now() -> Self {
        Self { wall: Instant::now(), cpu: thread_time() }
    }

    fn since(self, before: Self, steps: u64) -> Sample {
        Sample { wall: self.wall.duration_since(before.wall), cpu: self.cpu.saturating_sub(before.cpu), steps }
    }
}

/// A worker's turn. It ends when this is dropped, and must end before the worker waits for others.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    crew: &'a Crew,
    began: Meter,
    since: Meter,
    steps: u64,
    unsaid: u64,
}

impl Turn<'_> {
    /// One more step is done: a file is copied, a name is gone.
    pub(crate) fn step(&mut self) {
        self.steps(1);
    }

    /// So many are done.
    pub(crate) fn steps(&mut self, steps: usize) {
        self.steps += steps as u64;
        self.unsaid += steps as u64;
        let look = if self.crew.is_new.load(Ordering::Relaxed) { LOOK_AT_FIRST } else { LOOK };
        if self.since.wall.elapsed() >= look {
            self.report();
        }
    }

    /// Whether this worker has mostly been waiting, for a while: others could do some of its work meanwhile.
    pub(crate) fn is_waiting(&self) -> bool {
        const WHILE: Duration = Duration::from_millis(15);
        !self.crew.is_alone()
            && self.crew.is_far()
            && self.began.wall.elapsed() >= WHILE
            && Meter::now().since(self.began, self.steps).is_waiting()
    }

    fn report(&mut self) {
        let now = Meter::now();
        self.crew.note(now.since(self.since, std::mem::take(&mut self.unsaid)));
        self.since = now;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.report();
        self.crew.lock().at_work -= 1;
        self.crew.room.notify_one();
    }
}
