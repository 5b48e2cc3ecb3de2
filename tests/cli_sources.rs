//! What can be named: operands, patterns that pmove expands itself, and lists.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::path::Path;

use common::run::{Output, Pmove};
use common::snapshot::{Snapshot, assert_same};
use common::tree::{self, Tree};
use promises::{Sides, everywhere, names, one_device};

/// Makes files of these paths, each with its path for content.
fn make(dir: &Path, paths: &[&str]) {
    paths.iter().fold(Tree::new(), |tree, path| tree.file(path, path)).build(dir);
}

/// Moves by `args` from a fresh tree of `paths`; what arrived.
fn arrived(paths: &[&str], args: &[&str]) -> (Output, Vec<String>) {
    let sides = one_device();
    make(&sides.from, paths);
    let output = sides.pmove().args(args).arg(&*sides.to).run();
    let arrived = names(&sides.to);
    (output, arrived)
}

#[test]
fn cli_patterns_match_as_a_shells_do() {
    let paths = ["a.csv", "b.csv", "c.tsv", ".hidden.csv", "d/x.csv", "d/e/y.csv", ".dot/z.csv", "d/.h.csv"];
    for (args, expected) in [
        (&["*.csv"][..], &["a.csv", "b.csv"][..]),
        (&["./*.csv"], &["a.csv", "b.csv"]),
        (&["**/*.csv"], &["a.csv", "b.csv", "x.csv", "y.csv"]),
        (&["d/**/*.csv"], &["x.csv", "y.csv"]),
        (&["*/*.csv"], &["x.csv"]),
        (&[".*.csv"], &[".hidden.csv"]),
        (&[".*/*"], &["z.csv"]),
        (&["d/.*"], &[".h.csv"]),
        (&["*.{csv,tsv}"], &["a.csv", "b.csv", "c.tsv"]),
        (&["[!a]*.csv"], &["b.csv"]),
        (&["-g", "?.csv"], &["a.csv", "b.csv"]),
        (&["-g", "[ab].csv", "--glob=*.tsv"], &["a.csv", "b.csv", "c.tsv"]),
        (&["*.tsv", "a.csv"], &["a.csv", "c.tsv"]),
        (&["d*"], &["d"]),
        (&["**/e"], &["e"]),
    ] {
        let (output, names) = arrived(&paths, args);
        output.ok().stderr_is("").stdout_is("");
        assert_eq!(names, expected, "{args:?}");
    }
}

#[test]
fn h61_an_existing_name_is_never_a_pattern() {
    let paths = ["*.csv", "a.csv", "IMG[1].jpg", "IMG1.jpg", "b?.csv", "bx.csv"];
    assert_eq!(arrived(&paths, &["*.csv"]).1, ["*.csv"]);
    assert_eq!(arrived(&paths, &["IMG[1].jpg"]).1, ["IMG[1].jpg"]);
    assert_eq!(arrived(&paths, &["-g", "*.csv"]).1, ["*.csv", "a.csv", "b?.csv", "bx.csv"]);
    // What has vanished must not become something else.
    for args in [&["IMG[2].jpg"][..], &["b?x.csv"], &["--", "a*.csv"], &["--", "IMG*"]] {
        let (output, names) = arrived(&paths, args);
        output.fails_with(1).stderr_has("cannot stat");
        assert!(names.is_empty());
    }
}

#[test]
fn cli_called_as_mv_it_reads_no_patterns_and_no_lists() {
    let sides = one_device();
    make(&sides.from, &["a.csv", "-"]);
    let run = |args: &[&str]| sides.pmove().called("mv").args(args).arg(&*sides.to).stdin("a.csv\n").run();
    run(&["*.csv"]).fails_with(1).stderr_is("mv: cannot stat '*.csv': No such file or directory\n");
    run(&["-"]).ok();
    assert_eq!((names(&sides.from), names(&sides.to)), (vec!["a.csv".into()], vec!["-".into()]));
}

