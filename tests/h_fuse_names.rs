//! Names on odd file systems: renames without `RENAME_NOREPLACE`, without links, that fail after they were done, that
//! cannot move directories; names that fold, that are refused, or that are stale.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod fuse;
mod promises;

use std::fs;

use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::trace::Strace;
use common::tree::Tree;
use fuse::odd::{Odd, pmove};
use fuse::{Fault, Flags, Op, Quirks};
use promises::held::held_after;
use promises::{files, injected, names};
use rustix::io::Errno;

fn some_of_all() -> Tree {
    let tree = Tree::new().file("f", "content").file("empty", "").symlink("l", "f").file("d/e/g", "deep").dir("d/h");
    tree.file("many", vec![7; 300_000]).mode(0o600).mtime(1_000_000_000, 0)
}

/// Everything moves, all three ways, and nothing is left behind.
fn moves_all(odd: &Odd) {
    for (from, to) in odd.ways() {
        some_of_all().build(from);
        let whole = Snapshot::of(from).without_root().without_holes();
        pmove(from, &["*"], to).ok().stderr_is("");
        assert_same(&whole, &Snapshot::of(to).without_root().without_holes());
        assert!(names(from).is_empty());
        odd.assert_no_litter();
        odd.clear();
    }
}

/// What is at the target stays, and so does its source.
fn keeps_what_is_there(odd: &Odd) {
    for (from, to) in odd.ways() {
        Tree::new().file("f", "new").file("d/x", "new").file("e/x", "new").file("free", "new").build(from);
        Tree::new().file("f", "old").file("d/x", "old").dir("e").build(to);
        // The first teaches that the flag is missing, where it is.
        pmove(from, &["-n", "free", "f", "d", "e"], to).ok();
        assert_eq!(names(from), ["d", "e", "f"]);
        assert!(names(&to.join("e")).is_empty());
        assert_eq!(fs::read(to.join("f")).unwrap(), b"old");
        assert_eq!(fs::read(to.join("d/x")).unwrap(), b"old");
        assert_eq!(fs::read(to.join("free")).unwrap(), b"new");
        pmove(from, &["f"], to).ok();
        assert_eq!(fs::read(to.join("f")).unwrap(), b"new");
        odd.assert_no_litter();
        odd.clear();
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h45_without_noreplace_everything_moves_and_nothing_is_replaced() {
    for error in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP] {
        let odd = Odd::new(Quirks { flags: Flags::Refused(error), ..Quirks::default() });
        moves_all(&odd);
        keeps_what_is_there(&odd);
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h45_that_noreplace_is_missing_is_learnt_once() {
    let odd = Odd::new(Quirks { flags: Flags::Refused(Errno::INVAL), ..Quirks::default() });
    Tree::new().files(100, |i| (format!("f{i}"), i.to_string())).build(&odd.from);
    pmove(&odd.from, &["*"], &odd.to).ok();
    assert_eq!(files(&odd.to).len(), 100);
    assert!(odd.disk.count(Op::Rename) <= 2, "{} renames were tried", odd.disk.count(Op::Rename));
}

#[test]
#[ignore = "needs root and FUSE"]
fn h46_without_links_everything_moves_and_what_is_there_stays() {
    for error in [Errno::PERM, Errno::NOSYS, Errno::OPNOTSUPP] {
        for flags in [Flags::Known, Flags::Refused(Errno::INVAL)] {
            let odd = Odd::new(Quirks { flags, ..Quirks::faults([Fault::on(Op::Link, error)]) });
            moves_all(&odd);
            keeps_what_is_there(&odd);
            // Links to one file become files of their own, whole.
            Tree::new()
                .file("a", "content")
                .hard_link("b", "a")
                .file("t/c", "c")
                .hard_link("t/d", "t/c")
                .build(&odd.outside);
            pmove(&odd.outside, &["a", "b", "t"], &odd.to).ok();
            for (name, content) in [("a", "content"), ("b", "content"), ("t/c", "c"), ("t/d", "c")] {
                assert_eq!(fs::read_to_string(odd.to.join(name)).unwrap(), content, "{name}");
            }
            odd.assert_no_litter();
        }
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h36_where_noreplace_is_ignored_what_is_there_stays() {
    let odd = Odd::new(Quirks { flags: Flags::Ignored, ..Quirks::default() });
    moves_all(&odd);
    keeps_what_is_there(&odd);
}

#[test]
#[ignore = "needs root and FUSE"]
fn h55_a_rename_that_fails_after_it_was_done_is_no_failure() {
    for error in [Errno::NOENT, Errno::IO, Errno::TIMEDOUT] {
        for flags in [Flags::Known, Flags::Refused(Errno::INVAL)] {
            let late = [Op::Rename, Op::RenameDir, Op::Link, Op::Unlink];
            let faults = late.map(|op| Fault::on(op, if op == Op::Link { Errno::EXIST } else { error }).but_done());
            let odd = Odd::new(Quirks { flags, ..Quirks::faults(faults) });
            for (from, to) in odd.ways() {
                Tree::new().file("f", "content").file("g", "new").file("d/x", "deep").build(from);
                Tree::new().file("g", "old").build(to);
                let output = pmove(from, &["f", "g", "d"], to);
                // Whatever it says: each content is there, once.
                for (name, content) in [("f", "content"), ("g", "new"), ("d/x", "deep")] {
                    let found =
                        fs::read_to_string(to.join(name)).unwrap_or_else(|_| panic!("{name}\n{}", output.dump()));
                    assert_eq!(found, content, "{name}\n{}", output.dump());
                }
                output.ok().stderr_is("");
                assert!(names(from).is_empty(), "{}", output.dump());
                odd.disk.set(|quirks| quirks.faults.clear());
                let faults = late.map(|op| Fault::on(op, if op == Op::Link { Errno::EXIST } else { error }).but_done());
                pmove(from, &["--allow-empty", "*"], to).ok();
                odd.assert_no_litter();
                odd.clear();
                odd.disk.set(|quirks| quirks.faults = faults.to_vec());
            }
        }
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h55_a_removal_that_fails_after_it_was_done_loses_nothing() {
    // Where links stand in for a rename, the second half is a removal.
    for error in [Errno::NOENT, Errno::IO] {
        let fault = Fault::on(Op::Unlink, error).of("f").but_done();
        let odd = Odd::new(Quirks { flags: Flags::Refused(Errno::INVAL), ..Quirks::faults([fault]) });
        Tree::new().file("f", "content").build(&odd.from);
        let output = pmove(&odd.from, &["f"], &odd.to);
        assert_eq!(fs::read_to_string(odd.to.join("f")).unwrap(), "content", "{}", output.dump());
        output.ok().stderr_is("");
        // One that was not done: the source stays.
        let odd = Odd::new(Quirks {
            flags: Flags::Refused(Errno::INVAL),
            ..Quirks::faults([Fault::on(Op::Unlink, Errno::ACCESS).of("f").times(1)])
        });
        Tree::new().file("f", "content").build(&odd.from);
        pmove(&odd.from, &["f"], &odd.to).fails_with(1).stderr_has("cannot move 'f'");
        assert_eq!(fs::read_to_string(odd.from.join("f")).unwrap(), "content");
        // On a server the second name stays, too: another run might take it for its own work, and remove the first.
        assert!(names(&odd.to).is_empty() || fs::read_to_string(odd.to.join("f")).unwrap() == "content");
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h55_a_stale_name_is_looked_up_again() {
    // The kernel itself asks twice.
    for op in [Op::Lookup, Op::Open] {
        let odd = Odd::new(Quirks::default());
        for to in [&*odd.to, &*odd.outside] {
            Tree::new().file("stale", "content").file("d/other", "deep").build(&odd.from);
            let faults = ["stale", "other"].map(|name| Fault::on(op, Errno::STALE).of(name).times(2));
            odd.disk.set(|quirks| quirks.faults = faults.to_vec());
            pmove(&odd.from, &["stale", "d"], to).ok().stderr_is("");
            odd.disk.set(|quirks| quirks.faults.clear());
            assert_eq!(fs::read(to.join("stale")).unwrap(), b"content");
            assert_eq!(fs::read(to.join("d/other")).unwrap(), b"deep");
            odd.assert_no_litter();
            odd.clear();
        }
    }
}

#[test]
#[ignore = "needs root, FUSE and strace"]
fn h45_p6_killed_between_link_and_unlink_the_re_run_finishes() {
    for policy in ["-f", "-n"] {
        for (call, most) in [("linkat", 3), ("unlinkat", 6), ("statx", 12), ("mkdirat", 6), ("renameat", 3)] {
            for n in 1..=most {
                let odd = Odd::new(Quirks { flags: Flags::Refused(Errno::INVAL), ..Quirks::default() });
                Tree::new().file("f", "content").file("g", "more").file("d/x", "deep").build(&odd.from);
                let whole = Snapshot::of(&odd.from).without_root();
                let command =
                    || Pmove::new().args(["-j", "1", policy, "--allow-empty", "*"]).arg(&odd.to).cwd(&odd.from);
                let killed = injected(command(), &[&format!("{call}:signal=KILL:when={n}")]).run();
                let output = command().run();
                let what = format!("{policy}, killed at {call} {n}\n{}\n{}", killed.dump(), output.dump());
                assert_eq!(output.code, Some(0), "{what}");
                assert!(names(&odd.from).is_empty(), "{what}");
                assert!(whole == Snapshot::of(&odd.to).without_root(), "{what}");
                odd.assert_no_litter();
            }
        }
    }
}

#[test]
#[ignore = "needs root, FUSE and strace"]
fn h19_a_source_that_is_replaced_between_link_and_unlink_stays() {
    let odd = Odd::new(Quirks { flags: Flags::Refused(Errno::INVAL), ..Quirks::default() });
    Tree::new().file("f", "first").file("other", "second").build(&odd.from);
    let command = Pmove::new().arg("f").arg(&odd.to).cwd(&odd.from);
    let held = held_after(command, "linkat", 1);
    fs::rename(odd.from.join("other"), odd.from.join("f")).unwrap();
    held.go_on().fails_with(1).stderr_has("'f' changed while it was being moved");
    assert_eq!(fs::read(odd.to.join("f")).unwrap(), b"first");
    assert_eq!(fs::read(odd.from.join("f")).unwrap(), b"second");
}

#[test]
#[ignore = "needs root, FUSE and strace"]
fn h12_a_killed_run_is_not_finished_by_removing_the_one_name_that_two_are() {
    let odd = Odd::new(Quirks { folds_case: true, flags: Flags::Refused(Errno::INVAL), ..Quirks::default() });
    // The other link is what makes two names of it.
    Tree::new().file("a", "content").build(&odd.from);
    fs::hard_link(odd.from.join("a"), odd.to.join("elsewhere")).unwrap();
    // So that the first rename is asked for, and its record written: the name must seem to be free.
    odd.disk.set(|quirks| quirks.faults = vec![Fault::on(Op::Lookup, Errno::NOENT).of("A").times(2)]);
    let command = || Pmove::new().args(["a", "A"]).cwd(&odd.from);
    let killed = injected(command(), &["linkat:signal=KILL:when=1"]).run();
    odd.disk.set(|quirks| quirks.faults.clear());
    assert!(names(&odd.from).iter().any(|name| name.starts_with(".pmove-")), "no record\n{}", killed.dump());
    let output = command().run();
    assert_eq!(fs::read(odd.from.join("a")).unwrap(), b"content", "{}", output.dump());
}

#[test]
#[ignore = "needs root and FUSE"]
fn h13_two_links_stay_two_also_without_noreplace() {
    let odd = Odd::new(Quirks { flags: Flags::Refused(Errno::INVAL), ..Quirks::default() });
    Tree::new().file("a", "x").hard_link("b", "a").build(&odd.from);
    let output = Pmove::new().args(["a", "b"]).cwd(&odd.from).run();
    output.fails_with(1).stderr_is("pmove: 'a' and 'b' are the same file\n");
    assert_eq!(names(&odd.from), ["a", "b"]);
}

#[test]
#[ignore = "needs root and FUSE"]
fn h60_directories_that_cannot_be_renamed_stay_whole() {
    let odd = Odd::new(Quirks::faults([Fault::on(Op::RenameDir, Errno::NOSYS)]));
    let [within, onto, from] = odd.ways();
    for (source, target) in [within, onto] {
        Tree::new().file("d/e/f", "deep").file("g", "content").build(source);
        let whole = Snapshot::of(source.join("d"));
        pmove(source, &["d", "g"], target).fails_with(1).stderr_has("'d'").stderr_has("Function not implemented");
        assert_same(&whole, &Snapshot::of(source.join("d")));
        assert_eq!(names(target), ["g"]);
        odd.assert_no_litter();
        odd.clear();
    }
    // From there it can be copied and removed, though not in one step.
    Tree::new().file("d/e/f", "deep").build(from.0);
    let whole = Snapshot::of(from.0.join("d"));
    pmove(from.0, &["d"], from.1).ok();
    assert_same(&whole, &Snapshot::of(from.1.join("d")));
    assert!(names(from.0).is_empty());
    odd.assert_no_litter();
}

#[test]
#[ignore = "needs root and FUSE"]
fn h49_what_must_be_copied_and_what_can_be_renamed_in_one_run() {
    let fault = |op| Fault::on(op, Errno::XDEV).of("far");
    let odd = Odd::new(Quirks::faults([fault(Op::Rename), fault(Op::RenameDir)]));
    Tree::new()
        .files(40, |i| (format!("{}{i}", if i % 2 == 0 { "far" } else { "near" }), i.to_string()))
        .build(&odd.from);
    Tree::new().file("near-d/x", "x").file("far-d/x", "y").build(&odd.from);
    let whole = Snapshot::of(&odd.from).without_root();
    // A directory cannot be hidden under another name either, before it is removed.
    pmove(&odd.from, &["*"], &odd.to).ok();
    assert_same(&whole, &Snapshot::of(&odd.to).without_root());
    assert!(names(&odd.from).is_empty());
    odd.assert_no_litter();
}

#[test]
#[ignore = "needs root and FUSE"]
fn h12_where_names_fold_nothing_is_lost() {
    for flags in [Flags::Known, Flags::Refused(Errno::INVAL)] {
        let odd = Odd::new(Quirks { folds_case: true, flags, ..Quirks::default() });
        for name in ["A", "a"] {
            Tree::new().file("a", "x").build(&odd.from);
            let output = Pmove::new().args(["a", name]).cwd(&odd.from).run();
            assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
            assert_eq!(fs::read(odd.from.join("a")).unwrap(), b"x", "{}", output.dump());
            odd.clear();
        }
        for policy in ["-f", "-n"] {
            for (source, target) in [(&*odd.outside, &*odd.to), (&*odd.from, &*odd.to)] {
                Tree::new().file("x/name", "first").file("y/NAME", "second").build(source);
                let output = pmove(source, &[policy, "x/name", "y/NAME"], target);
                assert_eq!(output.code, Some(i32::from(policy == "-f")), "{}", output.dump());
                assert_eq!(fs::read(target.join("name")).unwrap(), b"first", "{}", output.dump());
                assert_eq!(fs::read(source.join("y/NAME")).unwrap(), b"second", "{}", output.dump());
                odd.clear();
            }
        }
        // Within one directory.
        Tree::new().file("d/name", "first").file("d/NAME", "second").build(&odd.outside);
        let whole = Snapshot::of(odd.outside.join("d"));
        pmove(&odd.outside, &["d"], &odd.to).fails_with(1).stderr_has("File exists");
        assert_same(&whole, &Snapshot::of(odd.outside.join("d")));
        assert!(names(&odd.to).is_empty());
        odd.assert_no_litter();
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h57_names_that_are_refused_are_said_and_the_others_move() {
    for error in [Errno::INVAL, Errno::ILSEQ] {
        let odd = Odd::new(Quirks { refused_names: Some((b":?", error)), ..Quirks::default() });
        Tree::new()
            .file("good", "good")
            .file("a:b", "odd")
            .file("d/what?", "deep")
            .file("d/x", "x")
            .build(&odd.outside);
        let whole = Snapshot::of(odd.outside.join("d"));
        let output = pmove(&odd.outside, &["a:b", "d", "good"], &odd.to);
        output.fails_with(1).stderr_has("a:b").stderr_has("what?");
        assert_same(&whole, &Snapshot::of(odd.outside.join("d")));
        assert_eq!(fs::read(odd.outside.join("a:b")).unwrap(), b"odd");
        assert_eq!(names(&odd.to), ["good"], "{}", output.dump());
        Tree::new().file("plain", "odd").build(&odd.from);
        let output = Pmove::new().arg("plain").arg(odd.to.join("new:name")).cwd(&odd.from).run();
        output.fails_with(1).stderr_has("cannot stat").stderr_has("new:name");
        assert_eq!(fs::read(odd.from.join("plain")).unwrap(), b"odd");
        odd.assert_no_litter();
    }
}

#[test]
#[ignore = "needs root, FUSE and strace"]
fn h48_a_rename_is_tried_whatever_the_device_numbers_say() {
    let odd = Odd::new(Quirks::faults([Fault::on(Op::Rename, Errno::XDEV).of("far")]));
    Tree::new().file("far", "content").build(&odd.from);
    let command = Pmove::new().arg("far").arg(&odd.to).cwd(&odd.from);
    let (output, calls) = Strace::new().only("renameat2").record(command);
    output.ok();
    assert!(calls[0].text.contains("EXDEV"), "{calls:?}");
    assert_eq!(fs::read(odd.to.join("far")).unwrap(), b"content");
    odd.assert_no_litter();
}
