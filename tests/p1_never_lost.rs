//! P1: at every instant, through any error, each source's content is whole at its source or at its target.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::fs::{must, require_root};
use common::mount::{FsType, LoopFs, Mount};
use common::run::Pmove;
use common::snapshot::Snapshot;
use common::trace::{Call, Strace};
use common::tree::Tree;
use promises::held::held_after;
use promises::{Files, Sides, across, back, everywhere, files, injected, names};

#[test]
fn h01_a_failed_overwrite_keeps_source_and_target() {
    for sides in [across(), back()] {
        let new = vec![7; 4 << 20];
        Tree::new().file("f", &new).build(&sides.from);
        Tree::new().file("f", "old").build(&sides.to);
        // With the signal ignored, as a shell's `trap '' XFSZ` does it, a write that is too long is an error.
        let pmove = sides.pmove().arg("f").arg(&*sides.to).limit("-f 1024").under(["env", "--ignore-signal=XFSZ"]);
        let target = sides.to.join("f");
        pmove.run().fails_with(1).stderr_is(&format!("pmove: error writing '{}': File too large\n", target.display()));
        assert_eq!(fs::read(sides.from.join("f")).unwrap(), new);
        assert_eq!(fs::read(target).unwrap(), b"old");
        sides.assert_no_litter();
    }
}

#[test]
fn h01_a_file_size_limit_harms_nothing() {
    for sides in [across(), back()] {
        let new = vec![7; 4 << 20];
        Tree::new().file("f", &new).file("small", "s").build(&sides.from);
        Tree::new().file("f", "old").build(&sides.to);
        let output = sides.pmove().args(["f", "small"]).arg(&*sides.to).limit("-f 1024").run();
        output.fails_with(1).stderr_has("File too large");
        assert_eq!(fs::read(sides.from.join("f")).unwrap(), new);
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"old");
        assert_eq!(fs::read(sides.to.join("small")).unwrap(), b"s");
        sides.assert_no_litter();
    }
}

/// System calls to fail on the way, all of which come before the source may go.
const FATAL: &[&str] = &[
    "copy_file_range,splice,pwrite64:error=EIO",
    "copy_file_range,splice,pwrite64:error=ENOSPC",
    "copy_file_range,splice,pwrite64:error=EDQUOT",
    "fsync,syncfs,fdatasync:error=EIO",
    "fsync,syncfs,fdatasync:error=ENOSPC",
    "fsync,syncfs,fdatasync:error=EDQUOT",
    "linkat,renameat,renameat2:error=EIO",
    "utimensat:error=EIO",
    "flistxattr:error=EIO",
    "mkdirat:error=ENOSPC",
];

