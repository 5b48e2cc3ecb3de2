//! P5: exit 0 means that everything asked for is done. Each failure is named with path, step and cause; the others
//! still move.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::fs::{must, ordinary_user, require_root};
use common::run::Output;
use common::tree::Tree;
use promises::{Sides, across, back, everywhere, give_away, injected, names, one_device, ordinarily};

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Every line of standard error, sorted: failures are told as they happen.
fn told(output: &Output) -> Vec<String> {
    let mut lines: Vec<String> = output.stderr_text().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A list of ten thousand names, six of which cannot be moved by an ordinary user.
#[test]
fn p5_six_failures_among_ten_thousand_are_six_lines() {
    for sides in [across(), back()] {
        let count = 10_000;
        let path = |i: usize| if i < 10 { format!("readonly/f{i}") } else { format!("d/f{i}") };
        Tree::new().files(count, |i| (path(i), i.to_string())).file("again/f77", "").build(&sides.from);
        Tree::new().file("f20/x", "").build(&sides.to);
        let to = sides.to.display().to_string();
        let long = "x".repeat(256);
        let mut list: Vec<String> = (9..count).map(path).filter(|path| path != "d/f50").collect();
        list.insert(5000, format!("d/{long}"));
        list.insert(7000, "d/gone".into());
        list.push("again/f77".into());
        sides.give_away();
        chmod(sides.from.join("d/f30"), 0);
        chmod(sides.from.join("readonly"), 0o555);
        let output = ordinarily(sides.pmove().args(["--files-from", "-"]).arg(&*sides.to).stdin(list.join("\n")))
            .timeout(Duration::from_mins(3))
            .run();
        output.fails_with(1).stdout_is("");
        let mut expected = vec![
            "pmove: cannot open 'd/f30' for reading: Permission denied".to_owned(),
            format!("pmove: cannot overwrite directory '{to}/f20' with non-directory 'd/f20'"),
            format!("pmove: cannot stat 'd/{long}': File name too long"),
            "pmove: cannot stat 'd/gone': No such file or directory".to_owned(),
            "pmove: cannot remove 'readonly/f9': Permission denied".to_owned(),
            format!("pmove: will not overwrite just-created '{to}/f77' with 'again/f77'"),
            "pmove: 9987 moved, 6 failed".to_owned(),
        ];
        expected.sort();
        assert_eq!(told(&output), expected);
        assert_eq!(names(&sides.from.join("d")), ["f20", "f30", "f50"]);
        assert_eq!(names(&sides.to).len(), 9988);
        assert_eq!(names(&sides.from.join("readonly")).len(), 10);
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p5_what_only_root_can_set_up_is_named_too() {
    require_root();
    for sides in [one_device(), across(), back()] {
        let path = |i: usize| format!("d/f{i}");
        Tree::new().files(500, path_and(path)).file("sticky/theirs", "t").file("immutable", "i").build(&sides.from);
        let tree = Tree::new().file("tree/a", "a").file("tree/deep/immutable", "i");
        tree.build(&sides.from);
        sides.give_away();
        chown(sides.from.join("sticky"), Some(0), Some(0)).unwrap();
        chown(sides.from.join("sticky/theirs"), Some(0), Some(0)).unwrap();
        chmod(sides.from.join("sticky"), 0o1777);
        // tmpfs keeps no such flags before Linux 6.6.
        let pinned = ["immutable", "tree/deep/immutable"].map(|name| Pinned::new(&sides, name));
        let operands = ["d/*", "sticky/theirs", "immutable", "tree"];
        let output = ordinarily(sides.pmove().args(operands).arg(&*sides.to)).run();
        output.fails_with(1);
        let lines = told(&output);
        // One rename moves a whole directory, whatever is in it.
        let is_renamed = sides.to.join("tree/deep/immutable").exists();
        assert_eq!(lines.len(), if is_renamed { 3 } else { 4 }, "{}", output.dump());
        for (name, cause) in [
            ("'sticky/theirs'", "Operation not permitted"),
            ("'immutable'", "Operation not permitted"),
            ("'tree", "Operation not permitted"),
        ] {
            let is_named = lines.iter().any(|line| line.contains(name) && line.ends_with(cause));
            assert!(is_named || (is_renamed && name == "'tree"), "{name}: {}", output.dump());
        }
        assert_eq!(names(&sides.to).iter().filter(|name| name.starts_with('f')).count(), 500);
        assert!(sides.from.join("sticky/theirs").exists() && sides.from.join("immutable").exists());
        assert!(!sides.to.join("theirs").exists() && !sides.to.join("immutable").exists());
        sides.assert_no_litter();
        drop(pinned);
    }
}

fn path_and(path: impl Fn(usize) -> String) -> impl Fn(usize) -> (String, String) {
    move |i| (path(i), String::new())
}

/// A file that cannot be changed or removed, until this is dropped, wherever it is then.
struct Pinned([std::path::PathBuf; 2]);

impl Pinned {
    fn new(sides: &Sides, name: &str) -> Self {
        must(Command::new("chattr").arg("+i").arg(sides.from.join(name)));
        Self([sides.from.join(name), sides.to.join(name)])
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for path in self.0.iter().filter(|path| path.exists()) {
            Command::new("chattr").args(["-i", "--"]).arg(path).status().ok();
        }
    }
}

#[test]
fn p5_a_target_that_cannot_be_written_is_named() {
    for sides in everywhere() {
        Tree::new().file("a", "a").file("b", "b").file("t/c", "c").build(&sides.from);
        sides.give_away();
        chmod(&*sides.to, 0o555);
        let output = ordinarily(sides.pmove().args(["a", "b", "t"]).arg(&*sides.to)).run();
        output.fails_with(1);
        for name in ["a", "b", "t"] {
            let to = format!("'{}/{name}': Permission denied", sides.to.display());
            assert!(told(&output).iter().any(|line| line.ends_with(&to)), "{name}\n{}", output.dump());
        }
        assert_eq!(names(&sides.from), ["a", "b", "t"]);
        chmod(&*sides.to, 0o755);
        assert!(names(&sides.to).is_empty());
    }
}

#[test]
fn p5_a_source_directory_that_cannot_be_written_is_named_before_copying() {
    for sides in everywhere() {
        Tree::new().file("d/a", "a").file("d/t/b", "b").build(&sides.from);
        sides.give_away();
        chmod(sides.from.join("d"), 0o555);
        let output = ordinarily(sides.pmove().args(["d/a", "d/t"]).arg(&*sides.to)).run();
        output.fails_with(1).stderr_has("'d/a'").stderr_has("'d/t'").stderr_has("Permission denied");
        assert!(names(&sides.to).is_empty());
        chmod(sides.from.join("d"), 0o755);
    }
}

#[test]
fn p5_a_directory_that_a_pattern_cannot_read_is_named() {
    for sides in everywhere() {
        Tree::new().file("d/a.csv", "a").file("e/b.csv", "b").file("f/deep/c.csv", "c").build(&sides.from);
        sides.give_away();
        chmod(sides.from.join("e"), 0);
        let output = ordinarily(sides.pmove().arg("**/*.csv").arg(&*sides.to)).run();
        output.fails_with(1).stderr_has("cannot read directory 'e': Permission denied");
        assert_eq!(names(&sides.to), ["a.csv", "c.csv"]);
        chmod(sides.from.join("e"), 0o755);
    }
}

/// What fails, and what must be said of it.
const FAILURES: &[(&str, &str)] = &[
    ("fsync,syncfs:error=EIO", "durable: Input/output error; 'f' stays"),
    ("linkat:error=EPERM", "cannot create regular file 'TO/f': Operation not permitted"),
    ("unlinkat:error=EROFS:when=1", "cannot remove 'f': Read-only file system"),
    ("copy_file_range,splice,pwrite64:error=ENOSPC", "error writing 'TO/f': No space left on device"),
    ("utimensat:error=EIO", "preserving times for 'TO/f': Input/output error"),
];

#[test]
#[ignore = "needs strace"]
fn p5_each_failing_step_is_named() {
    for (inject, expected) in FAILURES {
        let sides = back();
        Tree::new().file("f", "content").build(&sides.from);
        let output = injected(sides.pmove().arg("f").arg(&*sides.to), &[inject]).run();
        output.fails_with(1).stderr_has(&expected.replace("TO", &sides.to.display().to_string()));
        assert!(sides.from.join("f").exists());
    }
}

#[test]
#[ignore = "needs strace"]
fn h76_a_listing_that_fails_is_no_empty_directory() {
    for sides in [across(), back()] {
        Tree::new().files(20, |i| (format!("t/sub/f{i}"), "x".into())).symlink("t/l", "x").build(&sides.from);
        let before = common::snapshot::Snapshot::of(sides.from.join("t"));
        for inject in ["getdents64:error=EIO", "readlinkat:error=EIO", "getdents64:error=EIO:when=2"] {
            let output = injected(sides.pmove().args(["-j", "1", "t"]).arg(&*sides.to), &[inject]).run();
            output.fails_with(1).stderr_has("Input/output error");
            common::snapshot::assert_same(&before, &common::snapshot::Snapshot::of(sides.from.join("t")));
            assert!(!sides.to.join("t").exists(), "{inject}");
        }
        let output = injected(sides.pmove().arg("t/sub/*").arg(&*sides.to), &["getdents64:error=EIO"]).run();
        output.fails_with(1).stderr_has("Input/output error");
    }
}

#[test]
fn p5_a_list_that_cannot_be_read_is_named() {
    let sides = one_device();
    Tree::new().file("a", "a").dir("d").build(&sides.from);
    let run = |list: &str| sides.pmove().args(["--files-from", list]).arg(&*sides.to).run();
    run("nosuch").fails_with(1).stderr_is("pmove: cannot read list 'nosuch': No such file or directory\n");
    run("d").fails_with(1).stderr_is("pmove: cannot read list 'd': Is a directory\n");
    assert_eq!(names(&sides.from), ["a", "d"]);
}

#[test]
fn p5_what_was_not_begun_is_counted() {
    for sides in everywhere() {
        Tree::new().files(50, |i| (format!("f{i}"), "x".into())).build(&sides.from);
        let missing = (0..9).map(|i| format!("gone{i}"));
        let moved = (0..50).map(|i| format!("f{i}"));
        let pmove = sides.pmove().args(["-j", "1", "--max-errors", "3"]).args(missing).args(moved).arg(&*sides.to);
        let output = pmove.run();
        output.fails_with(1);
        let lines = told(&output);
        assert_eq!(lines.iter().filter(|line| line.contains("cannot stat 'gone")).count(), 3, "{}", output.dump());
        assert_eq!(names(&sides.from).len(), 50, "{}", output.dump());
        output.stderr_has("3 failed").stderr_has("not reached");
    }
}

#[test]
fn p5_a_closed_door_on_the_way_is_named() {
    for sides in everywhere() {
        Tree::new().file("locked/d/a", "a").file("b", "b").build(&sides.from);
        sides.give_away();
        chmod(sides.from.join("locked"), 0);
        let output = ordinarily(sides.pmove().args(["locked/d/a", "b"]).arg(&*sides.to)).run();
        output.fails_with(1).stderr_has("pmove: cannot stat 'locked/d/a': Permission denied\n");
        assert_eq!(names(&sides.to), ["b"]);
        chmod(sides.from.join("locked"), 0o755);
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p5_a_target_of_another_user_in_a_sticky_directory_is_named() {
    require_root();
    for sides in everywhere() {
        Tree::new().file("f", "new").build(&sides.from);
        give_away(&sides.from);
        Tree::new().file("f", "old").build(&sides.to);
        chmod(&*sides.to, 0o1777);
        let output = sides.pmove().arg("f").arg(&*sides.to).user(ordinary_user()).run();
        output.fails_with(1).stderr_has(&format!("'{}/f': Operation not permitted", sides.to.display()));
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"old");
        assert_eq!(fs::read(sides.from.join("f")).unwrap(), b"new");
        sides.assert_no_litter();
    }
}
