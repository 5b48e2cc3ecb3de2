//! Hazards that belong to no promise alone: what other movers did to emptied directories, special files, prompts in
//! cron, exit statuses, memory, descriptors and names that they had given twice.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Stdio};

use common::fs::{ordinary_user, require_root};
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::trace::Strace;
use common::tree::Tree;
use promises::{across, back, empty, ended, everywhere, files, injected, names, one_device, ordinarily, wait_until};

#[test]
fn h21_directories_that_become_empty_stay_and_so_does_what_was_not_named() {
    let paths = ["in/a/x.csv", "in/a/y.csv", "in/b/c/z.csv", "in/b/c/left.txt", "in/b/.hidden", "in/w.csv"];
    let list = "in/a/x.csv\nin/a/y.csv\nin/b/c/z.csv\nin/w.csv\n";
    for sides in everywhere() {
        for (args, stdin) in [
            (&["in/**/*.csv"][..], ""),
            (&["-C", "in", "**/*.csv"], ""),
            (&["-"], list),
            (&["in/a/x.csv", "in/a/y.csv", "in/b/c/z.csv", "in/w.csv"], ""),
        ] {
            paths.iter().fold(Tree::new(), |tree, path| tree.file(path, path)).dir("in/void").build(&sides.from);
            sides.pmove().args(args).arg(&*sides.to).stdin(stdin).run().ok().stderr_is("");
            assert_eq!(names(&sides.to), ["w.csv", "x.csv", "y.csv", "z.csv"]);
            let left = Snapshot::of(&*sides.from);
            let left: Vec<_> = left.paths().map(|path| path.display().to_string()).collect();
            let stays = ["in/a", "in/b", "in/b/.hidden", "in/b/c", "in/b/c/left.txt", "in/void"];
            assert_eq!(left, [&[".", "in"], &stays[..]].concat());
            empty(&sides.to);
            empty(&sides.from);
        }
    }
}

