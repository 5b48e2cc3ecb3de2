//! Tests of the fixtures themselves: a snapshot that misses a change, or a run that cannot fail, would make
//! every other test worth nothing.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::fs::{copy, must, other, scratch};
use common::run::Pmove;
use common::snapshot::{Content, Snapshot, assert_same};
use common::trace::{Strace, counts};
use common::tree::{self, Tree, name, set_mtime};
use rustix::fs::XattrFlags;
use rustix::process::Signal;

#[test]
fn a_copy_by_cp_is_the_same_in_everything() {
    let dir = scratch();
    fs::create_dir(dir.join("src")).unwrap();
    Tree::everything().build(dir.join("src"));
    let before = Snapshot::of(dir.join("src"));
    copy(&dir.join("src"), &dir.join("dst"));
    assert_same(&before, &Snapshot::of(dir.join("dst")));
    assert_same(&before, &Snapshot::of(dir.join("src")));
}

#[test]
fn the_builder_makes_what_was_asked_for() {
    let dir = scratch();
    Tree::everything().build(&dir);
    let snapshot = Snapshot::of(&dir);
    assert_eq!(snapshot.len(), 17, "{:?}", snapshot.paths().collect::<Vec<_>>());
    let entry = |path: &str| snapshot.get(path).unwrap();

    let a = entry("a.csv");
    assert_eq!((a.mode, a.mtime, a.size), (0o600, (1_000_000_000, 123_456_789), 1));
    assert_eq!(a.content, Content::Whole(b"x".to_vec()));
    assert_eq!(a.xattrs.values().collect::<Vec<_>>(), [b"v"]);
    for path in ["a.csv", "b", "d/c"] {
        assert_eq!(entry(path).link_group.as_deref(), Some(Path::new("a.csv")));
    }
    assert_eq!(entry("set-id").mode, 0o6755);
    assert_eq!((entry("d").mode, entry("d").mtime), (0o2750, (1, 1)));
    assert_eq!(entry("d/deep").mode, 0o755);
    // The mask is what the group bits show.
    assert_eq!(entry("acl").mode, 0o660);
    assert_eq!(entry("l").mtime, (-5, 999_999_999));
    assert_eq!(entry("dangling").target.as_deref(), Some(&*name(b"no\xff\nwhere")));
    assert_eq!(entry("empty").content, Content::Whole(Vec::new()));
    let end = 10 << 20;
    assert_eq!(entry("big").data.as_deref(), Some(&[(4 << 20, (4 << 20) + 4096), (end - 4096, end)][..]));
    assert!(snapshot.get(name(b"bytes \xff\n\x1b")).is_some());
}

#[test]
#[ignore = "needs setfacl"]
fn acls_are_those_that_setfacl_makes() {
    let dir = scratch();
    let tree = Tree::new().file("f", "").dir("d");
    tree.build(&dir);
    must(Command::new("setfacl").args(["-m", "u:1000:r--,g:5:rw-,m::rwx,o::-"]).arg(dir.join("f")));
    must(Command::new("setfacl").args(["-d", "-m", "u::rwx,g::r-x,u:7:rwx,o::-"]).arg(dir.join("d")));
    let theirs = Snapshot::of(&dir).without_root().edit(|_, entry| entry.mtime = (0, 0));

    let dir = scratch();
    let tree = Tree::new()
        .file("f", "")
        .acl("u::rw-,u:1000:r--,g::r--,g:5:rw-,m::rwx,o::---")
        .dir("d")
        .default_acl("u::rwx,u:7:rwx,g::r-x,m::rwx,o::---");
    tree.build(&dir);
    assert_same(&theirs, &Snapshot::of(&dir).without_root().edit(|_, entry| entry.mtime = (0, 0)));
}

/// A change to one file of the copy.
type Change = fn(&Path);