#[test]
fn h62_a_pattern_without_a_match_is_an_error_unless_it_is_allowed() {
    let paths = ["a.csv", "d/b.csv"];
    let (output, names) = arrived(&paths, &["*.txt", "a.csv"]);
    output.fails_with(1).stderr_has("pmove: no match for pattern '*.txt'\n");
    assert_eq!(names, ["a.csv"]);
    let (output, names) = arrived(&paths, &["--allow-empty", "*.txt", "nosuchdir/*.csv", "-g", "x", "a.csv"]);
    output.ok().stderr_is("");
    assert_eq!(names, ["a.csv"]);
    arrived(&paths, &["--allow-empty", "gone"]).0.fails_with(1).stderr_has("cannot stat 'gone'");
    arrived(&paths, &["-g", "a[.csv"]).0.fails_with(1).stderr_has("invalid pattern 'a[.csv'");
}

#[test]
fn cli_a_pattern_needs_a_directory_to_move_to() {
    let sides = one_device();
    make(&sides.from, &["a.csv", "file"]);
    for to in ["file", "new"] {
        let output = sides.pmove().args(["*.csv", to]).run();
        output.fails_with(1).stderr_has(&format!("pmove: target '{to}': "));
    }
    assert_eq!(names(&sides.from), ["a.csv", "file"]);
}

#[test]
fn cli_a_pattern_leaves_the_target_directory_alone() {
    let sides = one_device();
    make(&sides.from, &["a.csv", "done/old.csv", "done/sub/older.csv", "in/b.csv"]);
    sides.pmove().args(["**/*.csv", "done"]).run().ok().stderr_is("");
    assert_eq!(names(&sides.from.join("done")), ["a.csv", "b.csv", "old.csv", "sub"]);
    sides.pmove().args(["*", "done"]).run().ok().stderr_is("");
    assert_eq!(names(&sides.from), ["done"]);
}

#[test]
fn cli_more_names_than_a_command_line_holds_match() {
    let sides = one_device();
    Tree::new().files(30_000, |i| (format!("{}{i:05}.csv", "x".repeat(100)), String::new())).build(&sides.from);
    sides.pmove().arg("*.csv").arg(&*sides.to).run().ok();
    assert_eq!((names(&sides.from).len(), names(&sides.to).len()), (0, 30_000));
}

/// Moves a list; the run, and what arrived.
fn listed(sides: &Sides, args: &[&str], list: impl AsRef<[u8]>) -> Output {
    sides.pmove().args(args).arg(&*sides.to).stdin(list).run()
}

#[test]
fn h65_lists_are_taken_as_they_come() {
    let paths = ["a", "b", "d/c", " spaced ", "*", "cr\r", "-", "-x", "#h"];
    for (args, list, expected) in [
        (&["-"][..], "a\nb\nd/c\n", &["a", "b", "c"][..]),
        (&["-"], "a\nb", &["a", "b"]),
        (&["-"], "\n\na\n\n\nb\n\n", &["a", "b"]),
        (&["-"], "", &[]),
        (&["-"], "\n\n", &[]),
        (&["--files-from", "-"], " spaced \n*\n", &[" spaced ", "*"]),
        (&["--files-from=-"], "cr\r\n-\n-x\n#h\n", &["#h", "-", "-x", "cr\r"]),
        (&["-0", "-"], "a\0b\0", &["a", "b"]),
        (&["--null", "--files-from", "-"], "a\0\0d/c", &["a", "c"]),
        (&["-0", "--files-from", "-", "b"], "a\0", &["a", "b"]),
        (&["-v", "-q", "-"], "./a\n.//b\n", &["a", "b"]),
    ] {
        for sides in everywhere() {
            make(&sides.from, &paths);
            listed(&sides, args, list).ok().stderr_is("").stdout_is("");
            assert_eq!(names(&sides.to), expected, "{list:?}");
        }
    }
}

#[test]
fn h65_a_list_of_another_system_is_not_guessed_at() {
    // A name may end in a carriage return. What such a list names is not there, and that is said.
    let sides = one_device();
    make(&sides.from, &["a", "b"]);
    let output = listed(&sides, &["-"], "a\r\nb\r\n");
    output.fails_with(1).stderr_has("pmove: cannot stat 'a'$'\\r': No such file or directory\n");
    assert_eq!(names(&sides.from), ["a", "b"]);
}

#[test]
fn h37_lists_hold_names_of_any_bytes() {
    for sides in everywhere() {
        let long = [b'x'; 255];
        let odd: [&[u8]; 5] = [b"new\nline", b"\xff\xfe", &long, b"\x1b[2J", "grün".as_bytes()];
        odd.iter().fold(Tree::new(), |tree, bytes| tree.file(tree::name(bytes), bytes)).build(&sides.from);
        let before = Snapshot::of(&*sides.from).without_root();
        listed(&sides, &["-0", "-"], odd.join(&0)).ok();
        assert_same(&before, &Snapshot::of(&*sides.to).without_root());
        assert!(names(&sides.from).is_empty());
    }
}

