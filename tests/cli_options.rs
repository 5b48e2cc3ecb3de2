//! What can be said beside sources and targets: how much is told, how many work, and what is only tried.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::path::Path;

use common::mount::Mount;
use common::run::Output;
use common::snapshot::{Snapshot, assert_same};
use common::trace::Strace;
use common::tree::Tree;
use promises::{across, back, everywhere, names, one_device};

fn make(dir: &Path, count: usize) {
    Tree::new().files(count, |i| (format!("f{i:03}"), format!("content {i}"))).build(dir);
}

fn operands(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("f{i:03}")).collect()
}

#[test]
fn h23_a_dry_run_changes_nothing_and_says_what_a_run_would_do() {
    for sides in everywhere() {
        let tree = Tree::new().file("a", "a").file("b", "b").file("d/x", "x").file("e/a", "second").file("f", "f");
        tree.symlink("l", "a").build(&sides.from);
        Tree::new().file("b", "old").dir("f").build(&sides.to);
        let before = (Snapshot::of(&*sides.from), Snapshot::of(&*sides.to));
        let to = sides.to.display();
        let run = |args: &[&str]| {
            let output = sides.pmove().arg("--dry-run").args(args).arg(&*sides.to).run();
            assert_same(&before.0, &Snapshot::of(&*sides.from));
            assert_same(&before.1, &Snapshot::of(&*sides.to));
            output
        };
        run(&["a", "b", "d", "l"]).ok().stderr_is("").stdout_is(format!(
            "would move 'a' -> '{to}/a'\nwould move 'b' -> '{to}/b'\n\
             would move 'd' -> '{to}/d'\nwould move 'l' -> '{to}/l'\n"
        ));
        run(&["-n", "a", "b"]).ok().stdout_is(format!("would move 'a' -> '{to}/a'\n"));
        run(&["*"]).fails_with(1).stderr_has("cannot overwrite directory");
        run(&["gone", "a"]).fails_with(1).stderr_has("cannot stat 'gone'");
        run(&["a", "e/a"]).fails_with(1).stderr_has("will not overwrite just-created").stderr_has("'e/a'");
        run(&["d/*", "-g", "[ab]"]).ok();
        run(&["f"]).fails_with(1).stderr_has("cannot overwrite directory");
        run(&["--allow-empty", "*.none"]).ok().stdout_is("");
    }
}

#[test]
fn h23_a_dry_run_leaves_what_an_ended_run_left() {
    for sides in [across(), back()] {
        make(&sides.from, 20);
        let kill = promises::injected(sides.pmove().arg("*").arg(&*sides.to), &["unlinkat:signal=KILL:when=3"]);
        kill.run();
        let before = (Snapshot::of(&*sides.from), Snapshot::of(&*sides.to));
        sides.pmove().args(["--dry-run", "*"]).arg(&*sides.to).run();
        assert_same(&before.0, &Snapshot::of(&*sides.from));
        assert_same(&before.1, &Snapshot::of(&*sides.to));
    }
}

#[test]
fn cli_verbose_names_operands_in_the_order_given() {
    for jobs in ["1", "2", "16"] {
        for sides in everywhere() {
            make(&sides.from, 300);
            Tree::new().file("zz/first", vec![1; 5_000_000]).file("tree/x", "x").build(&sides.from);
            let mut order = operands(300);
            order.reverse();
            order.insert(0, "zz/first".into());
            let output = sides.pmove().args(["-v", "-j", jobs]).args(&order).arg(&*sides.to).run();
            output.ok();
            let text = output.stdout_text();
            let named = text.lines().filter(|line| line.contains(" -> "));
            let named: Vec<&str> = named.map(|line| line.split('\'').nth(1).unwrap()).collect();
            assert_eq!(named, order, "-j {jobs}");
        }
    }
}

#[test]
fn cli_verbose_says_what_was_done() {
    let sides = one_device();
    make(&sides.from, 1);
    let to = sides.to.display();
    let output = sides.pmove().args(["-v", "f000"]).arg(&*sides.to).run();
    output.ok().stderr_is("").stdout_is(format!("renamed 'f000' -> '{to}/f000'\n"));
    let sides = across();
    make(&sides.from, 2);
    let to = sides.to.display();
    let output = sides.pmove().args(["-v", "f000", "gone", "f001"]).arg(&*sides.to).run();
    output.fails_with(1).stdout_is(format!(
        "copied 'f000' -> '{to}/f000'\nremoved 'f000'\ncopied 'f001' -> '{to}/f001'\nremoved 'f001'\n"
    ));
    output.stderr_has("2 moved, 1 failed");
}

#[test]
fn cli_quiet_says_nothing_but_errors() {
    for sides in everywhere() {
        make(&sides.from, 3);
        let output = sides.pmove().args(["-v", "-q", "f000", "gone", "f001"]).arg(&*sides.to).run();
        output.fails_with(1).stdout_is("").stderr_is("pmove: cannot stat 'gone': No such file or directory\n");
        // The last word counts.
        let output = sides.pmove().args(["-q", "-v", "f002"]).arg(&*sides.to).run();
        assert!(output.ok().stdout_text().contains("'f002' -> "));
    }
}

#[test]
fn cli_any_number_of_workers_does_the_same() {
    for jobs in [&["-j1"][..], &["-j", "2"], &["--jobs=16"], &["-jauto"], &["-j", "1024"], &[]] {
        for sides in everywhere() {
            make(&sides.from, 200);
            Tree::everything().build(sides.from.join("").as_path());
            let before = Snapshot::of(&*sides.from).without_root();
            sides.pmove().args(jobs).arg("*").arg(&*sides.to).run().ok();
            assert_same(&before, &Snapshot::of(&*sides.to).without_root());
            sides.assert_no_litter();
        }
    }
}

