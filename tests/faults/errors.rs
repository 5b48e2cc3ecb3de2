//! Every system call fails, once, with every error that fits it.

use pmove::fault::{Call, Fault, Op, When};
use rustix::io::Errno;

use super::audit::{Likeness, Now, finished, honest, safe};
use super::sweep::{Findings, is_exhaustive, sampled};
use super::world::{Case, Shape, Way, World, cases, hard_cases};

/// The errors that a call of this kind can meet.
fn errors(op: Op) -> &'static [Errno] {
    use Errno as E;
    match op {
        Op::Stat => &[E::IO, E::ACCESS, E::STALE, E::NOMEM],
        Op::StatFs | Op::List | Op::ReadLink | Op::Dup => &[E::IO, E::NOMEM],
        Op::Flags => &[E::NOTTY, E::IO],
        Op::Access => &[E::ACCESS, E::ROFS, E::IO, E::NOSYS],
        Op::OpenDir | Op::OpenFile => &[E::IO, E::ACCESS, E::MFILE, E::NOMEM],
        Op::Lock => &[E::NOLCK, E::INTR, E::IO],
        Op::Create => &[E::NOSPC, E::DQUOT, E::IO, E::ROFS, E::MFILE],
        Op::CreateUnnamed => &[E::OPNOTSUPP, E::ISDIR, E::INVAL, E::NOSPC, E::IO, E::MFILE],
        Op::MakeDir => &[E::NOSPC, E::DQUOT, E::IO, E::ROFS, E::MLINK, E::ACCESS],
        Op::MakeLink | Op::MakeNode => &[E::NOSPC, E::IO, E::PERM, E::OPNOTSUPP],
        Op::Link => &[E::MLINK, E::PERM, E::OPNOTSUPP, E::NOSPC, E::IO],
        Op::Publish => &[E::NOENT, E::PERM, E::NOSPC, E::IO, E::OPNOTSUPP],
        Op::Rename => &[E::IO, E::NOSPC, E::BUSY, E::ACCESS, E::XDEV],
        Op::RenameNoReplace => &[E::INVAL, E::NOSYS, E::XDEV, E::IO, E::NOSPC, E::BUSY, E::ACCESS],
        Op::Exchange => &[E::INVAL, E::NOSYS, E::IO, E::NOSPC, E::BUSY, E::ACCESS],
        Op::Unlink => &[E::IO, E::ACCESS, E::PERM, E::BUSY, E::ROFS],
        Op::RemoveDir => &[E::IO, E::BUSY, E::PERM],
        Op::Clone => &[E::OPNOTSUPP, E::XDEV, E::INVAL, E::IO, E::NOSPC, E::NOTTY],
        Op::CopyRange => &[E::XDEV, E::NOSYS, E::INVAL, E::PERM, E::OPNOTSUPP, E::IO, E::NOSPC, E::INTR],
        Op::MakePipe => &[E::MFILE, E::NFILE],
        Op::FillPipe => &[E::INVAL, E::NOSYS, E::IO, E::INTR],
        Op::DrainPipe => &[E::INVAL, E::IO, E::NOSPC, E::INTR],
        Op::Reserve => &[E::OPNOTSUPP, E::NOSPC, E::DQUOT, E::IO, E::INTR],
        Op::Seek => &[E::INVAL, E::IO],
        Op::Read => &[E::IO, E::INTR],
        Op::Write => &[E::NOSPC, E::DQUOT, E::IO, E::FBIG, E::INTR],
        Op::Close => &[E::IO, E::DQUOT, E::NOSPC],
        Op::Truncate => &[E::NOSPC, E::IO, E::INTR, E::FBIG],
        Op::Sync => &[E::IO, E::NOSPC, E::DQUOT, E::INTR],
        Op::SyncAll => &[E::IO, E::NOSPC],
        Op::GiveOwner => &[E::PERM, E::INVAL, E::IO, E::DQUOT, E::ROFS],
        Op::GiveMode | Op::GiveTimes => &[E::PERM, E::OPNOTSUPP, E::IO, E::ROFS],
        Op::ListAttributes | Op::RemoveAttribute => &[E::OPNOTSUPP, E::IO],
        Op::GetAttribute => &[E::NODATA, E::ACCESS, E::IO],
        Op::SetAttribute => &[E::OPNOTSUPP, E::NOSPC, E::DQUOT, E::IO, E::ROFS, E::ACCESS],
    }
}

