//! P6: after any interruption the same command completes the job, leaves no litter, does nothing twice.
//!
//! Killed at system calls: strace kills before a call, and that is after the one before it. It counts the calls
//! of each thread on their own, so the kinds of calls are gone through one by one, and there is one worker.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
#[cfg(debug_assertions)]
#[path = "p6_rerun/hidden.rs"]
mod hidden;
mod promises;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::trace::{Counts, Strace};
use common::tree::Tree;
use promises::held::held_before;
use promises::{Sides, across, back, injected, names};

/// The calls by which anything changes, or by which it is learnt what to change.
const CALLS: &[&str] = &[
    "openat",
    "linkat",
    "renameat",
    "renameat2",
    "unlinkat",
    "mkdirat",
    "mknodat",
    "symlinkat",
    "write",
    "pwrite64",
    "copy_file_range",
    "splice",
    "fsync",
    "syncfs",
    "fchmod",
    "fchmodat2",
    "fchown",
    "utimensat",
    "statx",
    "getdents64",
    "futex",
    "flock",
    "fremovexattr",
];

/// The policies under which an interrupted run must be finished all the same.
const POLICIES: &[&[&str]] = &[&[], &["-n"], &["-f"]];

/// Kinds and numbers of calls to be killed at: all of the rare ones, and some of the others.
fn places(counts: &Counts, samples: u64) -> Vec<(&'static str, u64)> {
    let of = |call: &&'static str| {
        let count = counts.of(call);
        // An odd step, so that a pattern of several calls a file is met at different points.
        let step = (count / samples).max(1) | 1;
        (0..count).map(|n| n + 1).filter(move |n| (n - 1) % step == 0 || *n == count).map({
            let call = *call;
            move |n| (call, n)
        })
    };
    CALLS.iter().flat_map(of).collect()
}

/// Kills `command` everywhere, runs it again, and compares.
fn kill_everywhere(
    make: impl Fn() -> Sides,
    build: impl Fn(&Sides),
    command: impl Fn(&Sides) -> Pmove,
    samples: u64,
    check: impl Fn(&Sides, &Snapshot),
) {
    let sides = make();
    build(&sides);
    let whole = Snapshot::of(&*sides.from);
    let (output, counts) = Strace::new().count(command(&sides));
    output.ok();
    check(&sides, &whole);
    let places = places(&counts, samples);
    assert!(places.len() > 20, "{counts:?}");
    let mut kills = 0;
    for (call, n) in places {
        let sides = make();
        build(&sides);
        let whole = Snapshot::of(&*sides.from);
        let killed = injected(command(&sides), &[&format!("{call}:signal=KILL:when={n}")]).run();
        kills += u32::from(killed.signal.is_some());
        let output = command(&sides).run();
        // What the first run has finished is not there any more, which a literal name cannot hide.
        let is_done = output.code == Some(1) && output.stderr_text().contains("cannot stat");
        assert!(output.code == Some(0) || is_done, "killed at {call} {n}\n{}\n{}", killed.dump(), output.dump());
        let result = catch_unwind(AssertUnwindSafe(|| {
            check(&sides, &whole);
            sides.assert_no_litter();
        }));
        if let Err(panic) = result {
            let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            let left = Pmove::other("find").arg(&*sides.to).cwd(&sides.from).run();
            panic!("killed at {call} {n}, then run again: {why}\n{}\n{}", output.dump(), left.stdout_text());
        }
    }
    assert!(kills > 10, "only {kills} runs were killed");
}

/// Everything is at the target, as it was at the source, where nothing is left.
fn all_moved(sides: &Sides, whole: &Snapshot) {
    assert_same(&whole.clone().without_root(), &Snapshot::of(&*sides.to).without_root());
    assert!(names(&sides.from).is_empty(), "left: {:?}", names(&sides.from));
}

