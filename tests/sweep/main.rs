//! Every system call of a run, met one by one: it fails, in every way that fits it, once or for good; it is cut
//! short; a signal comes before it. After each: every content is whole at its source or at its target (P1), no target
//! is torn (P2), status and messages are true (P5), and the same command finishes the job and leaves no litter (P6).
//!
//! A sample of it runs with all other tests. Everything: `PMOVE_TEST_EXHAUSTIVE=1 cargo test --release --test sweep --
//! --nocapture`, which takes the better part of an hour and prints what it did. As root it moves between ext4 images, else
//! between the disk and /dev/shm.
//!
//! Only on x86-64: the registers are looked into.

#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../promises/mod.rs"]
mod promises;

mod calls;
mod scenario;
mod tracer;
mod verdict;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use calls::Length;
use common::fs::is_root;
use common::mount::{FsType, LoopFs};
use scenario::{Ground, SCENARIOS, Scenario};
use tracer::Act;

/// What is done at which call.
#[derive(Clone, Copy, Debug)]
struct Case {
    at: usize,
    act: Act,
}

/// How many cases of a scenario are tried where not all are.
const SAMPLE: usize = 25;

/// How many violations are shown.
const SHOWN: usize = 20;

fn is_exhaustive() -> bool {
    std::env::var_os("PMOVE_TEST_EXHAUSTIVE").is_some()
}

#[test]
fn p1_p2_p5_p6_errors_at_every_call_on_one_device() {
    let here = Disk::one();
    sweep(&here.ground(), "one device, errors", errors);
}

#[test]
fn p1_p2_p5_p6_errors_at_every_call_across_devices() {
    let (from, to) = Disk::two();
    sweep(&Ground { from: from.path(), to: to.path() }, "across devices, errors", errors);
}

#[test]
fn p1_p2_p5_p6_signals_at_every_call_on_one_device() {
    let here = Disk::one();
    sweep(&here.ground(), "one device, signals", signals);
}

#[test]
fn p1_p2_p5_p6_signals_at_every_call_across_devices() {
    let (from, to) = Disk::two();
    sweep(&Ground { from: from.path(), to: to.path() }, "across devices, signals", signals);
}

/// Where files are moved from or to.
enum Disk {
    Loop(LoopFs),
    Scratch(common::fs::Scratch),
}

impl Disk {
    fn one() -> Self {
        if is_root() && is_exhaustive() { Self::ext4() } else { Self::Scratch(common::fs::scratch()) }
    }

    /// With barriers, from one to the other.
    fn two() -> (Self, Self) {
        if is_root() && is_exhaustive() {
            (Self::ext4(), Self::ext4())
        } else {
            (Self::Scratch(common::fs::other()), Self::Scratch(common::fs::scratch()))
        }
    }

    fn ext4() -> Self {
        Self::Loop(LoopFs::new(FsType::Ext4, 256))
    }

    fn path(&self) -> &std::path::Path {
        match self {
            Self::Loop(fs) => fs.path(),
            Self::Scratch(dir) => dir,
        }
    }

    fn ground(&self) -> Ground<'_> {
        Ground { from: self.path(), to: self.path() }
    }
}

/// All ways in which a call can fail, or do less than it was asked for.
fn errors(calls: &[&calls::Call]) -> Vec<Case> {
    let of = |(at, call): (usize, &&calls::Call)| {
        let once = (0..call.errors.len()).map(Act::Fail);
        // No call is interrupted for ever.
        let may_last = |n: &usize| call.errors[*n] != Errno::EINTR;
        let lasting = (0..call.errors.len()).filter(may_last).map(Act::FailFromNowOn);
        let short = (!matches!(call.length, Length::None)).then_some(Act::Shorten);
        once.chain(lasting).chain(short).map(|act| Case { at, act }).collect::<Vec<_>>()
    };
    calls.iter().enumerate().flat_map(of).collect()
}

/// All signals that end it, at all calls.
fn signals(calls: &[&calls::Call]) -> Vec<Case> {
    let signals = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT];
    (0..calls.len()).flat_map(|at| signals.map(|signal| Case { at, act: Act::Signal(signal) })).collect()
}

/// Runs all cases, or a sample of them, of all scenarios.
#[expect(clippy::print_stdout, reason = "the counts are the result of an exhaustive run")]
fn sweep(ground: &Ground, title: &str, cases_of: fn(&[&calls::Call]) -> Vec<Case>) {
    let mut violations = Vec::new();
    for scenario in SCENARIOS {
        let quiet = scenario.quiet(ground);
        let mut cases = cases_of(&quiet.calls);
        let all = cases.len();
        if !is_exhaustive() {
            let step = all.div_ceil(SAMPLE).max(1) | 1;
            cases = cases.into_iter().step_by(step).collect();
        }
        let (met, found) = try_all(ground, scenario, &cases);
        println!(
            "{title}: {}: {} calls, {all} cases, {} tried, {met} met their call, {} violations",
            scenario.name,
            quiet.calls.len(),
            cases.len(),
            found.len()
        );
        violations.extend(found);
    }
    let shown = violations.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(violations.is_empty(), "{} violations\n\n{shown}", violations.len());
}

#[expect(clippy::print_stdout, reason = "an exhaustive run takes long: what it finds is said at once")]
/// Tries the cases, two at a time; says how many of them met their call, and what was wrong.
fn try_all(ground: &Ground, scenario: &Scenario, cases: &[Case]) -> (usize, Vec<String>) {
    let (next, met) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let violations = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(&case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tried = verdict::try_case(ground, scenario, case.at, case.act);
                    met.fetch_add(usize::from(tried.met), Ordering::Relaxed);
                    if let Some(violation) = tried.violation {
                        println!("{violation}\n");
                        violations.lock().unwrap().push(violation);
                    }
                }
            });
        }
    });
    (met.into_inner(), violations.into_inner().unwrap())
}
