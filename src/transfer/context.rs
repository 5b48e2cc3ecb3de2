//! What all work of one run shares.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rustix::io::Errno;

use crate::crew::{Crew, Jobs};
use crate::error::MoveError;
use crate::item::{Item, Outcome, Paths, Place, Policy, Settled, Way};
use crate::report::Counters;
use crate::sys::{Barrier, Dir, FileId, Time};

use super::Target;
use super::content::Pipes;
use super::other_name::Given;
use super::tree::Links;

/// So few files are synced one by one: a sync of the whole file system also waits for what others have written.
const HANDFUL: usize = 8;

/// Whether sources wait until their copies are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// They do.
    Auto,
    /// They don't, as with mv.
    None,
}

/// Set when no more work is to be begun: by a signal, by too many errors, by a target that is full.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupted: Arc<AtomicBool>,
    /// From when on a further signal ends the process at once.
    second: Arc<AtomicBool>,
    /// Ends the thread that watches for the first signal. Nothing is ever sent: it is dropped.
    watched: OnceLock<Sender<()>>,
    given_up: AtomicBool,
}

impl Stop {
    pub(crate) fn new(interrupted: Arc<AtomicBool>, second: Arc<AtomicBool>) -> Self {
        Self { interrupted, second, watched: OnceLock::new(), given_up: AtomicBool::new(false) }
    }

    /// From now on there is work that may take long: half a second after a first signal, a second one is to end it.
    pub(crate) fn expect_long_work(&self) {
        const LOOK: Duration = Duration::from_millis(100);
        const GRACE: Duration = Duration::from_millis(400);
        self.watched.get_or_init(|| {
            let (watched, ended) = channel();
            let (interrupted, second) = (Arc::clone(&self.interrupted), Arc::clone(&self.second));
            let watch = move || {
                while !interrupted.load(Ordering::Relaxed) {
                    if ended.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
                std::thread::sleep(GRACE);
                second.store(true, Ordering::Relaxed);
            };
            // Not joined: it holds nothing, and ends with the run. Without it, only SIGKILL is heard at once.
            std::thread::Builder::new().name("pmove-signals".into()).spawn(watch).ok();
            watched
        });
    }

    /// Take no more work.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether a signal came.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_interrupted() || self.given_up.load(Ordering::Relaxed)
    }
}

/// So many locks are remembered before those are forgotten that nobody holds any more.
const MANY: usize = 16384;

/// Descriptors that a run holds, whatever there is to do: its standard streams, a list, the target and its stage directory,
/// and what two links to a file take to be compared.
const OF_RUN: usize = 24;

/// So many workers there are descriptors for: each may hold a directory of a tree and its stage, its listing, the way to
/// another directory, and a file and its copy, besides what the run holds.
fn most_workers(descriptors: usize) -> NonZeroUsize {
    const EACH: usize = 8;
    NonZeroUsize::new(descriptors.saturating_sub(OF_RUN) / EACH).unwrap_or(NonZeroUsize::MIN)
}

/// What all work of one run shares.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) crew: Crew,
    pub(crate) policy: Policy,
    pub(crate) way: Way,
    pub(crate) sync: SyncMode,
    /// Somebody will read the paths of what went well.
    pub(crate) wants_paths: bool,
    /// And how each file was copied.
    pub(crate) debug: bool,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: Stop,
    /// When the run began, by the clock that file systems use.
    started: Time,
    /// The same by the exact clock: no file that was changed before has a later time.
    began: Time,
    /// What that clock and the one that is never set differed by then. Nanoseconds.
    clock_offset: i128,
    /// Stage under a name, not with an open descriptor: descriptors are short, or /proc is not there.
    pub(crate) named_stages: bool,
    /// How many descriptors the process may hold.
    pub(crate) descriptors: usize,
    pub(super) pipes: Pipes,
    /// A run that copies more than this, a quarter of the memory, is large for this machine: it would drive out much of what
    /// others have there. Bytes.
    large: OnceLock<u64>,
    /// How many directories a tree may hold open at once.
    pub(crate) open_dirs: usize,
    /// Where files with several links are by now: in this run's trees, or published on their own.
    pub(crate) links: Links,
    /// After so many failures no more work is taken.
    max_errors: Option<u64>,
    failures: AtomicU64,
    barriers: Mutex<HashMap<u64, Arc<Barrier>>>,
    /// Mounts that do not know how to rename without replacing; mostly there are none.
    flagless: Mutex<HashSet<u64>>,
    has_flagless: AtomicBool,
    /// DEST, where there are other target directories below it.
    dest: OnceLock<Arc<Target>>,
    /// Something of this run stays in one of them.
    pub(super) is_left_below: AtomicBool,
    /// Directories that arrived whole, where others may be merged into them: all in them is this run's.
    arrived: Mutex<HashSet<FileId>>,
    /// So many files may still be synced one by one.
    singly: AtomicUsize,
    /// What this run published, and what it found published by ended ones; the former only where names fold.
    published: Mutex<HashSet<FileId>>,
    pub(super) given: Given,
    /// Files with a duplicate, locked until their names are removed: of each, all names share the lock.
    locked: Mutex<HashMap<FileId, Weak<OwnedFd>>>,
    /// Kinds of warnings that the user has been told.
    told: Mutex<HashSet<String>>,
}