fn sixty_files(sides: &Sides) {
    Tree::new().files(60, |i| (format!("f{i}"), format!("{i} ").repeat(100 * (i % 7)))).build(&sides.from);
}

fn kill_files(make: fn() -> Sides) {
    for policy in POLICIES {
        let command =
            |sides: &Sides| sides.pmove().args(*policy).args(["-j", "1", "--allow-empty", "*"]).arg(&*sides.to);
        kill_everywhere(make, sixty_files, command, 3, all_moved);
    }
}

#[test]
#[ignore = "needs strace"]
fn p6_sixty_files_killed_on_the_way_to_memory() {
    kill_files(across);
}

#[test]
#[ignore = "needs strace"]
fn p6_sixty_files_killed_on_the_way_to_disk() {
    kill_files(back);
}

#[test]
#[ignore = "needs strace"]
fn p6_a_handful_of_all_kinds_killed() {
    let build = |sides: &Sides| {
        let tree = Tree::new().file("a", "a").symlink("l", "a").fifo("p").file("empty", "").mode(0o4640);
        tree.sparse("holes", 1 << 20, &[(500_000, b"x")]).build(&sides.from);
    };
    for make in [across, back] {
        let command = |sides: &Sides| sides.pmove().args(["-n", "-j", "1", "--allow-empty", "*"]).arg(&*sides.to);
        kill_everywhere(make, build, command, 4, all_moved);
    }
}

fn small_tree(sides: &Sides) {
    let tree = Tree::new().file("tree/a", "a").file("tree/d/b", vec![2; 70_000]).dir("tree/d/empty").mode(0o700);
    let tree = tree.hard_link("tree/d/c", "tree/a").symlink("tree/l", "a").file("tree/d/e/f", "f").mtime(5, 5);
    tree.dir("tree").mode(0o750).mtime(7, 7).build(&sides.from);
}

fn kill_tree(make: fn() -> Sides) {
    for policy in POLICIES {
        let command = |sides: &Sides| sides.pmove().args(*policy).args(["-j", "1", "tree"]).arg(&*sides.to);
        kill_everywhere(make, small_tree, command, 5, all_moved);
    }
}

#[test]
#[ignore = "needs strace"]
fn p6_a_tree_killed_on_the_way_to_memory() {
    kill_tree(across);
}

#[test]
#[ignore = "needs strace"]
fn p6_a_tree_killed_on_the_way_to_disk() {
    kill_tree(back);
}

#[test]
#[ignore = "needs strace"]
fn h93_a_new_name_is_not_nested_by_the_second_run() {
    for make in [across, back] {
        let command = |sides: &Sides| sides.pmove().args(["-j", "1", "tree"]).arg(sides.to.join("newname"));
        let check = |sides: &Sides, whole: &Snapshot| {
            assert_eq!(names(&sides.to), ["newname"]);
            let moved = Snapshot::of(sides.to.join("newname"));
            assert_eq!(moved.len(), whole.len() - 1, "{:?}", moved.paths().collect::<Vec<_>>());
            assert!(names(&sides.from).is_empty());
        };
        kill_everywhere(make, small_tree, command, 2, check);
    }
}

#[test]
#[ignore = "needs strace"]
fn h93_a_new_name_of_a_file_is_finished_under_no_clobber() {
    for make in [across, back] {
        let build = |sides: &Sides| Tree::new().file("f", "content").build(&sides.from);
        let command = |sides: &Sides| sides.pmove().args(["-n", "-T", "f"]).arg(sides.to.join("new"));
        let check = |sides: &Sides, _: &Snapshot| {
            assert_eq!(names(&sides.to), ["new"]);
            assert_eq!(fs::read(sides.to.join("new")).unwrap(), b"content");
            assert!(names(&sides.from).is_empty());
        };
        kill_everywhere(make, build, command, 6, check);
    }
}

