//! Content and properties on odd file systems: write errors that come late, sizes and holes that are wrong, short counts,
//! owners, modes, times and attributes that cannot be kept.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod fuse;
mod promises;

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::trace::Strace;
use common::tree::Tree;
use fuse::odd::{Odd, pmove};
use fuse::{Fault, Holes, Op, Quirks};
use promises::{injected, litter, names};
use rustix::io::Errno;

fn content(n: usize) -> Vec<u8> {
    (0..n).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

#[test]
#[ignore = "needs root and FUSE"]
fn h59_what_is_lost_when_it_is_closed_or_synced_keeps_its_source() {
    for (fsync_works, full) in [(true, Errno::NOSPC), (true, Errno::DQUOT), (false, Errno::DQUOT), (false, Errno::IO)] {
        for sync in ["auto", "none"] {
            let odd = Odd::new(Quirks { room: 100_000, full, fsync_works, ..Quirks::default() });
            Tree::new().file("a", content(60_000)).file("d/b", content(70_000)).build(&odd.outside);
            Tree::new().file("d/c", "c").build(&odd.outside);
            let whole = Snapshot::of(odd.outside.join("d"));
            pmove(&odd.outside, &["--sync", sync, "a"], &odd.to).ok();
            let output = pmove(&odd.outside, &["--sync", sync, "d"], &odd.to);
            output.fails_with(1).stderr_has("/to/d");
            assert_same(&whole, &Snapshot::of(odd.outside.join("d")));
            assert_eq!(fs::read(odd.to.join("a")).unwrap(), content(60_000));
            assert_eq!(names(&odd.to), ["a"], "{}", output.dump());
            // The same for a file alone, where something is at the target.
            Tree::new().file("e", content(70_000)).build(&odd.outside);
            Tree::new().file("e", "old").build(&odd.to);
            pmove(&odd.outside, &["--sync", sync, "e"], &odd.to).fails_with(1).stderr_has("/to/e");
            assert_eq!(fs::read(odd.outside.join("e")).unwrap(), content(70_000));
            assert_eq!(fs::read(odd.to.join("e")).unwrap(), b"old");
            odd.disk.set(|quirks| quirks.room = u64::MAX);
            pmove(&odd.outside, &["d", "e"], &odd.to).ok();
            assert_same(&whole, &Snapshot::of(odd.to.join("d")));
            odd.assert_no_litter();
        }
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h59_an_error_of_close_alone_is_heard() {
    for sync in ["auto", "none"] {
        for source in ["f", "d"] {
            let odd = Odd::new(Quirks::faults([Fault::on(Op::Flush, Errno::DQUOT)]));
            Tree::new().file("f", "content").file("d/g", "deep").build(&odd.outside);
            let whole = Snapshot::of(&*odd.outside);
            let output = pmove(&odd.outside, &["--sync", sync, source], &odd.to);
            output.fails_with(1).stderr_has("Disk quota exceeded");
            assert_same(&whole, &Snapshot::of(&*odd.outside));
            assert!(names(&odd.to).is_empty(), "{}", output.dump());
        }
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h57_a_file_that_is_too_long_stays_and_the_others_move() {
    let odd = Odd::new(Quirks { most_bytes: 100_000, ..Quirks::default() });
    let tree = Tree::new().file("long", content(100_001)).sparse("sparse", 1 << 33, &[(0, b"data")]).file("d/x", "x");
    tree.file("d/long", content(200_000)).build(&odd.outside);
    let whole = Snapshot::of(&*odd.outside).without_root();
    Tree::new().file("fits", content(100_000)).build(&odd.outside);
    let output = pmove(&odd.outside, &["long", "fits", "sparse", "d"], &odd.to);
    output.fails_with(1).stderr_has("File too large").stderr_has("1 moved, 3 failed");
    assert_same(&whole, &Snapshot::of(&*odd.outside).without_root());
    assert_eq!(names(&odd.to), ["fits"], "{}", output.dump());
    assert_eq!(fs::read(odd.to.join("fits")).unwrap(), content(100_000));
}

#[test]
#[ignore = "needs root and FUSE"]
fn h50_files_that_seem_empty_arrive_with_what_is_in_them() {
    let odd = Odd::new(Quirks { sizeless: true, ..Quirks::default() });
    Tree::new().file("f", content(700_000)).file("d/g", "deep").file("empty", "").build(&odd.from);
    pmove(&odd.from, &["f", "d", "empty"], &odd.outside).ok();
    assert_eq!(fs::read(odd.outside.join("f")).unwrap(), content(700_000));
    assert_eq!(fs::read(odd.outside.join("d/g")).unwrap(), b"deep");
    assert_eq!(fs::read(odd.outside.join("empty")).unwrap(), b"");
    assert!(names(&odd.from).is_empty());
}

#[test]
#[ignore = "needs root and FUSE"]
fn h53_a_file_that_seems_all_hole_but_has_blocks_is_read() {
    let odd = Odd::new(Quirks { holes: Holes::Everywhere, ..Quirks::default() });
    Tree::new().file("f", content(700_000)).file("d/g", content(5000)).build(&odd.from);
    pmove(&odd.from, &["f", "d"], &odd.outside).ok();
    assert!(odd.disk.count(Op::Seek) > 0, "nobody has asked for holes");
    assert_eq!(fs::read(odd.outside.join("f")).unwrap(), content(700_000));
    assert_eq!(fs::read(odd.outside.join("d/g")).unwrap(), content(5000));
}

#[test]
#[ignore = "needs root, FUSE and strace"]
fn h59_short_reads_and_writes_are_gone_on_from() {
    let odd = Odd::new(Quirks { slice: 1000, ..Quirks::default() });
    for faults in [&["ioctl:error=ENOTTY"][..], &["copy_file_range:error=EXDEV", "splice:error=EINVAL"]] {
        for (from, to) in odd.ways() {
            Tree::new().file("f", content(50_500)).file("d/g", content(3001)).build(from);
            injected(Pmove::new().args(["f", "d"]).arg(to).cwd(from), faults).run().ok();
            assert_eq!(fs::read(to.join("f")).unwrap(), content(50_500));
            assert_eq!(fs::read(to.join("d/g")).unwrap(), content(3001));
            odd.clear();
        }
    }
}

#[test]
#[ignore = "needs root, FUSE and strace"]
fn h52_no_call_asks_for_a_gigabyte_or_more() {
    let odd = Odd::new(Quirks::faults([Fault::on(Op::Read, Errno::IO)]));
    // The file system says that all of it is there, so calls are as long as they get. None comes to pass.
    fs::File::create(odd.from.join("huge")).unwrap().set_len(5 << 30).unwrap();
    let strace = Strace::new().only("copy_file_range,splice");
    let (output, calls) = strace.record(Pmove::new().arg("huge").arg(&*odd.outside).cwd(&odd.from));
    output.fails_with(1).stderr_has("error reading 'huge'");
    for call in ["copy_file_range", "splice"] {
        // Both have it in the fifth place: from, offset, to, offset, length, flags.
        let length = |text: &str| text.split(") = ").next()?.split(", ").nth(4)?.parse::<u64>().ok();
        let lengths = calls.iter().filter(|one| one.name == call).filter_map(|one| length(&one.text));
        let longest = lengths.max().unwrap_or_else(|| panic!("{call} is not among {calls:?}"));
        assert!((1 << 18..=1 << 30).contains(&longest), "{longest}");
    }
    assert_eq!(fs::metadata(odd.from.join("huge")).unwrap().len(), 5 << 30);
}

#[test]
#[ignore = "needs root and FUSE"]
fn h47_without_unnamed_files_stages_have_names_and_leave_none() {
    // The kernel says EOPNOTSUPP for a server that has no FUSE_TMPFILE.
    let odd = Odd::new(Quirks::default());
    Tree::everything().build(&odd.outside);
    let whole = Snapshot::of(&*odd.outside).without_root().without_holes();
    pmove(&odd.outside, &["*"], &odd.to).ok().stderr_is("");
    assert_same(&whole, &Snapshot::of(&odd.to).without_root().without_holes());
    odd.assert_no_litter();
}

#[test]
#[ignore = "needs root and FUSE"]
fn h40_owners_that_cannot_be_kept_fail_nothing() {
    for error in [Errno::PERM, Errno::ACCESS, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL] {
        let odd = Odd::new(Quirks::faults([Fault::on(Op::Chown, error)]));
        let tree = Tree::new().file("f", "content").owner(1000, 1000).mode(0o4755).symlink("l", "f").owner(1000, 1000);
        tree.dir("d")
            .owner(1000, 1000)
            .file("d/g", "g")
            .owner(1000, 1000)
            .fifo("p")
            .owner(1000, 1000)
            .build(&odd.outside);
        pmove(&odd.outside, &["f", "l", "d", "p"], &odd.to).ok().stderr_is("");
        assert_eq!(fs::read(odd.to.join("f")).unwrap(), b"content");
        // Set-id bits are not given to another owner.
        assert_eq!(fs::metadata(odd.to.join("f")).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(names(&odd.to), ["d", "f", "l", "p"]);
        assert!(names(&odd.outside).is_empty());
        odd.assert_no_litter();
    }
    // A real failure keeps the source, and leaves no symlink behind.
    let odd = Odd::new(Quirks::faults([Fault::on(Op::Chown, Errno::IO)]));
    Tree::new().file("f", "content").owner(1000, 1000).symlink("l", "f").owner(1000, 1000).build(&odd.outside);
    pmove(&odd.outside, &["f", "l"], &odd.to).fails_with(1).stderr_has("preserving ownership");
    assert_eq!(names(&odd.outside), ["f", "l"]);
    assert!(names(&odd.to).is_empty());
}

#[test]
#[ignore = "needs root and FUSE"]
fn h39_attributes_that_are_refused_are_warned_of_once_and_fail_nothing() {
    for error in [Errno::OPNOTSUPP, Errno::NOSYS, Errno::PERM] {
        let odd = Odd::new(Quirks::faults([Fault::on(Op::SetXattr, error)]));
        let tree = (0..5).fold(Tree::new(), |tree, i| tree.file(format!("f{i}"), "content").xattr("user.note", "kept"));
        tree.file("d/g", "g").xattr("user.note", "kept").build(&odd.outside);
        let output = pmove(&odd.outside, &["f*", "d"], &odd.to);
        output.ok();
        assert_eq!(output.stderr_text().matches("user.note").count(), 1, "{}", output.dump());
        assert!(names(&odd.outside).is_empty());
        assert_eq!(names(&odd.to).len(), 6);
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h41_times_in_whole_seconds_are_kept_as_far_as_they_can_be_and_a_re_run_knows_them() {
    let odd = Odd::new(Quirks { whole_seconds: true, ..Quirks::default() });
    let tree =
        || Tree::new().file("f", "content").mtime(1_000_000_000, 123_456_789).file("d/g", "g").mtime(5, 999_999_999);
    tree().build(&odd.outside);
    let command = || Pmove::new().args(["-n", "f"]).arg(&odd.to).cwd(&odd.outside);
    // Published, and not retired: the next run compares.
    let _killed = injected(command(), &["unlinkat:signal=KILL:when=1"]).run();
    command().run();
    assert!(!odd.outside.join("f").exists());
    pmove(&odd.outside, &["d"], &odd.to).ok();
    let time =
        |name: &str| fs::metadata(odd.to.join(name)).map(|metadata| (metadata.mtime(), metadata.mtime_nsec())).unwrap();
    assert_eq!(time("f"), (1_000_000_000, 0));
    assert_eq!(time("d/g"), (5, 0));
    odd.assert_no_litter();
}

#[test]
#[ignore = "needs root, FUSE and strace"]
fn p6_where_all_modes_are_alike_runs_that_were_killed_are_finished() {
    // As FAT and CIFS show files. What others could have written there is not trusted, but it is no obstacle either.
    for (alike, is_trusted) in [((0o755, 0, 0), true), ((0o777, 1000, 1000), false)] {
        let odd = Odd::new(Quirks { all_alike: Some(alike), ..Quirks::default() });
        for (from, to) in odd.ways() {
            Tree::new().file("f", "content").file("d/e/g", "deep").symlink("l", "f").build(from);
            pmove(from, &["f", "d", "l"], to).ok();
            assert_eq!(fs::read(to.join("f")).unwrap(), b"content");
            assert_eq!(fs::read(to.join("d/e/g")).unwrap(), b"deep");
            odd.assert_no_litter();
            odd.clear();
        }
        for call in ["unlinkat", "renameat2"] {
            for n in 1..=3 {
                Tree::new().file("f", "content").file("d/g", "deep").build(&odd.outside);
                let command = || Pmove::new().args(["-j", "1", "--allow-empty", "*"]).arg(&odd.to).cwd(&odd.outside);
                let killed = injected(command(), &[&format!("{call}:signal=KILL:when={n}")]).run();
                let output = command().run();
                if is_trusted {
                    output.ok();
                    assert!(names(&odd.outside).is_empty(), "{call} {n}\n{}\n{}", killed.dump(), output.dump());
                    odd.assert_no_litter();
                }
                for (name, content) in [("f", "content"), ("d/g", "deep")] {
                    let found = fs::read_to_string(odd.to.join(name)).ok();
                    assert_eq!(found.as_deref(), Some(content), "{call} {n}, {name}\n{}", output.dump());
                }
                odd.clear();
            }
        }
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn h56_a_file_that_is_open_elsewhere_on_nfs_leaves_its_hidden_name_and_it_is_said() {
    let odd = Odd::new(Quirks { silly_renames: true, ..Quirks::default() });
    Tree::new().file("f", "content").file("d/g", "deep").file("d/h", "other").build(&odd.from);
    let whole = Snapshot::of(odd.from.join("d"));
    let mut open = fs::File::open(odd.from.join("d/g")).unwrap();
    // Nobody but us holds anything open: nothing hidden comes of our own descriptors.
    pmove(&odd.from, &["f"], &odd.outside).ok();
    assert_eq!(names(&odd.from), ["d"]);
    let output = pmove(&odd.from, &["d"], &odd.outside);
    assert_same(&whole, &Snapshot::of(odd.outside.join("d")));
    output.fails_with(1).stderr_has("'d'");
    let mut held = String::new();
    open.read_to_string(&mut held).unwrap();
    assert_eq!(held, "deep");
    drop(open);
    assert!(litter(&odd.from).is_empty() && litter(&odd.outside).is_empty(), "{}", output.dump());
}

#[test]
#[ignore = "needs root and FUSE"]
fn h56_a_file_that_cannot_be_removed_is_said_and_both_are_whole() {
    let odd = Odd::new(Quirks::faults([Fault::on(Op::Unlink, Errno::BUSY).of("stuck")]));
    Tree::new().file("stuck", "content").file("f", "f").file("d/stuck", "deep").file("d/x", "x").build(&odd.from);
    let output = pmove(&odd.from, &["stuck", "f", "d"], &odd.outside);
    output.fails_with(1).stderr_has("cannot remove 'stuck': Device or resource busy").stderr_has("'d'");
    for (name, content) in [("stuck", "content"), ("f", "f"), ("d/stuck", "deep"), ("d/x", "x")] {
        assert_eq!(fs::read_to_string(odd.outside.join(name)).unwrap(), content);
    }
    assert_eq!(fs::read(odd.from.join("stuck")).unwrap(), b"content");
    assert_eq!(fs::read(odd.from.join("d/stuck")).unwrap(), b"deep");
    assert_eq!(names(&odd.from), ["d", "stuck"]);
    // What says that the targets are ours stays at the target, for the run that can remove the sources.
    assert!(litter(&odd.from).is_empty(), "{}", output.dump());
}

#[test]
#[ignore = "needs root and FUSE"]
fn h02_killed_at_random_on_a_slow_file_system_everything_is_there_once() {
    let odd = Odd::new(Quirks { delay: Duration::from_micros(500), ..Quirks::default() });
    for (from, to) in odd.ways() {
        for round in 0..3 {
            Tree::new().files(30, |i| (format!("f{i}"), format!("{i}"))).file("d/g", content(100_000)).build(from);
            let command = || Pmove::new().args(["--allow-empty", "*"]).arg(to).cwd(from);
            let running = command().spawn();
            std::thread::sleep(Duration::from_millis(15 + 40 * round));
            running.signal(rustix::process::Signal::KILL);
            running.wait();
            command().run().ok();
            assert!(names(from).is_empty());
            assert_eq!(names(to).len(), 31);
            assert_eq!(fs::read(to.join("d/g")).unwrap(), content(100_000));
            odd.assert_no_litter();
            odd.clear();
        }
    }
}