#[test]
fn cli_entries_that_cannot_be_names_are_named() {
    let sides = one_device();
    make(&sides.from, &["a", "b"]);
    let long = "y".repeat(256);
    let output = listed(&sides, &["-"], format!("a\n{long}\ngone\nnul\0l\nb\n"));
    output.fails_with(1).stderr_has(&format!("cannot stat '{long}': File name too long"));
    output.stderr_has("cannot stat 'gone'").stderr_has("invalid name in list").stderr_has("2 moved, 3 failed");
    assert_eq!(names(&sides.to), ["a", "b"]);
}

#[test]
fn cli_a_list_may_come_from_a_file_or_a_fifo() {
    let sides = one_device();
    make(&sides.from, &["a", "b", "c"]);
    fs::write(sides.from.join("list"), "a\nb\n").unwrap();
    sides.pmove().args(["--files-from", "list"]).arg(&*sides.to).run().ok();
    assert_eq!(names(&sides.to), ["a", "b"]);
    let script = "printf 'c\\n' | \"$0\" --files-from /dev/fd/0 \"$1\"";
    let pmove = Pmove::other("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_pmove")]).arg(&*sides.to);
    pmove.cwd(&sides.from).run().ok();
    assert_eq!(names(&sides.to), ["a", "b", "c"]);
}

#[test]
fn cli_parents_may_stand_before_what_is_in_them() {
    // As plain find prints them: what has gone with its directory counts as moved.
    for sides in everywhere() {
        make(&sides.from, &["d/a", "d/e/b", "f"]);
        listed(&sides, &["-"], "d\nd/a\nd/e\nd/e/b\nf\n").ok().stderr_is("");
        assert_eq!((names(&sides.from).len(), names(&sides.to)), (0, vec!["d".into(), "f".into()]));
        assert_eq!(names(&sides.to.join("d")), ["a", "e"]);
    }
    // And what find found does.
    for sides in everywhere() {
        make(&sides.from, &["d/a", "d/e/b", "f"]);
        let script = "find . -mindepth 1 -print0 | \"$0\" -0 - \"$1\"";
        let pmove = Pmove::other("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_pmove")]).arg(&*sides.to);
        pmove.cwd(&sides.from).run().ok().stderr_is("");
        assert_eq!((names(&sides.from).len(), names(&sides.to).len()), (0, 2));
    }
}

#[test]
fn cli_a_base_is_where_sources_are_looked_for() {
    for sides in everywhere() {
        make(&sides.from, &["in/a", "in/b.csv", "in/d/c.csv", "in/e", "b.csv"]);
        let absolute = sides.from.join("b.csv");
        let run = |args: &[&str], list: &str| sides.pmove().args(args).arg(&*sides.to).stdin(list).run();
        run(&["-C", "in", "a"], "").ok();
        run(&["-C", "in", "**/*.csv"], "").ok();
        run(&["--base=in", "-"], "e\n").ok();
        assert_eq!(names(&sides.to), ["a", "b.csv", "c.csv", "e"]);
        fs::remove_file(sides.to.join("b.csv")).unwrap();
        run(&["-C", "in", absolute.to_str().unwrap()], "").ok();
        assert_eq!(names(&sides.to), ["a", "b.csv", "c.csv", "e"]);
        run(&["-C", "nosuch", "a"], "").fails_with(1).stderr_has("No such file or directory");
        // DEST is not looked for there.
        make(&sides.from, &["in/x", "out/y"]);
        sides.pmove().args(["-C", "in", "x", "out"]).run().ok();
        assert_eq!(names(&sides.from.join("out")), ["x", "y"]);
    }
}

#[test]
fn a_directory_that_is_named_twice_is_told_once_that_it_cannot_go_into_itself() {
    for sides in everywhere() {
        Tree::new().dir("d").build(&sides.from);
        sides.pmove().called("mv").args(["d", "d", "d"]).run().fails_with(1).stderr_is(
            "mv: cannot move 'd' to a subdirectory of itself, 'd/d'\n\
             mv: warning: source directory 'd' specified more than once\n",
        );
    }
}
