//! Two runs on the same sources at the same time: each source is moved once, the loser says that it vanished, and
//! nothing is lost or turns up twice.
//!
//! Races are run a few times, or as often as `PMOVE_TEST_ROUNDS` says.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use common::run::{Output, Pmove};
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use promises::held::{held_after, held_before};
use promises::{Files, Sides, across, back, empty, everywhere, files, names, one_device, rounds};

/// Files of a round.
const COUNT: usize = 60;

/// How sources are named.
const WAYS: [&str; 3] = ["operands", "list", "pattern"];

fn name(i: usize) -> String {
    format!("f{i:02}")
}

/// A run that moves all files into `to`, naming them in this way, and says what it has moved.
fn mover(sides: &Sides, way: &str, to: &Path) -> Pmove {
    let all: Vec<String> = (0..COUNT).map(name).collect();
    let pmove = sides.pmove().arg("-v");
    match way {
        "operands" => pmove.args(all).arg(to),
        "list" => pmove.arg("-").arg(to).stdin(all.join("\n")),
        _ => pmove.arg("f*").arg(to),
    }
}

/// What a run says it has moved.
fn moved(output: &Output) -> Vec<String> {
    let text = output.stdout_text();
    let lines = text.lines().filter(|line| line.contains(" -> "));
    lines.map(|line| line.split('\'').nth(1).unwrap().to_owned()).collect()
}

/// A loser's words: the sources have vanished, or were not there in the first place, and its sum.
#[track_caller]
fn assert_clean(output: &Output) {
    assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
    let text = output.stderr_text();
    let is_sum = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("pmove: ")).collect();
    let lines: Vec<&str> = lines.into_iter().filter(|line| !is_sum(line)).collect();
    assert_eq!(output.code == Some(0), lines.is_empty(), "{}", output.dump());
    for line in lines {
        let is_clean = line.ends_with("' vanished before it could be moved")
            || line.contains("' vanished while it was being moved; '") && line.ends_with("' holds what was read of it")
            || line.starts_with("cannot stat '") && line.ends_with("': No such file or directory")
            || line.starts_with("no match for pattern '");
        assert!(is_clean, "{line}\n{}", output.dump());
    }
}

/// Every source was moved by one run, and by no other.
#[track_caller]
fn assert_each_once(outputs: &[Output], sources: usize) {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for name in outputs.iter().flat_map(moved) {
        *count.entry(name).or_default() += 1;
    }
    assert_eq!(count.len(), sources);
    let twice: Vec<_> = count.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}\n{}\n{}", outputs[0].dump(), outputs[1].dump());
}

#[test]
fn h25_two_runs_move_every_file_once() {
    for sides in everywhere() {
        for round in 0..rounds(6) {
            let way = WAYS[round % 3];
            Tree::new().files(COUNT, |i| (name(i), format!("content {i} of {round}"))).build(&sides.from);
            let expected = files(&sides.from);
            let one = mover(&sides, way, &sides.to).spawn();
            thread::sleep(Duration::from_micros(400 * (round as u64 % 7)));
            let other = mover(&sides, way, &sides.to).spawn();
            let outputs = [one.wait(), other.wait()];
            outputs.iter().for_each(assert_clean);
            assert_each_once(&outputs, COUNT);
            assert_eq!(sides.files(), (Files::new(), expected));
            sides.assert_no_litter();
            empty(&sides.to);
        }
    }
}

