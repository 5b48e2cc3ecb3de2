//! Many small files across devices, durable: a pipeline. A thread of its own calls `syncfs` for a batch while the
//! workers copy the next; what a `syncfs` has covered is linked (its content is on the disk) or unlinked (its name
//! is). One call serves both, so there is one for each batch, and one more for the last names.

use std::collections::VecDeque;
use std::ffi::CString;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use super::files::{Carrier, link, names, on_threads, open_dir, unlink};
use super::{Durable, Staging};

/// Names that a worker takes at a time.
const RUN: usize = 125;

/// Batches that may be copied and not linked: one that is synced, one that is copied, and one between.
const OPEN_BATCHES: usize = 3;

/// A run of names, and the copies that still have none.
struct Run {
    names: Range<usize>,
    unnamed: Vec<OwnedFd>,
}

enum Task {
    Copy(Range<usize>),
    Link(Run),
    Unlink(Range<usize>),
}

#[derive(Default)]
struct State {
    /// The first name that nobody has taken yet.
    next: usize,
    /// Runs that are copied or linked right now.
    busy: usize,
    /// Runs copied and not linked, or, where copies are made with their names, not synced.
    open: usize,
    /// Copied, and waiting for the next `syncfs`.
    copied: Vec<Run>,
    /// Linked, and waiting for the next `syncfs`.
    linked: Vec<Range<usize>>,
    /// What a `syncfs` has covered.
    ready: VecDeque<Task>,
    /// Names that are to be unlinked yet.
    left: usize,
    failed: bool,
}

struct Flow<'a> {
    args: &'a Durable,
    source: OwnedFd,
    target: OwnedFd,
    names: Vec<CString>,
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) fn run(args: &Durable) -> Result<()> {
    let source = open_dir(&args.copy.sides.source)?;
    let target = open_dir(&args.copy.sides.target)?;
    let names = names(&source)?;
    let state = Mutex::new(State { left: names.len(), ..State::default() });
    let flow = Flow { args, source, target, names, state, changed: Condvar::new() };
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| flow.told(flow.sync()));
        let worked = on_threads(args.copy.means.threads, &|| flow.told(flow.work()));
        worked.and(syncing.join().unwrap_or_else(|_| Err(anyhow::anyhow!("syncing panicked"))))
    })
}

impl Flow<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the other threads end when one has failed.
    fn told(&self, result: Result<()>) -> Result<()> {
        if result.is_err() {
            self.lock().failed = true;
            self.changed.notify_all();
        }
        result
    }

    fn runs_to_batch(&self) -> usize {
        self.args.batch.div_ceil(RUN).max(1)
    }

    /// The next thing to do, or none if all is done.
    fn task(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if state.failed || state.left == 0 {
                return None;
            }
            if let Some(task) = state.ready.pop_front() {
                state.busy += usize::from(matches!(task, Task::Link(_)));
                return Some(task);
            }
            if state.next < self.names.len() && state.open < OPEN_BATCHES * self.runs_to_batch() {
                let names = state.next..(state.next + RUN).min(self.names.len());
                state.next = names.end;
                state.busy += 1;
                state.open += 1;
                return Some(Task::Copy(names));
            }
            state = self.wait(state);
        }
    }

    fn work(&self) -> Result<()> {
        let mut carrier = Carrier::new(&self.args.copy.means, self.args.copy.staging);
        while let Some(task) = self.task() {
            match task {
                Task::Copy(names) => {
                    let mut unnamed = Vec::with_capacity(RUN);
                    for name in &self.names[names.clone()] {
                        let file = carrier.carry(&self.source, &self.target, name)?;
                        if self.args.copy.staging == Staging::Unnamed {
                            unnamed.push(file);
                        }
                    }
                    let mut state = self.lock();
                    state.busy -= 1;
                    state.copied.push(Run { names, unnamed });
                }
                Task::Link(run) => {
                    for (file, name) in run.unnamed.into_iter().zip(&self.names[run.names.clone()]) {
                        carrier.look(&self.source, name)?;
                        link(&file, &self.target, name)?;
                    }
                    let mut state = self.lock();
                    state.busy -= 1;
                    state.open -= 1;
                    state.linked.push(run.names);
                }
                Task::Unlink(names) => {
                    for name in &self.names[names.clone()] {
                        carrier.look(&self.source, name)?;
                        unlink(&self.source, name)?;
                    }
                    self.lock().left -= names.len();
                }
            }
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Waits until a batch is copied, or nothing is to come but the rest.
    fn covered(&self) -> Option<(Vec<Run>, Vec<Range<usize>>)> {
        let mut state = self.lock();
        loop {
            if state.failed || state.left == 0 {
                return None;
            }
            let links_to_come = state.ready.iter().any(|task| matches!(task, Task::Link(_)));
            let rest = state.next == self.names.len() && state.busy == 0 && !links_to_come;
            let waiting = !state.copied.is_empty() || !state.linked.is_empty();
            if state.copied.len() >= self.runs_to_batch() || rest && waiting {
                return Some((std::mem::take(&mut state.copied), std::mem::take(&mut state.linked)));
            }
            state = self.wait(state);
        }
    }

    fn sync(&self) -> Result<()> {
        while let Some((copied, linked)) = self.covered() {
            rustix::fs::syncfs(&self.target)?;
            let mut state = self.lock();
            match self.args.copy.staging {
                Staging::Unnamed => state.ready.extend(copied.into_iter().map(Task::Link)),
                Staging::Named => {
                    state.open -= copied.len();
                    state.ready.extend(copied.into_iter().map(|run| Task::Unlink(run.names)));
                }
            }
            state.ready.extend(linked.into_iter().map(Task::Unlink));
            drop(state);
            self.changed.notify_all();
        }
        Ok(())
    }
}