#[test]
#[ignore = "needs strace"]
fn h81_links_of_one_file_killed_between_publishing_and_retiring() {
    let build = |sides: &Sides| {
        Tree::new().file("a", "x").hard_link("b", "a").hard_link("d/c", "a").hard_link("d/e", "a").build(&sides.from);
    };
    for make in [across, back] {
        let command = |sides: &Sides| sides.pmove().args(["-j", "1", "--allow-empty", "*"]).arg(&*sides.to);
        kill_everywhere(make, build, command, 4, |sides, _| {
            assert!(names(&sides.from).is_empty());
            for name in ["a", "b", "d/c", "d/e"] {
                assert_eq!(fs::read(sides.to.join(name)).unwrap(), b"x");
            }
        });
    }
}

#[test]
#[ignore = "needs strace"]
fn h81_links_among_files_stay_links_after_a_kill() {
    let build = |sides: &Sides| Tree::new().file("a", "x").hard_link("b", "a").hard_link("c", "a").build(&sides.from);
    for make in [across, back] {
        let command = |sides: &Sides| sides.pmove().args(["-j", "1", "--allow-empty", "*"]).arg(&*sides.to);
        kill_everywhere(make, build, command, 4, all_moved);
    }
}

#[test]
fn h77_a_look_alike_at_the_target_is_no_copy() {
    // Same name, size and time, other content: neither finished nor skipped as if it were ours.
    for sides in [across(), back()] {
        Tree::new().file("f", "ours!").mtime(9, 9).build(&sides.from);
        Tree::new().file("f", "other").mtime(9, 9).build(&sides.to);
        sides.pmove().args(["-n", "f"]).arg(&*sides.to).run().ok();
        assert_eq!(fs::read(sides.from.join("f")).unwrap(), b"ours!");
        sides.pmove().arg("f").arg(&*sides.to).run().ok();
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"ours!");
    }
}

#[test]
#[ignore = "needs strace"]
fn p6_a_target_that_was_replaced_after_the_kill_is_not_taken_for_ours() {
    for sides in [across(), back()] {
        Tree::new().file("f", "ours!").mtime(9, 9).build(&sides.from);
        injected(sides.pmove().args(["-n", "f"]).arg(&*sides.to), &["unlinkat:signal=KILL:when=1"]).run();
        assert!(sides.to.join("f").exists(), "killed after publishing");
        fs::remove_file(sides.to.join("f")).unwrap();
        Tree::new().file("f", "other").mtime(9, 9).build(&sides.to);
        sides.pmove().args(["-n", "f"]).arg(&*sides.to).run().ok();
        assert_eq!(fs::read(sides.from.join("f")).unwrap(), b"ours!");
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"other");
    }
}

#[test]
#[ignore = "needs strace"]
fn p6_what_has_a_retired_directorys_name_since_is_not_taken_for_it() {
    let sides = across();
    // There already, so that it has a number of its own.
    Tree::new().file("d/f", "moved").file("other/g", "another").build(&sides.from);
    // The source has gone, and nobody knows whether that is on its disk: so the journal stays.
    injected(sides.pmove().arg("d").arg(&*sides.to), &["fsync:error=EIO"]).run().ok();
    assert!(!promises::litter(&sides.to).is_empty(), "the journal went");
    fs::rename(sides.from.join("other"), sides.from.join("d")).unwrap();
    let output = sides.pmove().arg("d").arg(&*sides.to).run();
    output.fails_with(1).stderr_has("unable to remove target: Directory not empty");
    assert_eq!(fs::read(sides.from.join("d/g")).unwrap(), b"another");
    assert_eq!(fs::read(sides.to.join("d/f")).unwrap(), b"moved");
    sides.assert_no_litter();
}

