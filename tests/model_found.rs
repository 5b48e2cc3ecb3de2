//! What the model has found, each as a test of its own: see `tests/model.rs`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::snapshot::Snapshot;
use common::tree::Tree;
use promises::{Sides, across, everywhere, names};

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn inode(path: impl AsRef<Path>) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

/// Names of one file wait for each other when they are copied. What came later went by them, was moved, and was then
/// replaced by what had waited, without a word.
#[test]
fn h08_what_waits_for_its_other_names_is_not_overtaken() {
    for sides in everywhere() {
        let tree = Tree::new().file("one/a", "first").hard_link("keep", "one/a").file("two/a", "second");
        tree.hard_link("z", "one/a").build(&sides.from);
        let refused = format!(
            "pmove: will not overwrite just-created '{to}/a' with 'two/a'\npmove: 2 moved, 1 failed\n",
            to = sides.to.display()
        );
        sides.pmove().args(["one/a", "two/a", "z"]).arg(&*sides.to).run().fails_with(1).stderr_is(&refused);
        assert_eq!((read(sides.to.join("a")), read(sides.from.join("two/a"))), ("first".into(), "second".into()));
        // What comes after the one that had to be moved early is still the same file.
        assert_eq!(inode(sides.to.join("a")), inode(sides.to.join("z")));
        sides.assert_no_litter();
    }
}

/// The last name of a file does not show that there were others, when those have gone before.
#[test]
fn h43_links_are_kept_where_one_name_had_to_go_before_the_others() {
    for sides in everywhere() {
        let tree = Tree::new().file("a/f", "x").hard_link("c/g", "a/f").file("b/f", "y").hard_link("d/h", "a/f");
        tree.build(&sides.from);
        // b/f makes a/f go first; c/g is in a directory, d/h is the last one.
        sides.pmove().args(["a/f", "b/f", "c", "d/h"]).arg(&*sides.to).run().fails_with(1);
        let moved = ["f", "c/g", "h"].map(|name| inode(sides.to.join(name)));
        assert_eq!(moved, [moved[0]; 3]);
        sides.assert_no_litter();
    }
    // With two names, the second is the only one by then.
    for last in ["c", "c/g"] {
        for sides in everywhere() {
            Tree::new().file("a/f", "x").hard_link("c/g", "a/f").file("b/f", "y").build(&sides.from);
            sides.pmove().args(["a/f", "b/f", last]).arg(&*sides.to).run().fails_with(1);
            let moved = sides.to.join(if last == "c" { "c/g" } else { "g" });
            assert_eq!(inode(sides.to.join("f")), inode(moved));
            sides.assert_no_litter();
        }
    }
}

#[test]
fn h09_a_name_that_waits_has_gone_before_its_directory() {
    for sides in everywhere() {
        Tree::new().file("d/x", "x").hard_link("keep", "d/x").build(&sides.from);
        sides.pmove().args(["d/x", "d"]).arg(&*sides.to).run().ok();
        assert_eq!((names(&sides.to), names(&sides.to.join("d"))), (vec!["d".into(), "x".into()], vec![]));
    }
}

/// A directory that has links to what is still to come stays until that has come.
#[test]
fn h09_what_has_gone_with_a_directory_that_waits_is_not_moved_again() {
    for sides in everywhere() {
        Tree::new().file("d/x", "x").file("d/y", "y").hard_link("keep", "d/x").build(&sides.from);
        sides.pmove().args(["d", "d/y"]).arg(&*sides.to).run().fails_with(1).stderr_has("cannot stat 'd/y'");
        assert_eq!((names(&sides.to), names(&sides.to.join("d"))), (vec!["d".into()], vec!["x".into(), "y".into()]));
    }
    // `find` lists a directory and what is in it.
    for sides in everywhere() {
        Tree::new().file("d/x", "x").file("d/y", "y").hard_link("keep", "d/x").build(&sides.from);
        sides.pmove().arg("-").arg(&*sides.to).stdin("d\nd/x\nd/y\n").run().ok().stderr_is("");
        assert_eq!((names(&sides.to), names(&sides.to.join("d"))), (vec!["d".into()], vec!["x".into(), "y".into()]));
    }
}

#[test]
fn p1_a_symlink_does_not_replace_the_file_that_it_leads_to() {
    for sides in everywhere() {
        let file = sides.to.join("a");
        Tree::new().file("a", "content").build(&sides.to);
        Tree::new().symlink("a", &file).build(&sides.from);
        let refused = format!("pmove: 'a' and '{}' are the same file\n", file.display());
        sides.pmove().arg("a").arg(&*sides.to).run().fails_with(1).stderr_is(&refused);
        sides.pmove().args(["--dry-run", "a"]).arg(&*sides.to).run().fails_with(1).stderr_is(&refused);
        assert_eq!(read(&file), "content");
        // Another name keeps the content, unless the symlink leads to the one that would be replaced.
        fs::hard_link(&file, sides.to.join("b")).unwrap();
        sides.pmove().arg("a").arg(&*sides.to).run().fails_with(1).stderr_is(&refused);
        Tree::new().symlink("b", &file).build(&sides.from);
        sides.pmove().arg("b").arg(&*sides.to).run().ok();
        assert_eq!((read(&file), fs::read_link(sides.to.join("b")).unwrap()), ("content".into(), file));
    }
}