fn usage(args: &[&str]) -> Output {
    let sides = one_device();
    make(&sides.from, 2);
    let output = sides.pmove().args(args).run();
    assert_eq!(names(&sides.from), ["f000", "f001"], "{}", output.dump());
    output
}

#[test]
fn cli_values_that_make_no_sense_are_refused() {
    for (args, word, option) in [
        (&["-j", "0", "f000", "new"][..], "0", "--jobs"),
        (&["-j", "x", "f000", "new"], "x", "--jobs"),
        (&["--jobs=-1", "f000", "new"], "-1", "--jobs"),
        (&["-j", "", "f000", "new"], "", "--jobs"),
        (&["-j", "99999999999999999999", "f000", "new"], "99999999999999999999", "--jobs"),
        (&["--max-errors", "0", "f000", "new"], "0", "--max-errors"),
        (&["--max-errors=many", "f000", "new"], "many", "--max-errors"),
        (&["--sync", "sometimes", "f000", "new"], "sometimes", "--sync"),
        (&["--progress=perhaps", "f000", "new"], "perhaps", "--progress"),
    ] {
        let output = usage(args);
        output.fails_with(1).stdout_is("").stderr_has("pmove: ").stderr_has(option);
        output.stderr_has(&format!("'{word}'")).stderr_has("Try 'pmove --help' for more information.\n");
    }
}

#[test]
fn cli_what_does_not_go_together_is_refused() {
    for args in [
        &["-0", "f000", "new"][..],
        &["-T", "--files-from", "list", "new"],
        &["-T", "-g", "f*", "new"],
        &["-t", "a", "-t", "b", "f000"],
        &["-T", "-t", ".", "f000"],
        &["-"],
        &["--files-from", "list"],
        &["-g", "f*"],
        &["-b", "-n", "f000", "new"],
        &["-n", "--on-conflict", "fail", "f000", "new"],
        &["-i", "--on-conflict=keep-both", "f000", "new"],
        &["-u", "--on-conflict", "ask", "f000", "new"],
        &["-b", "--on-conflict", "keep-both", "f000", "new"],
        &["--exchange", "--on-conflict", "skip", "f000", "f001"],
        &["--exchange", "--merge", "f000", "f001"],
        &["--exchange", "--parents", "f000", "f001"],
        &["-T", "--parents", "f000", "new"],
        &["-i", "-", "new"],
    ] {
        usage(args).fails_with(1).stdout_is("").stderr_has("pmove: ");
    }
}

#[test]
#[ignore = "needs strace"]
fn cli_jobs_may_stand_in_the_environment() {
    let sides = across();
    make(&sides.from, 50);
    let pmove = |jobs: &str| sides.pmove().arg("f*").arg(&*sides.to).env("PMOVE_JOBS", jobs);
    pmove("nonsense").run().fails_with(1).stderr_has("'nonsense'");
    let threads = |jobs: &str| {
        make_again(&sides);
        let (output, counts) = Strace::new().only("clone,clone3").count(pmove(jobs));
        output.ok();
        counts.total()
    };
    assert!(threads("9") >= threads("2") + 7);
}

fn make_again(sides: &promises::Sides) {
    for path in promises::entries(&sides.from) {
        fs::remove_file(path).unwrap();
    }
    make(&sides.from, 50);
}

#[test]
#[ignore = "needs strace"]
fn cli_without_sync_nothing_is_synced() {
    let sides = back();
    make(&sides.from, 50);
    Tree::new().files(50, |i| (format!("t/f{i}"), "x".into())).build(&sides.from);
    let record = Strace::new().only("fsync,fdatasync,syncfs,sync,sync_file_range,unlinkat");
    let (output, calls) = record.record(sides.pmove().args(["--sync", "none", "*"]).arg(&*sides.to));
    output.ok();
    assert!(calls.iter().all(|call| call.name == "unlinkat"), "{calls:?}");
    assert_eq!((names(&sides.from).len(), names(&sides.to).len()), (0, 51));
}

#[test]
fn cli_help_and_version_are_printed() {
    let help = usage(&["--help"]);
    help.ok().stderr_is("");
    for word in ["pmove [OPTIONS] SOURCE... DEST", "-t,", "--files-from", "--dry-run", "Exit status"] {
        assert!(help.stdout_text().contains(word), "{word}");
    }
    assert!(!help.stdout_text().contains('\x1b'));
    usage(&["--version"]).ok().stdout_is(format!("pmove {}\n", env!("CARGO_PKG_VERSION")));
    usage(&["-h"]).ok().stderr_is("");
}

#[test]
#[ignore = "needs root and loop mounts"]
fn cli_patterns_stay_on_their_file_system_if_told_so() {
    for (args, expected) in
        [(&["-x", "**/*.csv"][..], &["a.csv", "b.csv"][..]), (&["**/*.csv"], &["a.csv", "b.csv", "c.csv"])]
    {
        let (sides, elsewhere) = (one_device(), common::fs::other());
        Tree::new().file("a.csv", "a").file("d/b.csv", "b").dir("d/mounted").build(&sides.from);
        Tree::new().file("c.csv", "c").build(&elsewhere);
        let mount = Mount::bind(&elsewhere, &sides.from.join("d/mounted"));
        sides.pmove().args(args).arg(&*sides.to).run().ok();
        assert_eq!(names(&sides.to), expected);
        drop(mount);
    }
}