#[test]
fn h25_two_runs_to_two_targets_lose_and_tear_nothing() {
    for sides in everywhere() {
        for round in 0..rounds(6) {
            let tree = Tree::new().files(COUNT, |i| (name(i), format!("content {i} of {round}")));
            tree.files(40, |i| (format!("tree/d{}/g{i}", i % 5), "x".into())).dir("a").dir("b").build(&sides.from);
            let expected = files(&sides.from);
            let whole = Snapshot::of(sides.from.join("tree"));
            Tree::new().dir("a").dir("b").build(&sides.to);
            let targets = ["a", "b"].map(|dir| sides.to.join(dir));
            let start = |to: &Path| sides.pmove().args(["-v", "f*", "tree"]).arg(to).spawn();
            let running = [start(&targets[0]), start(&targets[1])];
            let outputs = running.map(common::run::Running::wait);
            outputs.iter().for_each(assert_clean);
            assert_each_once(&outputs.map(only_tops), COUNT + 1);
            assert_eq!(names(&sides.from), ["a", "b"]);
            // What one has published before it noticed the other is whole, too.
            let arrived = targets.each_ref().map(|to| files(to));
            for (name, content) in &expected {
                let copies: Vec<_> = arrived.iter().filter_map(|files| files.get(name)).collect();
                assert!(!copies.is_empty() && copies.iter().all(|copy| *copy == content), "{name}");
            }
            let trees: Vec<_> = targets.iter().map(|to| to.join("tree")).filter(|tree| tree.exists()).collect();
            assert!(!trees.is_empty());
            for tree in &trees {
                assert_same(&whole, &Snapshot::of(tree));
            }
            sides.assert_no_litter();
            empty(&sides.to);
            empty(&sides.from);
        }
    }
}

/// Of a directory that was copied, each entry is told: here it counts as one.
fn only_tops(mut output: Output) -> Output {
    let lines = output.stdout_text().replace("removed directory 'tree'", "copied 'tree' -> 'as a whole'");
    let tops: Vec<&str> = lines.lines().filter(|line| !line.contains("tree/")).collect();
    output.stdout = tops.join("\n").into_bytes();
    output
}

#[test]
fn h25_two_runs_move_a_directory_once() {
    for sides in everywhere() {
        for round in 0..rounds(6) {
            let tree = Tree::new().files(150, |i| (format!("t/d{}/f{i}", i % 9), format!("{round} {i}")));
            tree.hard_link("t/link", "t/d0/f0").build(&sides.from);
            let whole = Snapshot::of(&*sides.from).without_root();
            let start = || sides.pmove().arg("t").arg(&*sides.to).spawn();
            let one = start();
            thread::sleep(Duration::from_millis(round as u64 % 5));
            let outputs = [one, start()].map(common::run::Running::wait);
            let codes = outputs.each_ref().map(|output| output.code.unwrap());
            // Until the winner removes its source, the loser meets a target that holds something.
            let filled = format!("pmove: {}\n", sides.not_empty("t"));
            for output in &outputs {
                if output.stderr_text() != filled {
                    assert_clean(output);
                }
            }
            assert_eq!(codes.iter().sum::<i32>(), 1, "{}\n{}", outputs[0].dump(), outputs[1].dump());
            assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
            assert!(names(&sides.from).is_empty());
            sides.assert_no_litter();
            empty(&sides.to);
        }
    }
}

