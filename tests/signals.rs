//! Signals: the first ends the work in good order, and the process by that very signal; a second one ends it at
//! once; what the caller has set to be ignored stays ignored. Nothing is ever lost.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use common::run::{Output, Running};
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use promises::held::held_before;
use promises::{Sides, across, back, empty, ended, everywhere, injected, names, wait_until};

const ENDING: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

fn content(i: usize) -> String {
    format!("content {i} ").repeat(500)
}

fn make(sides: &Sides) {
    let tree = Tree::new().files(400, |i| (format!("f{i:03}"), content(i)));
    tree.files(300, |i| (format!("tree/d{}/g{i}", i % 9), content(i))).build(&sides.from);
}

/// Begins to move all of it, slowly. Not by strace alone: signals are for pmove, and strace would end as well.
fn slowly(sides: &Sides, delay: &str) -> Running {
    let pmove = sides.pmove().args(["-j", "2", "f*", "tree"]).arg(&*sides.to);
    let running = injected(pmove, &[&format!("utimensat:delay_enter={delay}")]).spawn();
    wait_until("it has begun", || names(&sides.to).iter().any(|name| name.starts_with(".pmove-")));
    thread::sleep(Duration::from_millis(30));
    running
}

/// Every file is whole on one side, or on both; the tree is whole where it is.
#[track_caller]
fn assert_nothing_lost(sides: &Sides, output: &Output) {
    let (left, moved) = sides.files();
    for i in 0..400 {
        let (name, content) = (format!("f{i:03}"), content(i).into_bytes());
        let is_there = |files: &promises::Files| files.get(&name).is_some_and(|found| *found == content);
        assert!(is_there(&left) || is_there(&moved), "{name} is lost\n{}", output.dump());
        assert!(!moved.contains_key(&name) || is_there(&moved), "{name} is torn\n{}", output.dump());
    }
    let trees = [&sides.from, &sides.to].map(|side| side.join("tree")).into_iter().filter(|tree| tree.exists());
    assert!(trees.map(|tree| Snapshot::of(tree).len()).any(|len| len == 310), "{}", output.dump());
}

#[track_caller]
fn assert_finished_by_the_same_command(sides: &Sides, whole: &Snapshot) {
    let output = sides.pmove().args(["--allow-empty", "f*", "tree"]).arg(&*sides.to).run();
    let is_done = output.code == Some(1) && output.stderr_text().contains("cannot stat 'tree'");
    assert!(output.code == Some(0) || is_done, "{}", output.dump());
    assert_same(whole, &Snapshot::of(&*sides.to).without_root());
    assert!(names(&sides.from).is_empty());
    sides.assert_no_litter();
}

