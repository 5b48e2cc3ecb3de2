//! What a test wants to happen at which system call. One plan at a time, for the process: its calls are counted over
//! all threads.
//!
//! A test that runs the program as a process of its own has it killed before its n-th call by `PMOVE_TEST_KILL_AT=n`.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

use super::Op;

/// What is to happen at a call.
pub enum Fault {
    /// It is not made, and fails.
    Fail(Errno),
    /// It is made, and fails all the same: a server's answer was lost.
    FailDone(Errno),
    /// It is made with so many bytes at most.
    Shorten(usize),
    /// It takes longer.
    Delay(Duration),
    /// Before it, somebody else does something; once.
    Run(Box<dyn FnOnce() + Send>),
    /// The process is killed before it: it is not made, nor is any other one from now on. All of them fail, so that
    /// what runs comes to its end, and lets go of its descriptors and locks, as with the process.
    Kill,
    /// The process is killed behind it: nobody learns what came of it, and no other one is made.
    KillBehind,
}

/// Which call is meant. Calls are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The n-th of all.
    Call(usize),
    /// The n-th of its kind.
    Nth(Op, usize),
    /// Each of its kind.
    Each(Op),
    /// Each, whatever it is.
    Any,
}

/// A call that was made, or was to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What kind it is of.
    pub op: Op,
    /// How many of its kind there were by then, this one included.
    pub nth: usize,
    /// The name it is about, and the new one behind an arrow; empty where it is about what is open.
    pub name: Vec<u8>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} #{} {}", self.op, self.nth, String::from_utf8_lossy(&self.name))
    }
}

/// What is to happen, and when.
#[derive(Default)]
pub struct Plan {
    faults: Vec<(When, Fault)>,
    refused: Vec<Refused>,
}

/// A kind of call that is always refused, where its name is such a one.
type Refused = (Op, fn(&[u8]) -> bool, Errno);

/// A plan that is being followed: until this is dropped. While there is one, whoever starts another waits.
pub struct Running {
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());
/// So that nothing is locked where there is no plan.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<Option<State>> = Mutex::new(None);
/// Before which call the process is to be killed; 0 for none.
static KILL_AT: LazyLock<u64> =
    LazyLock::new(|| std::env::var("PMOVE_TEST_KILL_AT").ok().and_then(|call| call.parse().ok()).unwrap_or(0));
static CALLS: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
struct State {
    plan: Plan,
    calls: Vec<Call>,
    kinds: HashMap<Op, usize>,
    hits: usize,
    is_killed: bool,
}

/// What is to be done with a call.
#[derive(Default)]
struct Decision {
    delay: Duration,
    fail: Option<Errno>,
    fail_done: Option<Errno>,
    most: Option<usize>,
}

impl Plan {
    /// Nothing is to happen: calls are only counted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more thing that is to happen.
    #[must_use]
    pub fn at(mut self, when: When, fault: Fault) -> Self {
        self.faults.push((when, fault));
        self
    }

    /// The file system does not know this kind of call: it always fails, unless something else is to happen to it.
    #[must_use]
    pub fn without(self, op: Op, error: Errno) -> Self {
        self.refusing(op, |_| true, error)
    }

    /// The same, but only where `is_meant` says so of the name.
    #[must_use]
    pub fn refusing(mut self, op: Op, is_meant: fn(&[u8]) -> bool, error: Errno) -> Self {
        self.refused.push((op, is_meant, error));
        self
    }

    /// Follows the plan from now on.
    #[must_use]
    pub fn start(self) -> Running {
        // A test that failed under its plan is no reason for others to fail.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        *state() = Some(State { plan: self, ..State::default() });
        IS_RUNNING.store(true, Ordering::SeqCst);
        Running { _alone: alone }
    }
}

/// The calls under the present plan so far, and at how many of them something of it happened.
#[must_use]
pub fn calls() -> (Vec<Call>, usize) {
    state().as_ref().map(|state| (state.calls.clone(), state.hits)).unwrap_or_default()
}

impl Drop for Running {
    fn drop(&mut self) {
        IS_RUNNING.store(false, Ordering::SeqCst);
        *state() = None;
    }
}

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a call about `len` bytes as the plan wants it.
pub(super) fn pass<T>(
    op: Op,
    name: &[u8],
    len: usize,
    call: impl FnOnce(usize) -> Result<T, Errno>,
) -> Result<T, Errno> {
    if *KILL_AT > 0 && CALLS.fetch_add(1, Ordering::SeqCst) + 1 == *KILL_AT {
        kill_process(getpid(), Signal::KILL).ok();
    }
    if !IS_RUNNING.load(Ordering::SeqCst) {
        return call(len);
    }
    let (decision, actions) = decide(op, name);
    for action in actions {
        action();
    }
    if !decision.delay.is_zero() {
        std::thread::sleep(decision.delay);
    }
    if let Some(error) = decision.fail {
        return Err(error);
    }
    let result = call(decision.most.map_or(len, |most| len.min(most)));
    match decision.fail_done {
        Some(error) => result.and(Err(error)),
        None => result,
    }
}

/// What the plan says of this call, and what is to be done before it.
fn decide(op: Op, name: &[u8]) -> (Decision, Vec<Box<dyn FnOnce() + Send>>) {
    let mut decision = Decision::default();
    let mut actions = Vec::new();
    let mut guard = state();
    let Some(state) = guard.as_mut() else { return (decision, actions) };
    if state.is_killed {
        decision.fail = Some(Errno::IO);
        return (decision, actions);
    }
    let nth = state.kinds.entry(op).or_default();
    *nth += 1;
    let call = Call { op, nth: *nth, name: name.to_vec() };
    state.calls.push(call);
    let (number, nth) = (state.calls.len(), *nth);
    let refused = state.plan.refused.iter().find(|(kind, is_meant, _)| *kind == op && is_meant(name));
    decision.fail = refused.map(|(_, _, error)| *error);
    for (when, fault) in &mut state.plan.faults {
        let is_meant = match *when {
            When::Call(wanted) => wanted == number,
            When::Nth(kind, wanted) => kind == op && wanted == nth,
            When::Each(kind) => kind == op,
            When::Any => true,
        };
        if !is_meant {
            continue;
        }
        state.hits += 1;
        match fault {
            Fault::Fail(error) => decision.fail = Some(*error),
            Fault::FailDone(error) => decision.fail_done = Some(*error),
            Fault::Shorten(most) => decision.most = Some(*most),
            Fault::Delay(time) => decision.delay = *time,
            // Outside of the lock.
            Fault::Run(action) => actions.push(std::mem::replace(action, Box::new(|| {}))),
            Fault::Kill => {
                state.is_killed = true;
                decision.fail = Some(Errno::IO);
            }
            Fault::KillBehind => {
                state.is_killed = true;
                decision.fail_done = Some(Errno::IO);
            }
        }
    }
    (decision, actions)
}
