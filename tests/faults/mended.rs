//! What the sweeps have found, each by the one call that shows it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;

use pmove::fault::{Fault, Op, Plan, When};
use rustix::io::Errno;

use crate::common::snapshot::{Snapshot, assert_same};
use crate::common::tree::Tree;
use crate::promises::{Sides, across, back, names};

use super::world::{Ran, run};

fn across_devices() -> [Sides; 2] {
    [across(), back()]
}

/// `pmove -n` of these sources to the target directory.
fn keeping(sides: &Sides, sources: &[&str], plan: Plan) -> Ran {
    let mut args: Vec<OsString> = ["pmove", "-n", "-j", "1"].map(OsString::from).into();
    args.extend(sources.iter().map(|name| sides.from.join(name).into_os_string()));
    args.push(sides.to.as_os_str().to_owned());
    run(args, plan)
}

fn failing(op: Op, nth: usize, error: Errno) -> Plan {
    Plan::new().at(When::Nth(op, nth), Fault::Fail(error))
}

/// The n-th call of a kind in a quiet run of the same move, counted among those with this name.
fn nth_of(ran: &Ran, op: Op, name: &str) -> usize {
    ran.calls.iter().find(|call| call.op == op && call.name == name.as_bytes()).map(|call| call.nth).unwrap()
}

fn finishes(sides: &Sides, sources: &[&str], whole: &Snapshot) {
    let ran = keeping(sides, sources, Plan::new());
    assert!(ran.is_done, "{ran:?}");
    assert_same(whole, &Snapshot::of(&*sides.to).without_root());
    assert!(names(&sides.from).is_empty());
    sides.assert_no_litter();
}

fn small_tree(sides: &Sides) -> Snapshot {
    Tree::new().file("t/a", "a").file("t/d/b", "b").hard_link("t/d/c", "t/a").dir("t").mtime(7, 7).build(&sides.from);
    Snapshot::of(&*sides.from).without_root()
}

#[test]
fn p5_a_directory_that_cannot_be_opened_now_is_not_taken_for_a_new_name() {
    for error in [Errno::MFILE, Errno::IO, Errno::NOMEM, Errno::ACCESS] {
        let sides = across();
        let whole = small_tree(&sides);
        let ran = keeping(&sides, &["t"], failing(Op::OpenDir, 1, error));
        assert!(!ran.is_done && ran.messages.starts_with("pmove: cannot stat '"), "{ran:?}");
        finishes(&sides, &["t"], &whole);
    }
}

#[test]
fn p6_a_file_that_cannot_be_removed_is_finished_by_the_next_run() {
    for sides in across_devices() {
        Tree::new().file("f", "f").mtime(5, 5).file("g", "g").build(&sides.from);
        let whole = Snapshot::of(&*sides.from).without_root();
        let ran = keeping(&sides, &["f", "g"], failing(Op::Unlink, 1, Errno::IO));
        assert!(!ran.is_done && ran.messages.contains("cannot remove"), "{ran:?}");
        // As long as it cannot, it is said, and not forgotten.
        let ran = keeping(&sides, &["f"], failing(Op::Unlink, 1, Errno::PERM));
        assert!(!ran.is_done && ran.messages.contains("cannot remove"), "{ran:?}");
        finishes(&sides, &["f"], &whole);
    }
}

#[test]
fn p6_a_tree_that_cannot_be_removed_says_why_and_is_finished_by_the_next_run() {
    for sides in across_devices() {
        small_tree(&sides);
        let quiet = keeping(&sides, &["t"], Plan::new());
        let (unlink, remove) = (nth_of(&quiet, Op::Unlink, "a"), nth_of(&quiet, Op::RemoveDir, "d"));
        // The last one finds the end of the journal, the one before reads it.
        let read = quiet.calls.iter().filter(|call| call.op == Op::Read).count() - 1;
        for (op, nth) in [(Op::Unlink, unlink), (Op::RemoveDir, remove), (Op::Read, read)] {
            super::world::empty(&sides.to);
            let whole = small_tree(&sides);
            let ran = keeping(&sides, &["t"], failing(op, nth, Errno::IO));
            assert!(!ran.is_done && ran.messages.contains("cannot remove"), "{op:?}: {ran:?}");
            finishes(&sides, &["t"], &whole);
        }
    }
}

