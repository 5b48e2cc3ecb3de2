//! Killed at every system call, just before it and just behind it, once and twice; then the same command again.

use pmove::fault::{Fault, When};

use super::audit::{Likeness, Now, finished, safe};
use super::sweep::{Findings, is_exhaustive, sampled};
use super::world::{Case, Shape, World, cases, hard_cases};

/// Where a run is killed: at which call, and whether that call is made.
#[derive(Clone, Copy, Debug)]
struct Kill {
    call: usize,
    is_behind: bool,
}

impl Kill {
    fn fault(self) -> Fault {
        if self.is_behind { Fault::KillBehind } else { Fault::Kill }
    }

    fn all(calls: usize) -> Vec<Self> {
        (1..=calls).flat_map(|call| [false, true].map(|is_behind| Self { call, is_behind })).collect()
    }
}

/// Kills run after run, then lets one come to its end.
fn kill(world: &World, kills: &[Kill], findings: &mut Findings) {
    world.reset();
    let (mut wrong, mut hits, mut last) = (Vec::new(), 0, String::new());
    for kill in kills {
        let killed = world.run(world.plan().at(When::Call(kill.call), kill.fault()));
        hits += killed.hits;
        if let Some(call) = killed.calls.last() {
            last = format!("{last} at {call}");
        }
        safe(world, &Now::of(world), Likeness::Faithful, &mut wrong);
    }
    let again = world.run(world.plan());
    finished(world, &again, Likeness::Faithful, &mut wrong);
    if !wrong.is_empty() {
        wrong.push(format!("  the last run said {:?}", again.messages));
    }
    findings.note(format!("{}: {kills:?}{last}", world.case), hits, &wrong);
}

fn sweep(name: &str, cases: Vec<Case>, most: usize) {
    let mut findings = Findings::default();
    for case in cases {
        let world = World::new(case);
        let quiet = world.run(world.plan());
        assert!(quiet.is_done, "{case}: {}", quiet.messages);
        for one in sampled(Kill::all(quiet.calls.len()), most) {
            kill(&world, &[one], &mut findings);
        }
    }
    findings.end(name);
}

#[test]
fn p6_h93_killed_anywhere_the_same_command_finishes() {
    sweep("killed", cases(&[Shape::Pattern, Shape::Tree, Shape::NewName], &["", "-n", "-f"]), 4);
}

#[test]
fn p6_h45_h47_killed_anywhere_where_not_everything_is_supported() {
    sweep("killed where not everything is supported", hard_cases(), 4);
}

#[test]
fn p6_killed_twice_the_same_command_finishes() {
    let mut findings = Findings::default();
    for case in cases(&[Shape::Pattern, Shape::Tree, Shape::NewName], &["", "-n"]) {
        let world = World::new(case);
        let calls = world.run(world.plan()).calls.len();
        // Every pair would be too many: a stride that has nothing in common with their number meets all parts of both.
        let most = if is_exhaustive() { 400 } else { 2 };
        for n in 0..most {
            let first = Kill { call: 1 + n * 61 % calls, is_behind: n % 2 == 0 };
            let second = Kill { call: 1 + n * 37 % calls, is_behind: n % 3 == 0 };
            kill(&world, &[first, second], &mut findings);
        }
    }
    findings.end("killed twice");
}