#[test]
fn p6_a_source_that_changed_after_the_kill_is_moved_anew() {
    for sides in [across(), back()] {
        Tree::new().file("f", "before").build(&sides.from);
        injected(sides.pmove().arg("f").arg(&*sides.to), &["unlinkat:signal=KILL:when=1"]).run();
        fs::write(sides.from.join("f"), "after").unwrap();
        sides.pmove().arg("f").arg(&*sides.to).run().ok();
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"after");
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs strace"]
fn p6_what_a_live_run_has_staged_is_left_alone() {
    for sides in [across(), back()] {
        Tree::new().file("slow/f", "slow").file("quick/f", "quick").file("q", "q").build(&sides.from);
        let slow = held_before(sides.pmove().arg("slow").arg(&*sides.to), "renameat2", 1);
        let stage = |sides: &Sides| promises::litter(&sides.to).first().map(|base| promises::entries(base).len());
        assert_eq!(stage(&sides), Some(1));
        sides.pmove().args(["quick", "q"]).arg(&*sides.to).run().ok();
        assert_eq!(stage(&sides), Some(1));
        slow.go_on().ok();
        assert_eq!(names(&sides.to), ["q", "quick", "slow"]);
        assert_eq!(fs::read(sides.to.join("slow/f")).unwrap(), b"slow");
        assert!(names(Path::new(&*sides.from)).is_empty());
    }
}

/// Killed at its very last step, a run leaves an empty stage directory: beside the new name, if it gave one.
#[test]
fn p6_an_empty_stage_directory_is_cleared_by_the_next_run_that_meets_it() {
    let sides = across();
    Tree::new().file("a", "a").file("b", "b").build(&sides.from);
    Tree::new().dir("new").build(&sides.to);
    let stage_dir = format!(".pmove-{}", rustix::process::geteuid().as_raw());
    for (source, dir) in [("a", &*sides.to), ("b", &sides.to.join("new"))] {
        fs::DirBuilder::new().mode(0o700).create(dir.join(&stage_dir)).unwrap();
        sides.pmove().arg(source).arg(sides.to.join("new")).run().ok();
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs strace"]
fn p6_a_tree_that_is_skipped_after_all_leaves_no_stage() {
    let sides = back();
    // Large enough that an interrupted stage would be kept.
    Tree::new().file("tree/big", vec![7; 70 << 20]).build(&sides.from);
    let whole = Snapshot::of(&*sides.from);
    let pmove = sides.pmove().args(["-n", "tree"]).arg(&*sides.to);
    let held = held_before(pmove, "syncfs", 1);
    fs::create_dir(sides.to.join("tree")).unwrap();
    held.go_on().ok();
    assert_same(&whole, &Snapshot::of(&*sides.from));
    assert_eq!(fs::read_dir(sides.to.join("tree")).unwrap().count(), 0);
    sides.assert_no_litter();
}

#[test]
#[ignore = "needs strace"]
fn p6_a_stage_survives_a_re_run_that_is_refused() {
    let sides = back();
    Tree::new().files(40, |i| (format!("tree/f{i}"), "content".to_owned())).build(&sides.from);
    let whole = Snapshot::of(&*sides.from).without_root();
    let pmove = sides.pmove().arg("tree").arg(&*sides.to);
    injected(pmove, &["syncfs:signal=KILL:when=1"]).run();
    let stages = || {
        let base = sides.to.join(format!(".pmove-{}", rustix::process::geteuid().as_raw()));
        let run = fs::read_dir(base).unwrap().next().unwrap().unwrap().path();
        names(&run)
    };
    let left = stages();
    assert!(left.iter().any(|name| name.starts_with('d')) && left.iter().any(|name| name.starts_with('j')), "{left:?}");
    Tree::new().file("tree/in-the-way", "x").build(&sides.to);
    sides.pmove().arg("tree").arg(&*sides.to).run().fails_with(1);
    assert_eq!(stages(), left);
    fs::remove_dir_all(sides.to.join("tree")).unwrap();
    sides.pmove().arg("tree").arg(&*sides.to).run().ok();
    assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
    sides.assert_no_litter();
}
