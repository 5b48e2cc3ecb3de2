//! Runs that wait at one of their system calls until they are told to go on. Once they are there, what is done meanwhile has
//! all the time that it takes, on a machine however slow; with a delay instead, a run would sooner or later be past the point.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use super::{strace, wait_until};
use crate::common::fs::scratch;
use crate::common::run::{Output, Pmove, Running};

/// Longer than a test lasts.
const DELAY: &str = "600s";

/// What strace writes of a call that it has delayed after the kernel was done with it.
const DELAYED: &str = "(DELAYED)";

/// A run that waits. Dropped, it is killed.
#[derive(Debug)]
pub struct Held {
    running: Running,
    /// strace's.
    tracer: Pid,
}

/// Runs it until it is about to make one of `calls` (`linkat,renameat2`) for the `nth` time: each thread, and each of the calls,
/// is counted on its own.
#[must_use]
#[track_caller]
pub fn held_before(pmove: Pmove, calls: &str, nth: usize) -> Held {
    // Of a call that it delays beforehand, strace writes only the beginning.
    let names: Vec<String> = calls.split(',').map(|call| format!(" {call}(")).collect();
    held(pmove, calls, &format!("delay_enter={DELAY}:when={nth}"), |log| {
        names.iter().any(|name| {
            let mut threads: Vec<_> = log.lines().filter(|line| line.contains(name)).map(first_word).collect();
            threads.sort_unstable();
            threads.chunk_by(|one, other| one == other).any(|calls| calls.len() >= nth)
        })
    })
}

/// Runs it until the kernel has made one of `calls` for the `nth` time, counted like that, of which the run is not told yet.
#[must_use]
#[track_caller]
pub fn held_after(pmove: Pmove, calls: &str, nth: usize) -> Held {
    held(pmove, calls, &format!("delay_exit={DELAY}:when={nth}"), |log| log.contains(DELAYED))
}

/// The thread that a line of strace's is about.
fn first_word(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

#[track_caller]
fn held(pmove: Pmove, calls: &str, delay: &str, is_there: impl Fn(&str) -> bool) -> Held {
    let dir = scratch();
    let log = dir.join("calls");
    // Not pmove's parent (-D), so that it can be ended without pmove.
    let output = format!("--output={}", log.display());
    let mut running = strace(pmove, &["-D", &output], &[&format!("{calls}:{delay}")]).spawn();
    wait_until("it is held, or has ended", || {
        is_there(&fs::read_to_string(&log).unwrap_or_default()) || !running.is_running()
    });
    assert!(running.is_running(), "has ended without {calls}\n{}", running.wait().dump());
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).expect("it is running");
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).expect("a line of each status");
    let tracer = tracer.trim().parse().ok().and_then(Pid::from_raw).expect("strace traces it");
    Held { running, tracer }
}

impl Held {
    /// Lets it go on to its end, untraced.
    #[track_caller]
    pub fn go_on(self) -> Output {
        // What a tracer leaves behind without a word goes on where it is. Told to end in order, strace would wait for
        // the end of the delay.
        kill_process(self.tracer, Signal::KILL).expect("strace is ours to kill");
        self.running.wait()
    }
}