/// Each changes one thing, which is named as the snapshot's report must name it. Times are put back.
const CHANGES: &[(&str, &str, Change)] = &[
    ("a.csv", "content: \"x\" → \"y\"", |f| fs::write(f, "y").unwrap()),
    ("d/deep/f", "content: digest", |f| open(f).write_all_at(&[8], 99_999).unwrap()),
    ("d/deep/f", "size: 100000 → 100001", |f| open(f).set_len(100_001).unwrap()),
    ("set-id", "mode: 6755 → 2755", |f| chmod(f, 0o2755)),
    ("d", "mode: 2750 → 2751", |f| chmod(f, 0o2751)),
    ("a.csv", "mtime: 1000000000.123456789 → 1000000000.123456788", |f| {
        set_mtime(f, 1_000_000_000, 123_456_788).unwrap();
    }),
    ("d", "mtime: 1.000000001 → 1.000000002", |f| set_mtime(f, 1, 2).unwrap()),
    ("l", "mtime: -5.999999999 → -5.999999998", |f| set_mtime(f, -5, 999_999_998).unwrap()),
    ("a.csv", "xattrs: \"user.k\"=\"v\" → \"user.k\"=\"w\"", |f| {
        rustix::fs::setxattr(f, "user.k", b"w", XattrFlags::REPLACE).unwrap();
    }),
    ("d", "xattrs: \"user.on\"=\"dir\" → ", |f| rustix::fs::removexattr(f, "user.on").unwrap()),
    ("acl", "xattrs: \"system.posix_acl_access\"=", |f| {
        let acl = tree::acl("u::rw-,u:1001:r--,g::r--,m::rw-,o::---");
        rustix::fs::setxattr(f, tree::ACL_ACCESS, &acl, XattrFlags::REPLACE).unwrap();
    }),
    ("d/default", "xattrs: \"system.posix_acl_default\"=", |f| {
        rustix::fs::removexattr(f, tree::ACL_DEFAULT).unwrap();
    }),
    ("b", "link group: Some(\"a.csv\") → None", |f| {
        fs::copy(f, f.with_extension("new")).unwrap();
        fs::rename(f.with_extension("new"), f).unwrap();
    }),
    ("big", "data: Some([(4194304, 4198400), (10481664, 10485760)]) → Some([(0, 4096), ", |f| {
        open(f).write_all_at(&[0], 0).unwrap();
    }),
    ("dangling", "target: Some(\"no\\xFF\\nwhere\") → Some(\"elsewhere\")", |f| {
        fs::remove_file(f).unwrap();
        symlink("elsewhere", f).unwrap();
    }),
    ("p", "kind: Fifo → RegularFile", |f| {
        fs::remove_file(f).unwrap();
        fs::write(f, "").unwrap();
    }),
    ("empty", "- \"empty\" (RegularFile) only on the left", |f| fs::remove_file(f).unwrap()),
    ("new", "+ \"new\" (RegularFile) only on the right", |f| fs::write(f, "").unwrap()),
];