/// Jobs that overlap because the last one takes too long: the same command, with the same pattern.
#[test]
fn h70_overlapping_runs_of_one_command_do_its_work_once() {
    for sides in everywhere() {
        for round in 0..rounds(3) {
            let tree = Tree::new().files(200, |i| (format!("in/d{}/f{i}.csv", i % 4), format!("{i} of {round}")));
            tree.file("in/d0/left.txt", "left").build(&sides.from);
            let start = |patience: u64| {
                thread::sleep(Duration::from_millis(patience));
                sides.pmove().args(["--allow-empty", "in/*/*.csv"]).arg(&*sides.to).spawn()
            };
            let running: Vec<_> = [0, 3, 5, 9].into_iter().map(start).collect();
            let mut failed = 0;
            for output in running.into_iter().map(common::run::Running::wait) {
                // Whoever got hold of all that it had found is done; the others name what was taken from them.
                assert_clean(&output);
                let lines = output.stderr_text();
                assert!(!lines.contains("cannot stat"), "{}", output.dump());
                failed += lines.lines().filter(|line| line.contains("vanished")).count();
            }
            assert!(failed <= 600);
            let arrived = files(&sides.to);
            assert_eq!(arrived.len(), 200);
            for (name, content) in arrived {
                let i = name.trim_start_matches('f').trim_end_matches(".csv");
                assert_eq!(content, format!("{i} of {round}").into_bytes());
            }
            assert_eq!(names(&sides.from.join("in")), ["d0", "d1", "d2", "d3"]);
            assert_eq!(names(&sides.from.join("in/d0")), ["left.txt"]);
            sides.assert_no_litter();
            empty(&sides.to);
            empty(&sides.from);
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h25_what_was_there_and_is_taken_has_vanished() {
    for (make, calls) in [(one_device as fn() -> _, "renameat2"), (across, "linkat"), (back, "linkat")] {
        for way in WAYS {
            let sides: Sides = make();
            fs::write(sides.from.join("f00"), "content").unwrap();
            let pmove = sides.pmove();
            let pmove = match way {
                "operands" => pmove.arg("f00"),
                "list" => pmove.arg("-").stdin("f00\n"),
                _ => pmove.arg("f*"),
            };
            let held = held_before(pmove.arg(&*sides.to), calls, 1);
            sides.pmove().arg("f00").arg(&*sides.to).run().ok();
            held.go_on().fails_with(1).stderr_is("pmove: 'f00' vanished before it could be moved\n");
            assert_eq!(fs::read(sides.to.join("f00")).unwrap(), b"content");
            sides.assert_no_litter();
        }
        // What was not there to begin with is said as mv says it.
        let sides: Sides = make();
        sides
            .pmove()
            .arg("f00")
            .arg(&*sides.to)
            .run()
            .fails_with(1)
            .stderr_is("pmove: cannot stat 'f00': No such file or directory\n");
    }
}

/// The other run's target may have been taken further by now: a second copy would be worked on twice.
#[test]
#[ignore = "needs strace"]
fn h25_what_another_run_has_moved_does_not_turn_up_again() {
    for sides in [across(), back()] {
        for name in ["f", "t"] {
            Tree::new().file("f", "x").file("t/a/b", "x").build(&sides.from);
            let done = common::fs::scratch();
            // The fourth directory is the one in `t`, after three of the stage.
            let (call, nth) = if name == "f" { ("utimensat", 1) } else { ("mkdirat", 4) };
            let held = held_before(sides.pmove().args(["-j", "1", name]).arg(&*sides.to), call, nth);
            sides.pmove().arg(name).arg(&*done).run().ok();
            held.go_on().fails_with(1).stderr_is(&format!("pmove: '{name}' vanished before it could be moved\n"));
            assert!(names(&sides.to).is_empty(), "{:?}", names(&sides.to));
            assert_eq!(names(&done), [name]);
            empty(&sides.from);
        }
    }
}

/// A directory that another run is removing looks as if it held less: nothing of that is published.
#[test]
#[ignore = "needs strace"]
fn h25_half_a_directory_is_not_taken_for_the_whole() {
    for sides in [across(), back()] {
        for (call, nth) in [("mkdirat", 4), ("getdents64", 1)] {
            Tree::new().files(30, |i| (format!("t/d{}/f{i}", i % 3), "x".into())).build(&sides.from);
            let done = common::fs::scratch();
            let pmove = sides.pmove().args(["-j", "1", "t"]).arg(&*sides.to);
            let held = held_before(pmove, call, nth);
            sides.pmove().arg("t").arg(&*done).run().ok();
            held.go_on().fails_with(1).stderr_is("pmove: 't' vanished before it could be moved\n");
            assert!(names(&sides.to).is_empty(), "{:?}", names(&sides.to));
            assert_eq!(Snapshot::of(done.join("t")).len(), 34);
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h25_a_source_that_goes_after_its_target_came_is_told_and_its_target_stays() {
    for sides in [across(), back()] {
        fs::write(sides.from.join("f"), "content").unwrap();
        let held = held_after(sides.pmove().arg("f").arg(&*sides.to), "linkat", 1);
        fs::remove_file(sides.from.join("f")).unwrap();
        let to = sides.to.display();
        let words = format!("pmove: 'f' vanished while it was being moved; '{to}/f' holds what was read of it\n");
        held.go_on().fails_with(1).stderr_is(&words);
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"content");
        sides.assert_no_litter();
    }
}