#[test]
#[ignore = "needs strace"]
fn h67_a_signal_ends_it_in_good_order() {
    for signal in ENDING {
        for sides in [across(), back()] {
            make(&sides);
            let whole = Snapshot::of(&*sides.from).without_root();
            let running = slowly(&sides, "3ms");
            signal_pmove(signal, &sides);
            let output = running.wait();
            // strace ends as what it runs has ended.
            output.dies_by(signal);
            assert_nothing_lost(&sides, &output);
            sides.assert_no_litter();
            assert!(!names(&sides.from).is_empty(), "it had ended before the signal\n{}", output.dump());
            assert_finished_by_the_same_command(&sides, &whole);
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h67_what_was_not_moved_is_counted_before_it_dies() {
    let sides = back();
    make(&sides);
    let running = slowly(&sides, "3ms");
    signal_pmove(Signal::INT, &sides);
    let output = running.wait();
    output.dies_by(Signal::INT).stderr_has(" moved, ").stderr_has(" not reached");
}

#[test]
fn h67_a_signal_at_any_time_loses_nothing() {
    for round in 0..20 {
        let sides = if round % 2 == 0 { across() } else { back() };
        make(&sides);
        let whole = Snapshot::of(&*sides.from).without_root();
        let running = sides.pmove().args(["f*", "tree"]).arg(&*sides.to).spawn();
        thread::sleep(Duration::from_millis(3 + 4 * round));
        running.signal(ENDING[usize::try_from(round).unwrap() % 3]);
        let output = running.wait();
        assert!(output.code == Some(0) || output.signal.is_some(), "{}", output.dump());
        assert_nothing_lost(&sides, &output);
        // Before the handlers are set it dies at once, which leaves nothing either: it has done nothing yet.
        sides.assert_no_litter();
        assert_finished_by_the_same_command(&sides, &whole);
    }
}

#[test]
#[ignore = "needs strace"]
fn h67_a_second_signal_ends_it_at_once() {
    for sides in [across(), back()] {
        make(&sides);
        let whole = Snapshot::of(&*sides.from).without_root();
        // It cannot even look whether it should end: each call takes a minute.
        let running = slowly(&sides, "60s");
        let begun = Instant::now();
        signal_pmove(Signal::TERM, &sides);
        // Two at the same moment are one: a terminal's and a shell's, say.
        thread::sleep(Duration::from_secs(1));
        signal_pmove(Signal::TERM, &sides);
        // Held in the delayed call, it can be ended by nobody but its tracer.
        wait_until("it has ended", || pids(&sides).is_empty());
        assert!(begun.elapsed() < Duration::from_secs(15));
        running.signal(Signal::KILL);
        let output = running.wait();
        assert_nothing_lost(&sides, &output);
        assert_finished_by_the_same_command(&sides, &whole);
    }
}

#[test]
#[ignore = "needs strace"]
fn h67_an_ignored_signal_stays_ignored() {
    for sides in [across(), back()] {
        make(&sides);
        let whole = Snapshot::of(&*sides.from).without_root();
        let pmove = sides.pmove().args(["-j", "2", "f*", "tree"]).arg(&*sides.to);
        let pmove = injected(pmove, &["utimensat:delay_enter=1ms"]).under(["env", "--ignore-signal=HUP"]);
        let running = pmove.spawn();
        wait_until("it has begun", || names(&sides.to).iter().any(|name| name.starts_with(".pmove-")));
        signal_pmove(Signal::HUP, &sides);
        running.wait().ok().stderr_is("");
        assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
    }
}

#[test]
#[ignore = "needs strace"]
fn h67_a_single_file_under_way_is_withdrawn() {
    for sides in [across(), back()] {
        Tree::new().file("f", vec![1; 3 << 20]).build(&sides.from);
        Tree::new().file("f", "old").build(&sides.to);
        let held = held_before(sides.pmove().arg("f").arg(&*sides.to), "utimensat", 1);
        signal_pmove(Signal::INT, &sides);
        // A thread that is not held may have been given it, by way of strace.
        thread::sleep(Duration::from_millis(500));
        held.go_on().dies_by(Signal::INT);
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"old");
        assert_eq!(fs::metadata(sides.from.join("f")).unwrap().len(), 3 << 20);
        sides.assert_no_litter();
    }
}

/// Whoever writes the list need not write whole lines: `find` in a pipe writes blocks.
#[test]
fn h67_a_list_that_stops_within_a_name_holds_nothing_up() {
    for sides in everywhere() {
        for is_ended in [false, true] {
            Tree::new().files(3, |i| (format!("name{i}"), "x".into())).build(&sides.from);
            let mut command = sides.pmove().arg("-").arg(&*sides.to).command();
            let mut running = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let mut list = running.stdin.take().unwrap();
            list.write_all(b"name0\nname1\nna").unwrap();
            wait_until("the whole names are moved", || names(&sides.from) == ["name2"]);
            if is_ended {
                list.write_all(b"me2").unwrap();
                drop(list);
                assert_eq!(ended(&mut running).code(), Some(0));
                assert_eq!(names(&sides.to), ["name0", "name1", "name2"]);
            } else {
                signal_pmove(Signal::TERM, &sides);
                assert_eq!(ended(&mut running).signal(), Some(Signal::TERM.as_raw()));
                assert_eq!(names(&sides.from), ["name2"]);
            }
            sides.assert_no_litter();
            empty(&sides.from);
            empty(&sides.to);
        }
    }
}

#[test]
fn h67_half_an_answer_is_not_waited_for_after_a_signal() {
    for sides in everywhere() {
        Tree::new().file("f", "new").build(&sides.from);
        Tree::new().file("f", "old").build(&sides.to);
        let mut command = sides.pmove().args(["-i", "f"]).arg(&*sides.to).command();
        let mut running = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut answers = running.stdin.take().unwrap();
        let mut question = [0; 7];
        running.stderr.as_mut().unwrap().read_exact(&mut question).unwrap();
        assert_eq!(&question, b"pmove: ");
        answers.write_all(b"y").unwrap();
        // Until it has been read, or the test says nothing; where it is not yet, nothing is wrong either.
        thread::sleep(Duration::from_millis(300));
        signal_pmove(Signal::TERM, &sides);
        assert_eq!(ended(&mut running).signal(), Some(Signal::TERM.as_raw()));
        assert_eq!(
            (fs::read(sides.from.join("f")).unwrap(), fs::read(sides.to.join("f")).unwrap()),
            (b"new".into(), b"old".into())
        );
    }
}

/// The processes that run pmove with these sides.
fn pids(sides: &Sides) -> Vec<i32> {
    let target = sides.to.display().to_string();
    let is_ours = |pid: &i32| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&read("cmdline")).into_owned();
        read("comm") == b"pmove\n" && arguments.contains(&target) && !arguments.contains("strace")
    };
    let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(is_ours).collect()
}

/// Signals pmove, and not what runs it.
#[track_caller]
fn signal_pmove(signal: Signal, sides: &Sides) {
    let pids = pids(sides);
    assert_eq!(pids.len(), 1, "one process moves from {}", sides.from.display());
    rustix::process::kill_process(rustix::process::Pid::from_raw(pids[0]).unwrap(), signal).unwrap();
}