/// How alike a target can be after this.
fn likeness(way: Way, op: Op, error: Errno) -> Likeness {
    match op {
        // Where some of one file's names can be renamed and others cannot, they part.
        Op::Rename | Op::RenameNoReplace if error == Errno::XDEV || way == Way::Within => Likeness::LinksAside,
        // A file system that cannot tell holes.
        Op::Seek if error == Errno::INVAL => Likeness::Content,
        // Where there are no links, or no more of them, a tree gets copies, and says so.
        Op::Link if matches!(error, Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP) => Likeness::LinksAside,
        Op::GiveOwner
        | Op::GiveMode
        | Op::GiveTimes
        | Op::ListAttributes
        | Op::GetAttribute
        | Op::SetAttribute
        | Op::RemoveAttribute
            if !matches!(error, Errno::IO | Errno::ROFS | Errno::DQUOT) =>
        {
            Likeness::Content
        }
        _ => Likeness::Faithful,
    }
}

/// Calls, each with every error that fits it.
pub fn fitting(calls: &[Call]) -> Vec<(Call, Errno)> {
    calls.iter().flat_map(|call| errors(call.op).iter().map(|error| (call.clone(), *error))).collect()
}

fn fail_once(world: &World, call: &Call, error: Errno, findings: &mut Findings) {
    world.reset();
    then_fail_once(world, false, &format!("{}: {error} at {call}", world.case), call, error, findings);
}

fn then_fail_once(
    world: &World,
    is_behind_kill: bool,
    which: &str,
    call: &Call,
    error: Errno,
    findings: &mut Findings,
) {
    let ran = world.run(world.plan().at(When::Nth(call.op, call.nth), Fault::Fail(error)));
    let likeness = likeness(world.case.way, call.op, error);
    let mut wrong = Vec::new();
    let now = Now::of(world);
    safe(world, &now, likeness, &mut wrong);
    honest(world, &now, &ran, &mut wrong);
    // What an ended run has published is finished at the end of the next, also where its turn has failed.
    wrong.retain(|what| !is_behind_kill || !what.contains("but everything is done"));
    let is_link_refused = call.op == Op::Link && likeness == Likeness::LinksAside;
    let is_rename = world.case.way == Way::PlainRenames;
    if is_link_refused && !is_rename && ran.is_done && !ran.messages.contains("warning: preserving hard links") {
        wrong.push("P5: a link has become a copy without a word".to_owned());
    }
    // Sources are independent: where one fails, the links that others have to its files are lost.
    let is_flat = matches!(world.case.shape, Shape::Operands | Shape::Pattern);
    let likeness =
        if is_flat && !ran.is_done && likeness == Likeness::Faithful { Likeness::LinksAside } else { likeness };
    let again = world.run(world.plan());
    finished(world, &again, likeness, &mut wrong);
    if !wrong.is_empty() {
        wrong.push(format!("  it said {:?}\n  then {:?}", ran.messages, again.messages));
    }
    findings.note(which, ran.hits, &wrong);
}

/// Goes through every call of each case.
fn sweep(name: &str, cases: Vec<Case>, most: usize) {
    let mut findings = Findings::default();
    for case in cases {
        let world = World::new(case);
        let quiet = world.run(world.plan());
        assert!(quiet.is_done, "{case}: {}", quiet.messages);
        // What must be copied within one file system cannot be linked either, which is what stands in for a missing flag.
        let cannot_be = |op, error| {
            case.way == Way::Within
                && op == Op::RenameNoReplace
                && matches!(error, Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP)
        };
        let mut all = fitting(&quiet.calls);
        all.retain(|(call, error)| !cannot_be(call.op, *error));
        for (call, error) in sampled(all, most) {
            fail_once(&world, &call, error, &mut findings);
        }
    }
    findings.end(name);
}

#[test]
fn p1_p2_p5_p6_p7_any_call_may_fail_once() {
    sweep("a call that fails", cases(&[Shape::Operands, Shape::Tree], &["", "-n"]), 6);
}

#[test]
fn h45_h46_h47_h51_any_call_may_fail_where_others_are_not_supported() {
    sweep("a call that fails where others do, too", hard_cases(), 4);
}

/// Killed, then run again with a call that fails, then run again: what the ended run has left must not be forgotten
/// because it could not be looked at once.
#[test]
fn p6_h93_any_call_of_the_run_behind_a_kill_may_fail() {
    let mut findings = Findings::default();
    for case in cases(&[Shape::Pattern, Shape::Tree, Shape::NewName], &["", "-n"]) {
        let world = World::new(case);
        let calls = world.run(world.plan()).calls.len();
        // Behind the publishing, where there is most to be forgotten, and elsewhere.
        let kills = if is_exhaustive() { (1..=calls).step_by(7).collect() } else { vec![calls * 5 / 6] };
        for kill in kills {
            let killed = || {
                world.reset();
                world.run(world.plan().at(When::Call(kill), Fault::Kill));
            };
            killed();
            let calls = world.run(world.plan()).calls;
            for (call, error) in sampled(fitting(&calls), 2) {
                killed();
                let which = format!("{case}: killed at {kill}, then {error} at {call}");
                then_fail_once(&world, true, &which, &call, error, &mut findings);
            }
        }
    }
    findings.end("a call that fails behind a kill");
}