#[test]
#[ignore = "needs strace"]
fn h03_whatever_fails_the_source_stays() {
    for inject in FATAL {
        for existing in [None, Some("old")] {
            let sides = back();
            Tree::new().file("a", vec![1; 10_000]).file("b", vec![2; 300_000]).build(&sides.from);
            if let Some(old) = existing {
                Tree::new().file("a", old).file("b", old).build(&sides.to);
            }
            let before = sides.files();
            let output = injected(sides.pmove().args(["a", "b"]).arg(&*sides.to), &[inject]).run();
            assert_eq!(output.code, Some(1), "{inject}\n{}", output.dump());
            assert_eq!(sides.files(), before, "{inject}\n{}", output.dump());
            assert!(promises::litter(&sides.to).is_empty(), "litter after {inject}\n{}", output.dump());
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h03_every_way_of_copying_is_as_safe_as_the_next() {
    // What the kernel cannot do is gone on with by other means, from where it stopped.
    for inject in [
        &["copy_file_range:error=EXDEV"][..],
        &["copy_file_range:error=EINVAL", "splice:error=EINVAL"],
        &["copy_file_range:retval=0", "splice:retval=0"],
        &["copy_file_range:error=EPERM:when=2+", "splice:error=EIO:when=2"],
        &["ioctl:error=EINVAL", "copy_file_range:error=ENOSYS"],
    ] {
        for sides in [across(), back()] {
            let content: Vec<u8> = (0..5_000_000_u32).map(|i| i.to_le_bytes()[usize::from(i % 3 == 0)]).collect();
            Tree::new().file("f", &content).build(&sides.from);
            injected(sides.pmove().arg("f").arg(&*sides.to), inject).run().ok();
            assert!(fs::read(sides.to.join("f")).unwrap() == content, "{inject:?}");
            assert!(names(&sides.from).is_empty());
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn p1_a_source_that_cannot_be_removed_is_whole_on_both_sides() {
    for sides in [across(), back()] {
        Tree::new().file("f", "x").build(&sides.from);
        let output = injected(sides.pmove().arg("f").arg(&*sides.to), &["unlinkat:error=EBUSY:when=1"]).run();
        output.fails_with(1).stderr_is("pmove: cannot remove 'f': Device or resource busy\n");
        let both = sides.files();
        assert_eq!(both.0, both.1);
        assert_eq!(both.0["f"], b"x");
    }
}

/// Where, in a record, `name` was published, and where it was removed from its source.
fn published_and_retired(calls: &[Call], name: &str) -> (usize, usize) {
    let quoted = format!("\"{name}\"");
    let find = |wanted: &[&str]| {
        let is_it = |call: &Call| wanted.contains(&&*call.name) && call.text.contains(&quoted);
        calls.iter().position(is_it).unwrap_or_else(|| panic!("no {wanted:?} of {name}"))
    };
    (find(&["linkat", "renameat2", "renameat"]), find(&["unlinkat"]))
}

/// Where the unnamed file for `name` was made: right after `name` was opened, by the same thread. (Not by its number: a
/// call that has been entered before a descriptor is closed can still be the one that gets its number.)
fn created(calls: &[Call], name: &str) -> usize {
    let opened = calls.iter().position(|call| call.text.contains(&format!("\"{name}\", O_RDONLY"))).unwrap();
    let is_it = |call: &Call| call.thread == calls[opened].thread && call.text.contains("O_TMPFILE");
    opened + calls[opened..].iter().position(is_it).unwrap()
}

#[test]
#[ignore = "needs strace"]
fn h24_content_is_durable_before_its_name_and_the_name_before_the_source_goes() {
    // Few are synced one by one, many together.
    for count in [1, 5, 300] {
        let sides = back();
        Tree::new().files(count, |i| (format!("f{i}"), format!("content {i}"))).build(&sides.from);
        let record = Strace::new().only("linkat,renameat2,renameat,unlinkat,fsync,fdatasync,syncfs,openat");
        let (output, calls) = record.record(sides.pmove().arg("f*").arg(&*sides.to));
        output.ok();
        let is_sync = |call: &Call| ["fsync", "fdatasync", "syncfs"].contains(&&*call.name);
        for i in 0..count {
            let (published, retired) = published_and_retired(&calls, &format!("f{i}"));
            let staged = created(&calls, &format!("f{i}"));
            let synced = |part: &[Call]| part.iter().any(is_sync);
            if count > 8 {
                assert!(synced(&calls[staged..published]), "f{i} of {count} is published before it is durable");
            } else {
                let syncs = calls[..published].iter().filter(|call| is_sync(call)).count();
                assert!(syncs >= count, "f{i} of {count} is published before it is durable");
            }
            assert!(synced(&calls[published..retired]), "f{i} of {count} goes before its target's name is durable");
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h19_a_source_that_changes_meanwhile_stays() {
    for sides in [across(), back()] {
        Tree::new().file("f", "before").build(&sides.from);
        let held = held_after(sides.pmove().arg("f").arg(&*sides.to), "linkat", 1);
        OpenOptions::new().append(true).open(sides.from.join("f")).unwrap().write_all(b" and after").unwrap();
        held.go_on().fails_with(1).stderr_has("'f' changed while it was being moved; it stays");
        assert_eq!(fs::read(sides.from.join("f")).unwrap(), b"before and after");
    }
}

#[test]
#[ignore = "needs strace"]
fn h19_a_source_that_is_replaced_meanwhile_stays() {
    for sides in [across(), back()] {
        Tree::new().file("f", "one").file("g", "two").build(&sides.from);
        let held = held_after(sides.pmove().arg("f").arg(&*sides.to), "linkat", 1);
        fs::rename(sides.from.join("g"), sides.from.join("f")).unwrap();
        held.go_on().fails_with(1);
        assert_eq!(fs::read(sides.from.join("f")).unwrap(), b"two");
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"one");
    }
}

#[test]
fn h25_two_movers_with_one_list_lose_nothing() {
    for sides in everywhere() {
        let count = 300;
        Tree::new().files(count, |i| (format!("f{i}"), format!("content {i}"))).build(&sides.from);
        let expected = files(&sides.from);
        let operands: Vec<String> = (0..count).map(|i| format!("f{i}")).collect();
        let mover = || sides.pmove().args(&operands).arg(&*sides.to).spawn();
        let (one, other) = (mover(), mover());
        for output in [one.wait(), other.wait()] {
            assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
        }
        assert_eq!(sides.files(), (Files::new(), expected));
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs strace"]
fn p1_one_device_takes_one_rename_and_never_unlinks() {
    let sides = promises::one_device();
    Tree::new().file("f", "new").build(&sides.from);
    Tree::new().file("f", "old").build(&sides.to);
    let (output, calls) = Strace::new().only("%file,%desc").record(sides.pmove().arg("f").arg(&*sides.to));
    output.ok();
    let forbidden = ["unlink", "unlinkat", "linkat", "copy_file_range", "splice"];
    assert!(!calls.iter().any(|call| forbidden.contains(&&*call.name)), "{calls:?}");
    assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"new");
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h04_a_full_target_loses_nothing() {
    let tmpfs = Mount::tmpfs(1 << 20);
    let from = common::fs::scratch();
    Tree::new().files(1000, |i| (format!("f{i}"), format!("{i} ").repeat(1000))).build(&from);
    let expected = files(&from);
    let output = Pmove::new().arg("f*").arg(tmpfs.path()).cwd(&from).run();
    output.fails_with(1).stderr_has("No space left on device");
    let (left, moved) = (files(&from), files(tmpfs.path()));
    assert!(!left.is_empty() && left.len() + moved.len() == 1000, "{} left, {} moved", left.len(), moved.len());
    assert_eq!(left.into_iter().chain(moved).collect::<Files>(), expected);
    // It does not go on asking a target that is full.
    assert!(output.stderr_text().lines().count() < 300, "{}", output.dump());
    assert!(promises::litter(tmpfs.path()).is_empty());
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h72_a_power_cut_after_exit_0_loses_nothing() {
    for kind in [FsType::Ext4, FsType::Xfs] {
        for count in [3, 300] {
            let mut target = LoopFs::new(kind, 320);
            let from = common::fs::scratch();
            let tree = Tree::new().files(count, |i| (format!("d/f{i}"), format!("content {i}")));
            tree.files(count, |i| (format!("f{i}"), format!("content {i}"))).build(&from);
            let expected = files(&from);
            Pmove::new().arg("*").arg(target.path()).cwd(&from).run().ok();
            target.shutdown();
            target.remount();
            assert_eq!(files(target.path()), expected, "{kind:?}");
            assert_eq!(files(&target.path().join("d")), expected, "{kind:?}");
        }
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h73_a_write_back_that_fails_keeps_the_sources() {
    // The image cannot grow any more: writes succeed, and fail when they are written back.
    let tmpfs = Mount::tmpfs(24 << 20);
    let target = LoopFs::with_image_in(tmpfs.path(), FsType::Ext4, 256);
    must(Command::new("sync").arg("-f").arg(target.path()));
    let sides = Sides { from: common::fs::scratch(), to: common::fs::scratch() };
    Tree::new().files(40, |i| (format!("f{i:02}"), format!("{i:02} ").repeat(400_000))).build(&sides.from);
    let expected = files(&sides.from);
    let output = Pmove::new().arg("f*").arg(target.path()).cwd(&sides.from).run();
    output.fails_with(1);
    let left = files(&sides.from);
    for (name, content) in &expected {
        if let Some(kept) = left.get(name) {
            assert!(kept == content, "{name:?} is spoilt");
        } else {
            // What has gone must be on the disk: it is read back from there.
            must(Command::new("dd").args(["iflag=direct", "bs=1M", "of=/dev/null", "status=none"]).arg({
                let mut input = std::ffi::OsString::from("if=");
                input.push(target.path().join(name));
                input
            }));
            assert!(fs::read(target.path().join(name)).unwrap() == *content, "{name:?} is lost");
        }
    }
    assert!(!left.is_empty(), "the image was large enough after all");
    require_root();
}

#[test]
#[ignore = "needs strace"]
fn p1_a_published_directory_that_was_emptied_meanwhile_is_no_copy() {
    // What an ended run has published may have been changed by anybody since; its source is the only copy then.
    for change in ["rm -r to/d/sub to/d/f", "rm -r to/d && mkdir to/d", "echo other > to/d/f"] {
        let sides = back();
        Tree::new().file("d/f", "content").file("d/sub/g", "more").build(&sides.from);
        let before = Snapshot::of(sides.from.join("d"));
        let whole = || sides.pmove().arg("d").arg(&*sides.to);
        injected(whole(), &["unlinkat:error=EIO"]).run().fails_with(1).stderr_has("cannot remove");
        let change = change.replace("to/", &format!("{}/", sides.to.display()));
        must(Command::new("sh").args(["-c", &change]));
        whole().run();
        // Each file is whole on one side, whatever the second run made of it.
        let (from, to) = (sides.from.join("d"), sides.to.join("d"));
        for path in ["f", "sub/g"] {
            let is_whole = |side: &Path| {
                fs::read(side.join(path))
                    .is_ok_and(|content| Some(content.len() as u64) == before.get(path).map(|e| e.size))
            };
            assert!(is_whole(&from) || is_whole(&to), "{change}: {path} is lost");
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn p5_a_new_directory_with_the_name_of_a_hidden_one_is_not_said_to_have_moved() {
    let sides = back();
    Tree::new().file("d/f", "first").build(&sides.from);
    let run = || sides.pmove().arg("d").arg(&*sides.to);
    // The first removal is that of what is in the hidden source.
    injected(run(), &["unlinkat:signal=KILL"]).run();
    assert!(!sides.from.join("d").exists(), "it was not hidden yet");
    Tree::new().file("d/new", "second").build(&sides.from);
    run().run().fails_with(1);
    assert_eq!(fs::read(sides.from.join("d/new")).unwrap(), b"second");
    assert_eq!(fs::read(sides.to.join("d/f")).unwrap(), b"first");
}
