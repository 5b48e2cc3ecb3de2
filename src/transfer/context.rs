//! What all work of one run shares.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::item::{Item, Outcome, Place, Policy, Settled};
use crate::report::Counters;
use crate::sys::{Barrier, Dir, Time};

use super::tree::Links;

/// Whether sources wait until their copies are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// They do.
    Auto,
    /// They don't, as with mv.
    None,
}

/// Set when no more work is to be begun: by a signal, by too many errors, by a target that is full.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    interrupted: Arc<AtomicBool>,
    given_up: AtomicBool,
}

impl Stop {
    pub(crate) fn new(interrupted: Arc<AtomicBool>) -> Self {
        Self { interrupted, given_up: AtomicBool::new(false) }
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

/// What all work of one run shares.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) policy: Policy,
    pub(crate) sync: SyncMode,
    /// Somebody will read the paths of what went well.
    pub(crate) wants_paths: bool,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: Stop,
    /// This run's name, unlike any other's.
    pub(crate) token: String,
    /// When the run began, by the clock that file systems use.
    pub(crate) started: Time,
    /// Stage under a name, not with an open descriptor: descriptors are short, or /proc is not there.
    pub(crate) named_stages: bool,
    /// How many directories a tree may hold open at once.
    pub(crate) open_dirs: usize,
    /// Where the files with several links are that trees of this run have staged.
    pub(crate) links: Links,
    barriers: Mutex<HashMap<u64, Arc<Barrier>>>,
}

impl Context {
    pub(crate) fn new(policy: Policy, sync: SyncMode, wants_paths: bool, counters: Arc<Counters>, stop: Stop) -> Self {
        let descriptors = crate::sys::descriptor_limit();
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        Self {
            policy,
            sync,
            wants_paths,
            counters,
            stop,
            token: crate::sys::run_token(),
            started: Time { sec: now.tv_sec, nsec: u32::try_from(now.tv_nsec).unwrap_or(0) },
            named_stages: descriptors < 512 || !std::path::Path::new("/proc/self/fd").exists(),
            open_dirs: (descriptors / 4).clamp(4, 2048),
            links: Links::default(),
            barriers: Mutex::default(),
        }
    }

    /// The barrier of the file system that `dir` is on. One for the whole run, so that an error latches.
    pub(crate) fn barrier(&self, dir: &Dir) -> Arc<Barrier> {
        let mut barriers = self.barriers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(barriers.entry(dir.id().dev).or_insert_with(|| Arc::new(Barrier::open(dir))))
    }

    /// Ends an item.
    pub(crate) fn settle(&self, source: &Place, target: &Place, item: Item, outcome: Outcome) -> Settled {
        let paths = self.wants_paths.then(|| {
            let from = item.place.as_deref().unwrap_or(source).path(&item.name);
            (from, target.path(item.target_name()))
        });
        Settled { item, paths, outcome, warnings: Vec::new(), is_tree: false }
    }
}
