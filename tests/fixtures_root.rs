//! Tests of those fixtures that need root: loop-mounted file systems, power cuts, other users.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use common::fs::{copy, must, ordinary_user, require_root, scratch};
use common::mount::{FsType, LoopFs, Mount};
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::trace::Strace;
use common::tree::Tree;

#[test]
#[ignore = "needs root and loop mounts"]
fn loop_file_systems_keep_everything_and_survive_a_remount() {
    require_root();
    for kind in FsType::ALL {
        let mut fs = LoopFs::new(kind, 320);
        let tree = Tree::everything()
            .file("owned", "o")
            .owner(1234, 5678)
            .mode(0o4750)
            .symlink("owned link", "o")
            .owner(4321, 8765)
            .xattr("trusted.t", "t")
            .char_device("null", 1, 3)
            .owner(1, 2)
            .mode(0o666)
            .xattr("trusted.k", "v")
            .block_device("loop", 7, 0);
        let before = fs.path().join("src");
        std::fs::create_dir(&before).unwrap();
        tree.build(&before);
        let before = Snapshot::of(before);
        assert_eq!((before.get("owned").unwrap().uid, before.get("owned").unwrap().mode), (1234, 0o4750));
        assert_ne!(before.get("null").unwrap().device, before.get("loop").unwrap().device);
        copy(&fs.path().join("src"), &fs.path().join("dst"));
        must(Command::new("sync").arg("-f").arg(fs.path()));
        fs.remount();
        assert_same(&before, &Snapshot::of(fs.path().join("dst")));
        chown(fs.path().join("dst/owned"), Some(1), None).unwrap();
        let diff = before.diff(&Snapshot::of(fs.path().join("dst")));
        assert!(diff.contains("uid: 1234 → 1"), "{diff}");
        // And from one kind of file system to another.
        let disk = scratch();
        copy(&fs.path().join("src"), &disk.join("dst"));
        assert_same(&before.clone().without_holes(), &Snapshot::of(disk.join("dst")).without_holes());
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn a_power_cut_loses_what_was_not_synced_and_nothing_else() {
    require_root();
    for kind in [FsType::Ext4, FsType::Xfs] {
        let mut fs = LoopFs::new(kind, 320);
        Tree::new().file("synced", "kept").build(fs.path());
        must(Command::new("sync").arg("-f").arg(fs.path()));
        Tree::new().file("unsynced", "lost").build(fs.path());
        fs.shutdown();
        assert!(std::fs::write(fs.path().join("late"), "").is_err());
        fs.remount();
        assert_eq!(std::fs::read(fs.path().join("synced")).unwrap(), b"kept");
        assert!(!std::fs::read(fs.path().join("unsynced")).is_ok_and(|content| content == b"lost"), "{kind:?}");
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn what_is_mounted_for_a_test_goes_with_it() {
    require_root();
    let (lower, upper) = (scratch(), scratch());
    Tree::new().file("f", "lower").build(&lower);
    Tree::new().dir("upper").dir("work").build(&upper);
    let overlay = Mount::overlay(&lower, &upper.join("upper"), &upper.join("work"));
    assert_eq!(fs::read(overlay.path().join("f")).unwrap(), b"lower");
    let bound = upper.join("bound");
    fs::create_dir(&bound).unwrap();
    let bind = Mount::bind(&lower, &bound);
    assert_eq!(fs::read(bound.join("f")).unwrap(), b"lower");
    let tmpfs = Mount::tmpfs(1 << 20);
    let error = fs::write(tmpfs.path().join("f"), vec![1; 2 << 20]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let loop_fs = LoopFs::new(FsType::Ext4, 32);
    let (device, image) = (loop_fs.device().to_owned(), loop_fs.image());
    let places = [overlay.path(), bind.path(), tmpfs.path(), loop_fs.path()].map(Path::to_owned);
    let is_mounted =
        |path: &Path| fs::read_to_string("/proc/mounts").unwrap().contains(&format!(" {} ", path.display()));
    assert!(places.iter().all(|path| is_mounted(path)));
    drop((overlay, bind, tmpfs, loop_fs));
    assert!(!places.iter().any(|path| is_mounted(path)));
    assert!(!image.exists());
    let attached = must(Command::new("losetup").args(["--list", "--noheadings", "--output", "NAME,BACK-FILE"]));
    let ours = format!("{} {}", device.display(), image.display());
    assert!(!attached.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == ours), "{attached}");
    assert_eq!(fs::read(lower.join("f")).unwrap(), b"lower");
}

#[test]
#[ignore = "needs root and loop mounts"]
fn case_is_folded_where_the_kernel_can() {
    require_root();
    let supported = Path::new("/sys/fs/ext4/features/casefold").exists();
    match LoopFs::casefold(32) {
        Ok(fs) => {
            Tree::new().file("a", "x").build(fs.fold("folded"));
            assert_eq!(std::fs::read(fs.path().join("folded/A")).unwrap(), b"x");
        }
        Err(why) => assert!(!supported, "{why}"),
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn an_ordinary_user_can_run_pmove() {
    require_root();
    let user = ordinary_user();
    let dir = scratch().owned_by(user);
    Tree::new().file("a", "x").owner(user.0, user.1).build(&dir);
    Pmove::new().args(["a", "b"]).cwd(&dir).user(user).run().ok();
    assert_eq!(dir.join("b").metadata().unwrap().uid(), user.0);
    // A program that only root can reach, and supplementary groups that must not stay.
    let hidden = scratch();
    fs::copy("/usr/bin/id", hidden.join("id")).unwrap();
    let output = Pmove::other(hidden.join("id")).arg("-G").user(user).run();
    output.ok().stdout_is(format!("{}\n", user.1));
    let (output, calls) = Strace::new().count(Pmove::new().args(["b", "c"]).cwd(&dir).user(user));
    output.ok();
    assert!(calls.total() > 0);
}