impl Context {
    pub(crate) fn new(
        (policy, way): (Policy, Way),
        sync: SyncMode,
        wants_paths: bool,
        counters: Arc<Counters>,
        stop: Stop,
    ) -> Self {
        let descriptors = crate::sys::descriptor_limit();
        Self {
            crew: Crew::small(),
            policy,
            way,
            sync,
            wants_paths,
            debug: false,
            counters,
            stop,
            started: crate::sys::file_system_time(),
            began: crate::sys::exact_time(),
            clock_offset: crate::sys::clock_offset(),
            descriptors,
            named_stages: descriptors < 512 || !crate::sys::has_proc(),
            pipes: Pipes::default(),
            large: OnceLock::new(),
            open_dirs: (descriptors / 16).clamp(1, 1024),
            links: Links::default(),
            max_errors: None,
            failures: AtomicU64::new(0),
            barriers: Mutex::default(),
            flagless: Mutex::default(),
            has_flagless: AtomicBool::new(false),
            dest: OnceLock::new(),
            is_left_below: AtomicBool::new(false),
            arrived: Mutex::default(),
            singly: AtomicUsize::new(HANDFUL),
            published: Mutex::default(),
            given: Given::default(),
            locked: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// So many items there are descriptors for, if one takes `each`. At least one.
    pub(crate) fn most_items(&self, each: usize) -> usize {
        (self.descriptors.saturating_sub(OF_RUN) / each).max(1)
    }

    /// Takes no more work after so many failures.
    pub(crate) fn with_max_errors(self, most: Option<u64>) -> Self {
        Self { max_errors: most, ..self }
    }

    /// Says how each file is copied.
    pub(crate) fn with_debug(self, debug: bool) -> Self {
        Self { debug, ..self }
    }

    /// With as many workers as are asked for, if there are descriptors for them.
    pub(crate) fn with_jobs(self, jobs: Jobs) -> Self {
        Self { crew: Crew::new(jobs, most_workers(self.descriptors)), ..self }
    }

    /// Whether so much was copied that it would fill a good part of the machine's memory.
    pub(super) fn is_large_for_memory(&self) -> bool {
        self.counters.bytes_copied() > *self.large.get_or_init(|| crate::sys::memory() / 4)
    }

    /// The barrier of the file system that `dir` is on. One for the whole run, so that an error latches.
    pub(crate) fn barrier(&self, dir: &Dir) -> Arc<Barrier> {
        let mut barriers = self.barriers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(barriers.entry(dir.id().dev).or_insert_with(|| Arc::new(Barrier::open(dir))))
    }

    /// Makes the names in directories durable in which others were made.
    pub(crate) fn sync_made(&self, dirs: &[Dir]) -> Result<(), rustix::io::Errno> {
        if self.sync == SyncMode::Auto {
            dirs.iter().try_for_each(|dir| self.barrier(dir).sync_dirs([dir]).map(drop))?;
        }
        Ok(())
    }

    /// Whether the mount that `dir` is on is known not to know how to rename without replacing.
    pub(crate) fn lacks_noreplace(&self, dir: &Dir) -> bool {
        self.has_flagless.load(Ordering::Relaxed)
            && self.flagless.lock().unwrap_or_else(PoisonError::into_inner).contains(&dir.stat().mount)
    }

    /// Takes note that it does not, so that it is not asked for every file.
    pub(crate) fn note_lack_of_noreplace(&self, dir: &Dir) {
        self.flagless.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.stat().mount);
        self.has_flagless.store(true, Ordering::Relaxed);
    }

    /// From now on there may be target directories below DEST.
    pub(crate) fn expect_others_below(&self, dest: &Arc<Target>) {
        self.dest.get_or_init(|| Arc::clone(dest));
    }

    /// DEST, if there may be target directories below it.
    pub(super) fn dest(&self) -> Option<&Arc<Target>> {
        self.dest.get()
    }

    /// Takes note of a directory that has arrived whole.
    pub(crate) fn note_arrived(&self, dir: FileId) {
        if self.policy.merge {
            self.arrived.lock().unwrap_or_else(PoisonError::into_inner).insert(dir);
        }
    }

    /// Whether a directory has arrived whole in this run.
    pub(crate) fn has_arrived(&self, dir: FileId) -> bool {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).contains(&dir)
    }

