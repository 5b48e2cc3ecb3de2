//! Killed when a tree's source has vanished, and not been removed: what the run that comes after does with it.
//!
//! Killed by the seam for faults, which counts the calls of all threads together.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use crate::common::fs::{Scratch, other};
use crate::common::mount::{FsType, LoopFs};
use crate::common::run::Pmove;
use crate::common::snapshot::{Snapshot, assert_same};
use crate::common::tree::Tree;
use crate::promises::{Sides, across, back, names, ordinarily};

/// What a run leaves that is killed when the tree `t`, which `build` makes, has vanished from its source, and not been removed;
/// and what the tree was.
fn killed_when_hidden(make: impl Fn() -> Sides, build: impl Fn(&Sides), by: fn(Pmove) -> Pmove) -> (Sides, Snapshot) {
    // Removing takes more calls than that, so none of the big steps leads over all of it.
    const STEP: usize = 4;
    let attempt = |call: usize| {
        let sides = make();
        build(&sides);
        let whole = Snapshot::of(sides.from.join("t"));
        let pmove = sides.pmove().args(["-j1", "t"]).arg(&*sides.to);
        by(pmove.env("PMOVE_TEST_KILL_AT", call.to_string())).run();
        let is_hidden = sides.to.join("t").exists() && !sides.from.join("t").exists();
        is_hidden.then_some((sides, whole))
    };
    let rough = (1..500).step_by(STEP).find(|&call| attempt(call).is_some()).expect("it was never hidden");
    (rough.saturating_sub(STEP)..=rough).find_map(attempt).expect("as before")
}

fn dirs_and_a_file(sides: &Sides) {
    Tree::new().dir("t/a/b").dir("t/c").file("t/f", "whole").mtime(7, 7).file("z", "z").build(&sides.from);
}

#[test]
fn p1_a_source_whose_copy_is_gone_comes_back_whole() {
    for make in [across, back] {
        let (sides, whole) = killed_when_hidden(make, dirs_and_a_file, |pmove| pmove);
        fs::remove_dir_all(sides.to.join("t")).unwrap();
        sides.pmove().arg("z").arg(&*sides.to).run().ok().stderr_has("its copy is not there any more");
        assert_same(&whole, &Snapshot::of(sides.from.join("t")));
        sides.assert_no_litter();
        // Of a part of it that is gone, the same holds.
        let (sides, _) = killed_when_hidden(make, dirs_and_a_file, |pmove| pmove);
        fs::remove_dir_all(sides.to.join("t/a")).unwrap();
        fs::remove_file(sides.to.join("t/f")).unwrap();
        sides.pmove().arg("z").arg(&*sides.to).run().ok().stderr_has("/t' is not empty");
        assert_eq!(names(&sides.from.join("t")), ["a", "f"]);
        assert_eq!(names(&sides.from.join("t/a")), ["b"]);
        sides.assert_no_litter();
    }
}

/// Inode numbers are given out again: ext4 gives that of a directory that was removed to the next one.
#[test]
#[ignore = "needs root and loop mounts"]
fn p1_a_directory_that_bears_the_number_of_a_lost_copy_is_no_copy() {
    let disk = LoopFs::new(FsType::Ext4, 64);
    let make = || {
        let sides = Sides { from: other(), to: Scratch::new_in(disk.path()) };
        fs::set_permissions(&sides.to, fs::Permissions::from_mode(0o755)).unwrap();
        sides
    };
    let build = |sides: &Sides| Tree::new().dir("t/a").file("t/f", "x").mtime(7, 7).file("z", "z").build(&sides.from);
    let (sides, whole) = killed_when_hidden(make, build, |pmove| pmove);
    let number = |path: &Path| fs::metadata(path).unwrap().ino();
    let copy = number(&sides.to.join("t"));
    fs::remove_dir_all(sides.to.join("t")).unwrap();
    let others = (0..100).map(|i| sides.to.join(format!("other{i}")));
    let other = others
        .inspect(|other| fs::DirBuilder::new().mode(0o750).create(other).unwrap())
        .find(|other| number(other) == copy)
        .expect("the number is given out again");
    // Just what was lost, even.
    Tree::new().dir("a").file("f", "x").mtime(7, 7).build(&other);
    sides.pmove().arg("t").arg(&*sides.to).run().fails_with(1);
    assert_same(&whole, &Snapshot::of(sides.from.join("t")));
    assert_eq!(names(&other), ["a", "f"]);
    assert_eq!(fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o750);
    sides.pmove().arg("t").arg(&*sides.to).run().ok();
    assert_same(&whole, &Snapshot::of(sides.to.join("t")));
    sides.assert_no_litter();
}

/// What is left to be removed is removed by the thread that there is. Rayon would have started a pool of its own for it.
#[test]
fn p6_what_an_ended_run_has_hidden_is_removed_also_where_there_can_be_no_threads() {
    let build = |sides: &Sides| {
        let tree = (0..9).fold(Tree::new(), |tree, i| tree.file(format!("t/d{i}/e/f"), "x"));
        tree.file("z", "z").build(&sides.from);
        sides.give_away();
    };
    let (sides, _) = killed_when_hidden(across, build, ordinarily);
    ordinarily(sides.pmove().limit("-p 1").arg("z").arg(&*sides.to)).run().ok().stderr_is("");
    assert!(names(&sides.from).is_empty(), "{:?}", names(&sides.from));
    sides.assert_no_litter();
}
