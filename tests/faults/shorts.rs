//! Every read and write falls short.

use std::collections::BTreeSet;

use pmove::fault::{Fault, Op, When};

use super::audit::{Likeness, finished};
use super::sweep::{Findings, sampled};
use super::world::{Shape, World, cases, hard_cases};

const SIZED: [Op; 5] = [Op::Read, Op::Write, Op::CopyRange, Op::FillPipe, Op::DrainPipe];

/// A run in which something falls short is done all the same.
fn short(world: &World, when: When, most: usize, findings: &mut Findings) {
    world.reset();
    let ran = world.run(world.plan().at(when, Fault::Shorten(most)));
    let mut wrong = Vec::new();
    if !ran.is_done {
        wrong.push(format!("it said {:?}", ran.messages));
    }
    finished(world, &ran, Likeness::Faithful, &mut wrong);
    findings.note(format!("{}: {when:?} with {most} bytes", world.case), ran.hits, &wrong);
}

#[test]
fn h59_any_read_or_write_may_fall_short() {
    let mut findings = Findings::default();
    let mut seen = BTreeSet::new();
    for case in cases(&[Shape::Pattern, Shape::Tree], &[""]).into_iter().chain(hard_cases()) {
        let world = World::new(case);
        let calls = world.run(world.plan()).calls;
        let sized: Vec<_> = calls.iter().filter(|call| SIZED.contains(&call.op)).collect();
        for op in SIZED {
            if sized.iter().any(|call| call.op == op) {
                seen.insert(op);
                short(&world, When::Each(op), 1000, &mut findings);
            }
        }
        let all: Vec<_> =
            sized.iter().flat_map(|call| [1, 4097].map(|most| (When::Nth(call.op, call.nth), most))).collect();
        for (when, most) in sampled(all, 2) {
            short(&world, when, most, &mut findings);
        }
    }
    assert_eq!(seen, BTreeSet::from(SIZED));
    findings.end("a call that falls short");
}