#[test]
fn p6_h93_what_an_ended_run_left_is_not_forgotten_because_it_cannot_be_looked_at() {
    for (source, sides) in [("f", across()), ("f", back()), ("t", across()), ("t", back())] {
        let prepare = || {
            super::world::empty(&sides.to);
            super::world::empty(&sides.from);
            if source == "t" {
                small_tree(&sides);
            } else {
                Tree::new().file("f", "content").mtime(5, 5).build(&sides.from);
            }
            let whole = Snapshot::of(&*sides.from).without_root();
            // Published, and not retired.
            let killed = keeping(&sides, &[source], Plan::new().at(When::Nth(Op::Unlink, 1), Fault::Kill));
            assert!(sides.to.join(source).exists(), "{killed:?}");
            whole
        };
        prepare();
        let calls = keeping(&sides, &[source], Plan::new()).calls;
        for call in calls.iter().filter(|call| matches!(call.op, Op::Stat | Op::OpenDir | Op::OpenFile | Op::Read)) {
            let whole = prepare();
            let ran = keeping(&sides, &[source], failing(call.op, call.nth, Errno::IO));
            assert!(!ran.is_done || names(&sides.from).is_empty(), "{call}: {}", ran.messages);
            let again = keeping(&sides, &[source], Plan::new());
            assert!(again.is_done || again.messages.contains("cannot stat"), "{call}: {}", again.messages);
            assert!(names(&sides.from).is_empty(), "{call}");
            assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
            sides.assert_no_litter();
        }
    }
}

#[test]
fn h43_a_link_that_cannot_be_made_for_a_passing_reason_is_an_error() {
    for sides in across_devices() {
        // A file, and a link to it in a directory: whichever comes first, the second is to become a link.
        Tree::new().file("f", "f").hard_link("t/g", "f").build(&sides.from);
        let ran = keeping(&sides, &["t", "f"], failing(Op::Link, 1, Errno::IO));
        assert!(!ran.is_done && ran.messages.contains("Input/output error"), "{ran:?}");
        assert!(sides.from.join("f").exists());
    }
}

#[test]
fn h46_a_link_that_becomes_a_copy_is_said() {
    for sides in across_devices() {
        small_tree(&sides);
        let ran = keeping(&sides, &["t"], Plan::new().without(Op::Link, Errno::PERM));
        assert!(ran.is_done && ran.messages.contains("warning: preserving hard links for"), "{ran:?}");
        assert_eq!(fs::read(sides.to.join("t/d/c")).unwrap(), b"a");
    }
}

#[test]
fn p6_h45_a_directory_that_held_the_name_is_not_in_the_way_of_the_next_run() {
    for sides in across_devices() {
        let whole = small_tree(&sides);
        let plan = || Plan::new().without(Op::RenameNoReplace, Errno::INVAL);
        keeping(&sides, &["t"], plan().at(When::Nth(Op::Rename, 1), Fault::Kill));
        assert_eq!(fs::read_dir(sides.to.join("t")).unwrap().count(), 0);
        assert!(keeping(&sides, &["t"], plan()).is_done);
        assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
        sides.assert_no_litter();
    }
}

#[test]
fn p7_a_source_that_is_not_there_leaves_the_target_directory_as_it_was() {
    for sides in across_devices() {
        crate::common::tree::set_mtime(&sides.to, 5, 5).unwrap();
        assert!(!keeping(&sides, &["nowhere"], Plan::new()).is_done);
        assert_eq!(fs::metadata(&*sides.to).unwrap().mtime(), 5);
    }
}

#[test]
fn p5_what_cannot_be_kept_is_told_although_the_first_of_it_is_left_alone() {
    for sides in across_devices() {
        Tree::new().file("a", "a").file("b", "b").mtime(5, 5).build(&sides.from);
        Tree::new().file("a", "what was there").build(&sides.to);
        let ran = keeping(&sides, &["a", "b"], Plan::new().without(Op::GiveTimes, Errno::PERM));
        let told: Vec<&str> = ran.messages.lines().filter(|line| line.contains("preserving times")).collect();
        assert!(ran.is_done && told.len() == 1 && told[0].contains("/b'"), "{ran:?}");
    }
}