/// Backups are not made yet: whoever asks for one must not get an overwrite without one.
#[test]
fn h22_a_backup_that_cannot_be_made_is_not_left_out() {
    for sides in everywhere() {
        Tree::new().file("f", "new").build(&sides.from);
        Tree::new().file("f", "old").build(&sides.to);
        for option in ["-b", "--backup", "--backup=numbered", "-S.bak", "--suffix=.bak"] {
            let output = sides.pmove().args([option, "f"]).arg(&*sides.to).run();
            let is_kept = files(&sides.to).values().any(|content| content == b"old");
            assert!(is_kept, "{option}\n{}", output.dump());
            assert!(output.code == Some(1) || names(&sides.to).len() == 2, "{option}\n{}", output.dump());
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h26_no_two_stages_have_one_name() {
    for limit in ["-n 1024", "-n 200"] {
        for sides in [across(), back()] {
            let tree =
                Tree::new().files(400, |i| (format!("f{i}"), format!("content {i}"))).fifo("p").symlink("l", "f");
            tree.files(60, |i| (format!("t{}/f{i}", i % 3), "x".into())).build(&sides.from);
            let whole = Snapshot::of(&*sides.from).without_root();
            let trace = Strace::new().only("openat,mkdirat,mknodat,symlinkat");
            let pmove = sides.pmove().args(["-j", "16", "*"]).arg(&*sides.to).limit(limit);
            let (output, calls) = trace.record(pmove);
            output.ok();
            assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
            let mut made = 0;
            for call in calls.iter().filter(|call| call.text.contains("O_CREAT")) {
                // Should two ever have one name, the kernel refuses the second.
                assert!(call.text.contains("O_EXCL") && call.text.contains("O_NOFOLLOW"), "{call:?}");
                made += 1;
            }
            assert!(made >= if limit == "-n 200" { 460 } else { 60 }, "{made} named files");
            // No name was tried that was taken but for the directory that runs of one user share.
            let taken: Vec<_> = calls.iter().filter(|call| call.text.contains("EEXIST")).collect();
            assert!(taken.iter().all(|call| call.text.contains("\".pmove-")), "{taken:?}");
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h33_owner_mode_times_and_attributes_are_given_to_what_is_open() {
    let calls = "chown,lchown,fchownat,chmod,fchmodat,?fchmodat2,utime,utimes,utimensat,futimesat,\
                 setxattr,lsetxattr,removexattr,lremovexattr,?setxattrat,truncate";
    for limit in ["-n 1024", "-n 200"] {
        for sides in [across(), back()] {
            Tree::everything().build(&sides.from);
            fs::create_dir(sides.from.join("tree")).unwrap();
            Tree::everything().build(sides.from.join("tree"));
            let pmove = sides.pmove().arg("*").arg(&*sides.to).limit(limit);
            let (output, calls) = Strace::new().only(calls).record(pmove);
            output.ok();
            for call in &calls {
                // A descriptor, a name in a directory that is held and that nobody else can enter, or a held
                // directory by way of /proc.
                let arguments = &call.text[1..];
                let by_descriptor = arguments.starts_with(|c: char| c.is_ascii_digit());
                let by_proc =
                    arguments.starts_with("\"/proc/self/fd/") || arguments.starts_with("AT_FDCWD, \"/proc/self/fd/");
                assert!(by_descriptor || by_proc, "{call:?}");
                let name =
                    arguments.split_once(", \"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
                assert!(by_proc || !name.contains('/'), "{call:?}");
                // fchmodat has no such flag; what it is for was made just before, in the stage directory.
                let may_follow = name.is_empty() || call.name == "fchmodat" || by_proc;
                assert!(may_follow || arguments.contains("AT_SYMLINK_NOFOLLOW"), "{call:?}");
            }
        }
    }
}

/// Starts a run whose standard input is a pipe that never ends, as some job runners have it.
fn with_endless_input(pmove: &Pmove) -> Child {
    let mut command = pmove.command();
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn h64_a_target_that_is_write_protected_is_no_question_without_a_terminal() {
    for sides in everywhere() {
        Tree::new().file("f", "new").file("g", "new").mode(0o444).file("t/x", "x").build(&sides.from);
        Tree::new().file("f", "old").mode(0o444).file("g", "old").mode(0).build(&sides.to);
        sides.give_away();
        let pmove = ordinarily(sides.pmove().args(["f", "g", "t"]).arg(&*sides.to));
        let mut running = with_endless_input(&pmove);
        assert_eq!(ended(&mut running).code(), Some(0));
        assert_eq!((files(&sides.to)["f"].clone(), files(&sides.to)["g"].clone()), (b"new".to_vec(), b"new".to_vec()));
        assert!(names(&sides.from).is_empty());
        drop(running.stdin.take());
    }
}

#[test]
fn h68_exit_statuses_are_few_and_say_whether_all_was_done() {
    for sides in everywhere() {
        Tree::new().file("there", "old").dir("held/x").build(&sides.to);
        let to = sides.to.display().to_string();
        let there = format!("{to}/there");
        let cases: [(&[&str], &str, i32); 18] = [
            (&["a", &to], "", 0),
            (&["-n", "there", &to], "", 0),
            (&["-", &to], "", 0),
            (&["-", &to], "a\nb\n", 0),
            (&["--allow-empty", "*.no", &to], "", 0),
            (&["--dry-run", "a", "there", &to], "", 0),
            (&["--help"], "", 0),
            (&["--version"], "", 0),
            (&["*.no", &to], "", 1),
            (&["gone", &to], "", 1),
            (&["a", "gone", "b", &to], "", 1),
            (&["-", &to], "a\ngone\nb\n", 1),
            (&["a", "b", &there], "", 1),
            (&["held", &to], "", 1),
            (&["a"], "", 1),
            (&[], "", 1),
            (&["--no-such-option", "a", &to], "", 1),
            (&["-j", "none", "a", &to], "", 1),
        ];
        for (args, list, code) in cases {
            Tree::new().file("a", "a").file("b", "b").file("there", "new").file("held/y", "y").build(&sides.from);
            let output = sides.pmove().args(args).stdin(list).run();
            output.fails_with(code);
            // What was not done is said, and nothing else is.
            assert_eq!(output.stderr.is_empty(), code == 0, "{}", output.dump());
            empty(&sides.from);
            for name in ["a", "b"] {
                fs::remove_file(sides.to.join(name)).ok();
            }
        }
    }
}

/// The most memory that it has held so far. KiB.
fn most_memory(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn h71_a_long_list_takes_no_more_memory_than_a_short_one() {
    for sides in [one_device(), across()] {
        (0..8).fold(Tree::new(), |tree, i| tree.file(format!("file{i}"), "x")).build(&sides.from);
        let mut running = with_endless_input(&sides.pmove().arg("-").arg(&*sides.to));
        let mut stdin = running.stdin.take().unwrap();
        // As long as names can be, and all of them unlike: what was kept of each would add up to 12 MB.
        let long = "n".repeat(240);
        let mut feed = |part: usize| {
            let names: Vec<String> = (0..10_000).map(|i| format!("{long}{part}{i:05}\n")).collect();
            stdin.write_all(names.concat().as_bytes()).unwrap();
            stdin.write_all(format!("file{part}\n").as_bytes()).unwrap();
            wait_until("the list is done so far", || sides.to.join(format!("file{part}")).exists());
        };
        // By then it has all that it takes to know by a few bits which names it has met.
        (0..3).for_each(&mut feed);
        let short = most_memory(&running);
        (3..8).for_each(&mut feed);
        let long = most_memory(&running);
        drop(stdin);
        assert_eq!(running.wait().unwrap().code(), Some(1));
        assert!(long - short < 6 << 10, "{short} KiB after 30,000 names, {long} KiB after 80,000");
    }
}

#[test]
fn h82_few_descriptors_are_enough_for_many_files_and_directories() {
    let soft = (across(), "-Sn 64");
    for (sides, limit) in everywhere().into_iter().zip(["-n 64", "-n 64", "-n 32"]).chain([soft]) {
        let tree = Tree::new().files(300, |i| (format!("d{:03}/f{i}", i % 150), format!("{i}")));
        let tree = tree.files(80, |i| (format!("t{}/{}/f{i}", i % 8, vec!["deep"; i % 40].join("/")), "x".into()));
        let link = |i| (format!("d{i:03}/link{i}"), format!("d{:03}/f{i}", i % 150));
        (0..20).map(link).fold(tree, |tree, (link, file)| tree.hard_link(link, file)).build(&sides.from);
        let dirs: Vec<String> = names(&sides.from).into_iter().filter(|name| name.starts_with('t')).collect();
        let whole: Vec<Snapshot> = dirs.iter().map(|name| Snapshot::of(sides.from.join(name))).collect();
        sides.pmove().args(["d*/*", "t*"]).arg(&*sides.to).limit(limit).run().ok().stderr_is("");
        let arrived = files(&sides.to);
        assert_eq!(arrived.len(), 320);
        for i in 0..300 {
            assert_eq!(arrived[&format!("f{i}")], i.to_string().into_bytes());
        }
        for i in 0..20 {
            assert_eq!(sides.to.join(format!("link{i}")).metadata().unwrap().nlink(), 2, "link{i}");
        }
        for (name, whole) in dirs.iter().zip(&whole) {
            assert_same(whole, &Snapshot::of(sides.to.join(name)));
        }
        sides.assert_no_litter();
    }
}

/// As on a machine with many cores, all of which are at work on one directory.
#[test]
#[ignore = "needs strace"]
fn h82_few_descriptors_are_enough_for_many_workers() {
    for sides in [across(), back()] {
        Tree::new().files(300, |i| (format!("t/d{}/f{i}", i % 100), "x".into())).build(&sides.from);
        let whole = Snapshot::of(&*sides.from).without_root();
        let pmove = injected(sides.pmove().args(["-j", "64", "t"]).arg(&*sides.to), &["utimensat:delay_enter=5ms"]);
        pmove.limit("-n 64").run().ok().stderr_is("");
        assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h64_a_target_of_somebody_else_is_no_question_either() {
    require_root();
    for sides in everywhere() {
        Tree::new().file("f", "new").build(&sides.from);
        sides.give_away();
        Tree::new().file("f", "old").mode(0o600).build(&sides.to);
        let mut running = with_endless_input(&sides.pmove().arg("f").arg(&*sides.to).user(ordinary_user()));
        assert_eq!(ended(&mut running).code(), Some(0));
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"new");
        let metadata = sides.to.join("f").metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o777), (ordinary_user().0, 0o644));
    }
}