fn open(path: &Path) -> fs::File {
    OpenOptions::new().write(true).open(path).unwrap()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_snapshot_sees_every_single_change() {
    let dir = scratch();
    fs::create_dir(dir.join("src")).unwrap();
    Tree::everything().build(dir.join("src"));
    for (n, &(path, expected, change)) in CHANGES.iter().enumerate() {
        let changed = dir.join(n.to_string());
        copy(&dir.join("src"), &changed);
        let (before, file) = (Snapshot::of(&changed), changed.join(path));
        change(&file);
        let after = Snapshot::of(&changed);
        assert!(before != after, "not seen: {expected}");
        let diff = before.diff(&after);
        assert!(diff.contains(path) && diff.contains(expected), "expected {expected} of {path}, got\n{diff}");
        let report = panic_of(|| assert_same(&before, &after));
        assert!(report.contains(expected), "{report}");
    }
}

#[test]
fn a_filled_hole_is_no_difference_without_holes() {
    let dir = scratch();
    Tree::new().sparse("f", 1 << 20, &[(0, b"start")]).mtime(1, 0).build(&dir);
    let before = Snapshot::of(dir.join("f"));
    open(&dir.join("f")).write_all_at(&[0; 8192], 65536).unwrap();
    set_mtime(&dir.join("f"), 1, 0).unwrap();
    let after = Snapshot::of(dir.join("f"));
    assert_ne!(before, after);
    assert_same(&before.without_holes(), &after.without_holes());
}

#[test]
fn a_snapshot_of_a_link_or_a_file_is_of_itself() {
    let dir = scratch();
    Tree::new().file("d/f", "x").symlink("l", "d").build(&dir);
    assert_eq!(Snapshot::of(dir.join("l")).get(".").unwrap().target.as_deref(), Some(Path::new("d")));
    assert_eq!(Snapshot::of(dir.join("l")).len(), 1);
    assert_eq!(Snapshot::of(dir.join("d/f")).get(".").unwrap().size, 1);
}

#[test]
fn h79_snapshots_go_deeper_than_any_path() {
    let dir = scratch();
    tree::nest(&dir, "d", 5000).unwrap();
    let snapshot = Snapshot::of(&dir);
    assert_eq!(snapshot.len(), 5001);
    let kept = dir.to_owned();
    drop(dir);
    assert!(!kept.exists(), "a deep tree is removed, too");
}

#[test]
fn the_other_file_system_is_another_one() {
    let (here, there) = (scratch(), other());
    assert_ne!(here.metadata().unwrap().dev(), there.metadata().unwrap().dev());
    Tree::new().file("f", "x").build(&here);
    let error = fs::rename(here.join("f"), there.join("f")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::CrossesDevices);
}

/// What `test` panics with. Its message on stderr is the harness's to capture.
fn panic_of(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("expected a panic");
    panic.downcast_ref::<String>().expect("a formatted message").clone()
}

fn shell(script: &str) -> Pmove {
    Pmove::other("/bin/sh").args(["-c", script, "shell"])
}

#[test]
fn runs_are_hermetic() {
    let dir = scratch();
    let output = shell("env; umask; pwd; cat; ulimit -n; echo \"$1\" >&2; exit 3");
    let output = output.arg("one two").cwd(&dir).stdin("in\n").umask(0o027).limit("-n 77").env("K", "v").run();
    output.fails_with(3).stderr_is("one two\n").stderr_has("two");
    let text = output.stdout_text();
    let (env, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains('='));
    assert_eq!(rest, ["0027", dir.to_str().unwrap(), "in", "77"]);
    for line in env {
        let name = line.split('=').next().unwrap();
        assert!(["LC_ALL", "TZ", "PATH", "K", "PWD", "OLDPWD", "_", "SHLVL"].contains(&name), "{line}");
    }
}

#[test]
fn pmove_is_found_and_runs_under_another_name() {
    let dir = scratch();
    Tree::new().file("a", "x").build(&dir);
    Pmove::new().args(["a", "b"]).cwd(&dir).run().ok().stderr_is("").stdout_is("");
    assert_eq!(fs::read(dir.join("b")).unwrap(), b"x");
    let link = Pmove::other("/bin/sh").called("mv").args(["-c", "echo \"$0\""]);
    assert!(link.run().ok().stdout_text().ends_with("/mv\n"));
}

#[test]
fn a_failed_expectation_shows_everything() {
    let dir = scratch();
    Tree::new().file("d/f", "12345").symlink("l", "d").build(&dir);
    let output = shell("echo out; echo err >&2; exit 1").cwd(&dir).run();
    let reports = [
        panic_of(|| _ = output.ok()),
        panic_of(|| _ = output.stderr_is("er")),
        panic_of(|| _ = output.stdout_is("ou")),
        panic_of(|| _ = output.stderr_has("out")),
        panic_of(|| _ = output.dies_by(Signal::KILL)),
    ];
    for report in reports {
        for part in ["echo out", "exit status: Some(1)", "\nout\n", "\nerr\n", "\"d/f\"", "\"l\" -> \"d\""] {
            assert!(report.contains(part), "{part} is missing in\n{report}");
        }
    }
}

#[test]
fn what_takes_too_long_is_killed_and_fails() {
    let run = || drop(shell("sleep 60 & sleep 60").timeout(Duration::from_millis(100)).run());
    assert!(panic_of(run).contains("took longer than 100ms and was killed"));
    let left_behind = || drop(shell("sleep 60 &").timeout(Duration::from_millis(100)).run());
    assert!(panic_of(left_behind).contains("was killed"));
    let mut running = shell("kill -STOP $$; exit 0").spawn();
    assert!(running.is_running());
    running.signal(Signal::KILL);
    running.wait().dies_by(Signal::KILL);
}

#[test]
#[ignore = "needs strace"]
fn strace_counts_records_and_injects() {
    let dir = scratch();
    Tree::new().files(3, |i| (format!("f{i}"), String::new())).build(&dir);
    let cat = || Pmove::other("cat").args(["f0", "f1", "f2"]).cwd(&dir);
    let (output, counted) = Strace::new().count(cat());
    output.ok();
    let (_, calls) = Strace::new().record(cat());
    let recorded = counts(&calls);
    assert_eq!(counted.of("openat"), recorded.of("openat"));
    assert!(recorded.of("openat") >= 3 && recorded.total() > recorded.of("openat"));
    let opened = calls.iter().filter(|call| call.text.starts_with("(AT_FDCWD, \"f") && call.text.contains(") = "));
    assert_eq!(opened.count(), 3, "{calls:?}");

    let (output, calls) = Strace::new().only("openat,read").inject("openat:error=EIO").record(cat());
    output.fails_with(127);
    assert!(calls.iter().all(|call| ["openat", "read"].contains(&&*call.name)));
    assert!(calls.iter().any(|call| call.text.contains("EIO") && call.text.contains("INJECTED")), "{calls:?}");
}

#[test]
#[ignore = "needs strace"]
fn interrupted_calls_are_recorded_whole() {
    let dir = scratch();
    let (output, calls) = Strace::new().only("wait4,execve").record(shell("sleep 0.1; true").cwd(&dir));
    output.ok();
    let wait = calls.iter().find(|call| call.name == "wait4").expect("the shell waits for sleep");
    assert!(wait.text.starts_with("(-1, ") && wait.text.contains(") = "), "{wait:?}");
}