#[test]
fn p5_a_slash_behind_a_file_is_an_error_whatever_the_target() {
    for sides in everywhere() {
        Tree::new().file("f", "new").symlink("l", "nowhere").symlink("d", ".").build(&sides.from);
        Tree::new().file("f", "old").file("l", "old").file("d", "old").build(&sides.to);
        let told = format!(
            "pmove: cannot stat 'f/': Not a directory\npmove: cannot stat 'l/': No such file or directory\n\
             pmove: cannot move 'd/' to '{}/d': Not a directory\npmove: 0 moved, 3 failed\n",
            sides.to.display()
        );
        for policy in ["-n", "-f"] {
            sides.pmove().args([policy, "f/", "l/", "d/"]).arg(&*sides.to).run().fails_with(1).stderr_is(&told);
        }
    }
}

#[test]
fn p5_a_new_name_may_end_in_a_slash_and_what_is_in_the_way_is_named() {
    for sides in everywhere() {
        Tree::new().file("a/f", "x").file("file", "").build(&sides.from);
        Tree::new().dir("d").build(&sides.to);
        let d = format!("{}/d/", sides.to.display());
        sides.pmove().args(["file/x", &format!("{}/new/", sides.to.display())]).run().fails_with(1);
        sides.pmove().args(["-T", "a", &d]).run().ok();
        assert_eq!(names(&sides.to.join("d")), ["f"]);
        let missing = sides.pmove().args(["file/x", &format!("{}/new/", sides.to.display())]).run();
        missing.fails_with(1).stderr_is("pmove: cannot stat 'file/x': Not a directory\n");
    }
}

/// What a killed run has hidden is not moved by the next one, whatever finds it.
#[test]
fn p6_what_a_run_has_hidden_is_not_a_source() {
    for sides in everywhere() {
        let (hidden, stage) = (".pmove-4711-0123456789abcdef-3", ".pmove-1000");
        Tree::new()
            .file(format!("{hidden}/f"), "")
            .file(format!("{stage}/4711-0123456789abcdef/s0"), "")
            .build(&sides.from);
        Tree::new().file(".pmove-notes", "").file(".h", "").build(&sides.from);
        for patterns in [[".*", ".*"], [".*/*", ".*/f"]] {
            let pmove = sides.pmove().args(["--allow-empty", "-g", patterns[0], "-g", patterns[1]]);
            pmove.arg(&*sides.to).run().ok();
        }
        let list = format!("./{hidden}\n./{hidden}/f\n./{stage}\n{stage}/4711-0123456789abcdef/s0\n");
        sides.pmove().arg("-").arg(&*sides.to).stdin(list).run().ok();
        assert_eq!(
            (names(&sides.from), names(&sides.to)),
            (vec![stage.into(), hidden.into()], vec![".h".into(), ".pmove-notes".into()])
        );
    }
}

/// A directory that had vanished from its source when its run was killed is found by its copy. Another source's backup has
/// given that copy another name by then: the directory came back, and stayed where it was.
#[test]
fn p6_what_was_being_removed_goes_though_its_copy_has_become_a_backup() {
    let build = |sides: &Sides| {
        let tree = Tree::new().file("1/b/one", "1").file("2/b/two", "2").dir("2/b/more").file("3/b", "3");
        tree.build(&sides.from);
    };
    let pmove = |sides: &Sides| {
        let options = ["-j1", "--backup=numbered", "--sync=none", "--allow-empty", "-g", "*/b"];
        sides.pmove().args(options).arg(&*sides.to)
    };
    let whole = across();
    build(&whole);
    pmove(&whole).run().ok();
    let paths = |sides: &Sides| [&sides.from, &sides.to].map(|side| paths_of(&Snapshot::of(&**side)));
    let expected = paths(&whole);
    for call in 1.. {
        let sides = across();
        build(&sides);
        if pmove(&sides).env("PMOVE_TEST_KILL_AT", call.to_string()).run().signal.is_none() {
            assert!(call > 50, "it was hardly ever killed");
            break;
        }
        let again = pmove(&sides).run();
        assert_eq!((again.code, again.stderr_text()), (Some(0), String::new()), "killed before call {call}");
        assert_eq!(paths(&sides), expected, "killed before call {call}");
    }
}

fn paths_of(snapshot: &Snapshot) -> Vec<PathBuf> {
    snapshot.paths().map(Path::to_owned).collect()
}
