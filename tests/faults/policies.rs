//! What the policies do to existing targets, with a call that fails, or a kill, at every point: no content goes that the
//! policy does not give up, and the same command comes to the same end as if nothing had happened.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use pmove::fault::{Fault, Op, Plan, When};
use rustix::io::Errno;

use crate::common::snapshot::Snapshot;
use crate::common::tree::Tree;
use crate::promises::{Sides, across, back, litter};

use super::errors::fitting;
use super::sweep::{Findings, sampled};
use super::world::{Ran, empty, run};

/// A policy, and what it does in the scene.
struct Scene {
    name: &'static str,
    make: fn() -> Sides,
    policy: &'static [&'static str],
    /// Contents that have to be somewhere in the end, and all the time.
    kept: &'static [&'static str],
}

const ALL: &[&str] = &["new b", "old b", "c", "same", "new t", "old t", "new h", "old h", "loose"];
/// What is replaced may go.
const NEW: &[&str] = &["new b", "c", "same", "new t", "old t", "new h", "loose"];

type Sorts = [(&'static [&'static str], &'static [&'static str]); 11];

fn scenes() -> Vec<Scene> {
    type Make = fn() -> Sides;
    let sides: [(&'static str, Make); 3] = [("one device", in_memory), ("to memory", across), ("to disk", back)];
    let policies: Sorts = [
        (&["-b"], ALL),
        (&["--backup=numbered"], ALL),
        (&["-u"], NEW),
        (&["--on-conflict=keep-both"], ALL),
        (&["--on-conflict=drop-identical"], ALL),
        (&["--on-conflict=fail"], ALL),
        (&["-b", "-u"], ALL),
        (&["--merge"], ALL),
        (&["--merge", "-u"], NEW),
        (&["--merge", "--on-conflict=keep-both"], ALL),
        (&["--merge", "--backup=numbered"], ALL),
    ];
    let with = |(name, make)| policies.map(|(policy, kept)| Scene { name, make, policy, kept });
    sides.into_iter().flat_map(with).collect()
}

fn in_memory() -> Sides {
    Sides { from: crate::common::fs::other(), to: crate::common::fs::other() }
}

fn build(sides: &Sides) {
    empty(&sides.from);
    empty(&sides.to);
    // b is newer than its target, s has the same content and an older time.
    Tree::new()
        .file("b", "new b")
        .mtime(20, 2)
        .file("c", "c")
        .mtime(21, 1)
        .file("s", "same")
        .mtime(5, 0)
        .file("t/f", "new t")
        .mtime(22, 1)
        .file("t/h", "new h")
        .mtime(23, 1)
        .file("t/d/i", "")
        .mtime(24, 1)
        .dir("t/d")
        .mtime(29, 1)
        .dir("t")
        .mtime(30, 3)
        .build(&sides.from);
    Tree::new()
        .file("b", "old b")
        .mtime(10, 1)
        .file("s", "same")
        .mtime(9, 0)
        .file("t/g", "old t")
        .mtime(11, 1)
        .file("t/h", "old h")
        .mtime(13, 1)
        .file("loose", "loose")
        .mtime(12, 1)
        .dir("t")
        .mtime(31, 3)
        .build(&sides.to);
}

fn command(scene: &Scene, sides: &Sides, plan: Plan) -> Ran {
    let mut args: Vec<OsString> = ["pmove", "-j", "1", "--allow-empty"].map(OsString::from).into();
    args.extend(scene.policy.iter().map(OsString::from));
    args.extend([sides.from.join("*").into_os_string(), sides.to.as_os_str().to_owned()]);
    run(args, plan)
}

/// Where everything is: names and contents on both sides.
fn ends(sides: &Sides) -> [Snapshot; 2] {
    let end = |dir: &Path| {
        // Into which something goes, or out of which, has the time of that.
        Snapshot::of(dir).without_root().edit(|path, entry| {
            if path == Path::new("t") {
                entry.mtime = (0, 0);
            }
        })
    };
    [end(&sides.from), end(&sides.to)]
}

/// The contents that can be found under names that are nobody's secret.
fn contents(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // A source that is being removed is hidden: by then its copy is not.
        if path.file_name().unwrap().to_string_lossy().starts_with(".pmove-") {
            continue;
        }
        if path.is_dir() {
            contents(&path, found);
        } else {
            found.extend(std::fs::read_to_string(path));
        }
    }
}

fn lost(scene: &Scene, sides: &Sides) -> Vec<String> {
    let mut found = BTreeSet::new();
    contents(&sides.from, &mut found);
    contents(&sides.to, &mut found);
    let gone = scene.kept.iter().filter(|content| !found.contains(**content));
    gone.map(|content| format!("P1: {content:?} is nowhere")).collect()
}

fn compare(end: &[Snapshot; 2], sides: &Sides, what: &str, wrong: &mut Vec<String>) {
    for (expected, is) in end.iter().zip(&ends(sides)) {
        let difference = expected.diff(is);
        if !difference.is_empty() {
            wrong.push(format!("{what}: {difference}"));
        }
    }
    wrong.extend(
        [&sides.from, &sides.to].map(|dir| litter(dir)).concat().iter().map(|path| format!("P6: {}", path.display())),
    );
}

fn sweep(name: &str, most: usize, faults: impl Fn(&Ran) -> Vec<(String, When, Fault)>) {
    let mut findings = Findings::default();
    for scene in scenes() {
        let sides = (scene.make)();
        build(&sides);
        let quiet = command(&scene, &sides, Plan::new());
        let end = ends(&sides);
        assert_eq!(lost(&scene, &sides), Vec::<String>::new(), "{} {:?}", scene.name, scene.policy);
        for (which, when, fault) in sampled(faults(&quiet), most) {
            build(&sides);
            let is_kill = matches!(fault, Fault::Kill | Fault::KillBehind);
            let ran = command(&scene, &sides, Plan::new().at(when, fault));
            let mut wrong = lost(&scene, &sides);
            // Litter that could not be removed is told.
            if ran.is_done && !is_kill && !ran.messages.contains("warning: cannot remove") {
                compare(&end, &sides, "P5: said to be done", &mut wrong);
            }
            let again = command(&scene, &sides, Plan::new());
            wrong.extend(lost(&scene, &sides));
            compare(&end, &sides, "P6", &mut wrong);
            if !wrong.is_empty() {
                wrong.push(format!("  it said {:?}\n  then {:?}", ran.messages, again.messages));
            }
            findings.note(format!("{} {:?}: {which}", scene.name, scene.policy), ran.hits, &wrong);
        }
    }
    findings.end(name);
}

#[test]
fn p1_p6_h22_h94_killed_anywhere_under_every_policy() {
    sweep("killed", 3, |quiet| {
        let at = |(n, call): (usize, _)| {
            let kills = [(Fault::Kill, "before"), (Fault::KillBehind, "behind")];
            kills.map(|(kill, side)| (format!("killed {side} {call}"), When::Call(n + 1), kill))
        };
        quiet.calls.iter().enumerate().flat_map(at).collect()
    });
}

#[test]
fn p1_p5_p6_h22_any_call_may_fail_under_every_policy() {
    sweep("a call that fails", 3, |quiet| {
        let fitting = fitting(&quiet.calls).into_iter();
        // What changes how files come to be alike is tried elsewhere.
        let plain = fitting.filter(|(call, error)| {
            !matches!(call.op, Op::GiveOwner | Op::GiveMode | Op::GiveTimes | Op::SetAttribute | Op::ListAttributes)
                || *error == Errno::IO
        });
        plain
            .map(|(call, error)| (format!("{error} at {call}"), When::Nth(call.op, call.nth), Fault::Fail(error)))
            .collect()
    });
}

/// Whatever appears at the target after the judgement: it is what was judged that goes, or nothing.
#[test]
fn h94_what_takes_the_targets_place_meanwhile_is_not_replaced_unjudged() {
    for make in [in_memory, across, back] {
        let sides = make();
        let prepare = || {
            empty(&sides.from);
            empty(&sides.to);
            Tree::new().file("f", "newer").mtime(20, 0).build(&sides.from);
            Tree::new().file("f", "old").mtime(10, 0).file("fresh", "newest").mtime(30, 0).build(&sides.to);
        };
        let update = |plan: Plan| {
            let args = ["pmove", "-j", "1", "-u"].map(OsString::from).into_iter();
            run(args.chain([sides.from.join("f").into_os_string(), sides.to.as_os_str().to_owned()]).collect(), plan)
        };
        prepare();
        for nth in 1..=update(Plan::new()).calls.len() {
            prepare();
            let (fresh, target) = (sides.to.join("fresh"), sides.to.join("f"));
            let was_old = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let seen = std::sync::Arc::clone(&was_old);
            let act = move || {
                let is_old = std::fs::read(&target).is_ok_and(|content| content == b"old");
                seen.store(is_old, std::sync::atomic::Ordering::Relaxed);
                std::fs::rename(fresh, target).unwrap();
            };
            let ran = update(Plan::new().at(When::Call(nth), Fault::Run(Box::new(act))));
            // What came is the newest, and so it stays, whenever it came: before the exchange it is judged anew, behind
            // it, it has replaced our work.
            assert_eq!(std::fs::read(sides.to.join("f")).unwrap(), b"newest", "at {nth}: {ran:?}");
            if was_old.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(std::fs::read(sides.from.join("f")).unwrap(), b"newer", "at {nth}: {ran:?}");
            }
            assert_eq!(litter(&sides.to), Vec::<std::path::PathBuf>::new());
        }
    }
}