    /// Whether so many files may be synced one by one: a handful in all. Many small batches would come to a sync for
    /// every file.
    pub(crate) fn may_sync_singly(&self, files: usize) -> bool {
        let take = |left: usize| left.checked_sub(files);
        self.singly.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// From now on the file system is synced as a whole: names have been made in more than one directory.
    pub(crate) fn sync_wholly(&self) {
        self.singly.store(0, Ordering::Relaxed);
    }

    /// Takes note of what a source of this command has become.
    pub(super) fn note_published(&self, file: FileId) {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).insert(file);
    }

    /// Whether that is what a source of this command has become, as far as it was noted.
    pub(super) fn has_published(&self, file: FileId) -> bool {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).contains(&file)
    }

    /// The lock of a file, taken by `lock` unless this run has it already.
    pub(super) fn locked(
        &self,
        file: FileId,
        lock: impl FnOnce() -> std::result::Result<OwnedFd, Errno>,
    ) -> std::result::Result<Arc<OwnedFd>, Errno> {
        let mut locked = self.locked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = locked.get(&file).and_then(Weak::upgrade) {
            return Ok(held);
        }
        let held = Arc::new(lock()?);
        // Those that were let go of need not be remembered.
        if locked.len() >= MANY {
            locked.retain(|_, held| held.strong_count() > 0);
        }
        locked.insert(file, Arc::downgrade(&held));
        Ok(held)
    }

    /// Whether the user has been told of something of this kind.
    pub(crate) fn has_told(&self, kind: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(kind)
    }

    /// Takes note that the user is told. False if that is not necessary any more.
    pub(crate) fn tell(&self, kind: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(kind.to_owned())
    }

    /// Whether a file that was last renamed, linked or changed at `ctime` was there before the run, and cannot be
    /// what the run published. In doubt, no: a clock that was set back makes new files look old.
    pub(crate) fn predates_run(&self, ctime: Time) -> bool {
        const SET_BACK: i128 = 1_000_000;
        ctime < self.started && crate::sys::clock_offset() >= self.clock_offset - SET_BACK
    }

    /// Whether a file was last renamed, linked or changed after the run had begun. In doubt, no: file systems take the
    /// time of the last tick, so the first few milliseconds look older than they are.
    pub(crate) fn postdates_start(&self, ctime: Time) -> bool {
        ctime > self.began
    }

    /// Counts a failure, where and when it happens. Ends the taking of work if there were too many, or if all that
    /// follows would fail in the same way.
    pub(crate) fn note_failure(&self, error: &MoveError) {
        if matches!(error, MoveError::NotReached { .. }) {
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if error.is_fatal() || self.max_errors.is_some_and(|most| failures >= most) {
            self.stop.give_up();
        }
    }

    /// Ends an item.
    pub(crate) fn settle(&self, source: &Arc<Place>, target: &Place, item: &Item, outcome: Outcome) -> Settled {
        if let Outcome::Failed(error) = &outcome {
            self.note_failure(error);
        }
        let paths = self.wants_paths.then(|| {
            let from = item.place_or(source).path_of(item);
            let backup = item.backup.as_deref().map(|name| target.path(name));
            Box::new(Paths { from, to: target.path(item.target_name()), backup, how: None, inside: Vec::new() })
        });
        let &Item { order, within, .. } = item;
        Settled { order, within, paths, outcome, warnings: Vec::new(), is_tree: false }
    }
}
