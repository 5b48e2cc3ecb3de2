//! P1 and P6 where the disk fails after every write has succeeded: write-back errors, and stages that look right.
//!
//! The disk is an image on a tmpfs that is full: whatever goes to a block that the image does not have yet is taken by
//! the file system, and fails when it is written back. Only a sync learns of it, and only once.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::fs::{Scratch, must, other, tool};
use common::mount::{FsType, LoopFs, Mount};
use common::run::{Output, Pmove};
use common::snapshot::{Snapshot, assert_same};
use common::tree::{Tree, set_mtime};
use promises::{injected, litter, names};

/// A file system whose disk cannot take another block, until somebody makes room.
struct FullDisk {
    fs: LoopFs,
    tmpfs: Mount,
}

impl FullDisk {
    fn new(kind: FsType) -> Self {
        let size = if kind == FsType::Xfs { 320 } else { 160 };
        let tmpfs = Mount::tmpfs((size + 1) << 20);
        // A directory whose block fails is not the sync's business: ext4 takes its journal for damaged, sooner or later,
        // and takes nothing more until it is mounted anew.
        let fs = match kind {
            FsType::Ext4 => LoopFs::ext4_with_inline_directories(tmpfs.path(), size),
            _ => LoopFs::with_image_in(tmpfs.path(), kind, size),
        };
        // What the file system needs for itself is there; what is free is given back.
        must(Command::new("fallocate").args(["-l", &format!("{size}M")]).arg(fs.image()));
        fs::create_dir(fs.path().join("to")).unwrap();
        must(Command::new("sync").arg("-f").arg(fs.path()));
        must(Command::new("fstrim").arg(fs.path()));
        let mut filler = File::create(tmpfs.path().join("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
        Self { fs, tmpfs }
    }

    fn make_room(&self) {
        fs::remove_file(self.tmpfs.path().join("filler")).unwrap();
    }

    fn to(&self) -> PathBuf {
        self.fs.path().join("to")
    }

    /// What is on the disk, as opposed to what is only remembered of it.
    fn on_disk(&mut self) -> Snapshot {
        self.fs.remount();
        Snapshot::of(self.to()).without_root().without_holes()
    }
}

/// Files of some kilobytes each, two batches of them, or two directories.
fn build(is_tree: bool) -> Scratch {
    let from = other();
    let path = |i: usize| if is_tree { format!("d{}/{}/f{i:03}", i % 2, i % 3) } else { format!("f{i:03}") };
    Tree::new().files(400, |i| (path(i), format!("{i} of many\n").repeat(3000))).build(&from);
    from
}

fn sources(from: &Path) -> Snapshot {
    Snapshot::of(from).without_root().without_holes()
}

fn pmove(from: &Path, disk: &FullDisk) -> Pmove {
    Pmove::new().args(["-j", "2", "--allow-empty", "*"]).arg(disk.to()).cwd(from)
}

/// Nothing was moved, and nothing was taken for moved.
#[track_caller]
fn assert_all_stay(output: &Output, before: &Snapshot, from: &Path, disk: &FullDisk) {
    output.fails_with(1);
    assert_same(before, &sources(from));
    let left: Vec<String> = names(&disk.to()).into_iter().filter(|name| !name.starts_with(".pmove-")).collect();
    assert!(left.is_empty(), "published: {left:?}\n{}", output.dump());
}

/// After there was room: everything is at its target, and on its disk.
#[track_caller]
fn assert_finishes(before: &Snapshot, from: &Path, disk: &mut FullDisk) {
    disk.make_room();
    pmove(from, disk).run().ok();
    assert!(names(from).is_empty());
    assert!(litter(&disk.to()).is_empty(), "{:?}", litter(&disk.to()));
    assert_same(before, &disk.on_disk());
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h73_write_back_that_fails_keeps_files_and_directories() {
    for kind in [FsType::Ext4, FsType::Xfs] {
        for is_tree in [false, true] {
            let (from, mut disk) = (build(is_tree), FullDisk::new(kind));
            let before = sources(&from);
            assert_all_stay(&pmove(&from, &disk).run(), &before, &from, &disk);
            assert_finishes(&before, &from, &mut disk);
        }
    }
}

/// The first sync tells of what both have written, and the second one says yes.
#[test]
#[ignore = "needs root and loop mounts"]
fn h83_an_error_that_one_batch_is_told_of_counts_for_the_next() {
    for kind in [FsType::Ext4, FsType::Xfs] {
        for is_tree in [false, true] {
            let (from, disk) = (build(is_tree), FullDisk::new(kind));
            let before = sources(&from);
            // While the first waits, the second is staged as well.
            let output = injected(pmove(&from, &disk), &["syncfs:delay_enter=1s:when=1"]).run();
            assert_all_stay(&output, &before, &from, &disk);
        }
    }
}

/// What was staged before a failed barrier reads back right from memory, and is not on the disk.
#[test]
#[ignore = "needs root and loop mounts"]
fn h84_nothing_staged_before_a_failed_barrier_is_used_again() {
    for is_tree in [false, true] {
        // Killed before it can clear up, or not.
        for kills in [true, false] {
            let (from, mut disk) = (build(is_tree), FullDisk::new(FsType::Ext4));
            let before = sources(&from);
            let kill = ["unlinkat:signal=KILL:when=1", "renameat2:signal=KILL:when=1", "renameat:signal=KILL:when=1"];
            let output = if kills { injected(pmove(&from, &disk), &kill).run() } else { pmove(&from, &disk).run() };
            assert_eq!(output.signal.is_some(), kills, "{}", output.dump());
            assert_same(&before, &sources(&from));
            assert_eq!(litter(&disk.to()).is_empty(), !kills, "{}", output.dump());
            assert_finishes(&before, &from, &mut disk);
        }
    }
}

/// Published without a barrier, then killed: the next run makes its own barrier before it retires anything.
#[test]
#[ignore = "needs root and loop mounts"]
fn h84_what_a_run_without_barriers_published_is_not_believed() {
    for is_tree in [false, true] {
        let (from, disk) = (build(is_tree), FullDisk::new(FsType::Ext4));
        let before = sources(&from);
        let first = if is_tree { "renameat2:signal=KILL:when=2" } else { "unlinkat:signal=KILL:when=1" };
        let killed = injected(pmove(&from, &disk).arg("--sync=none"), &[first]).run();
        assert!(killed.signal.is_some(), "{}", killed.dump());
        if !is_tree {
            // The kernel writes back, in vain, and whoever asks for it is told, once: each file is asked about.
            let told = tool(Command::new("sync").arg("-f").arg(disk.fs.path()));
            assert!(told.is_err(), "the disk had room after all");
        }
        pmove(&from, &disk).run().fails_with(1);
        assert_same(&before, &sources(&from));
    }
}

/// Right size, right time, all zeros: what a power cut leaves of a stage that was never synced.
#[test]
#[ignore = "needs strace"]
fn h85_a_stage_with_the_right_size_and_time_is_not_believed() {
    for (is_tree, kill) in [(true, "syncfs:signal=KILL:when=1"), (false, "unlinkat:signal=KILL:when=1")] {
        let (from, to) = (build(is_tree), common::fs::scratch());
        let before = sources(&from);
        let pmove = || Pmove::new().args(["-j", "1", "--allow-empty", "*"]).arg(&*to).cwd(&from);
        let killed = injected(pmove(), &[kill]).run();
        assert!(killed.signal.is_some(), "{}", killed.dump());
        let zeroed = zero_all(&to);
        assert!(zeroed >= 100, "only {zeroed} files were staged or published\n{}", killed.dump());
        pmove().run().ok();
        assert_same(&before, &sources(&to));
        assert!(names(&from).is_empty());
    }
}

/// Makes zeros of all files of some size below `dir`, but for journals and records; keeps their times.
fn zero_all(dir: &Path) -> usize {
    let mut zeroed = 0;
    for path in promises::entries(dir) {
        let metadata = path.symlink_metadata().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        if metadata.is_dir() {
            zeroed += zero_all(&path);
        } else if !name.starts_with(['j', 'r']) {
            fs::write(&path, vec![0; usize::try_from(metadata.size()).unwrap()]).unwrap();
            set_mtime(&path, metadata.mtime(), metadata.mtime_nsec().try_into().unwrap()).unwrap();
            zeroed += 1;
        }
    }
    zeroed
}
