//! P6 in numbers: how much of a large directory is copied again after its move was killed, or lost its power, at nine
//! tenths.
//!
//! `PMOVE_TEST_RESUME=20000,4096` makes it 20,000 files with 4096 MiB (which takes three times that in `/dev/shm`, and
//! some minutes); otherwise the directory is small, and copied slowly enough for a checkpoint on the way.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use common::mount::FsType;
use common::power::{Machine, Side};
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::trace::{Call, Strace};
use promises::{injected, litter, names};

/// A checkpoint is made after so much time, or so many bytes (`Tree::checkpoint_if_due`).
const SECONDS: u64 = 5;
const GIB: u64 = 1 << 30;

/// So many files, or bytes, are noted in the journal at once, by each worker.
const PIECE: u64 = 128;
const NOTED: u64 = 64 << 20;

/// The directory that is moved.
#[derive(Clone, Copy, Debug)]
struct Load {
    files: u64,
    bytes: u64,
    dirs: u64,
}

impl Load {
    fn from_environment() -> Self {
        let text = std::env::var("PMOVE_TEST_RESUME").unwrap_or_else(|_| "2000,64".into());
        let (files, mebibytes) = text.split_once(',').expect("files,mebibytes");
        Self { files: files.parse().unwrap(), bytes: mebibytes.parse::<u64>().unwrap() << 20, dirs: 40 }
    }

    /// Checkpoints come by the clock, not by bytes.
    fn is_small(self) -> bool {
        self.bytes < 2 * GIB
    }

    fn build(self, from: &Path) {
        let size = usize::try_from(self.bytes / self.files).unwrap();
        for i in 0..self.files {
            let dir = from.join(format!("d/{}", i % self.dirs));
            fs::create_dir_all(&dir).unwrap();
            let line = format!("{i} of many\n");
            let mut content = line.repeat(size / line.len() + 1);
            content.truncate(size);
            fs::write(dir.join(format!("f{i:05}")), content).unwrap();
        }
    }
}

/// What a first run left behind, in files.
#[derive(Debug)]
struct Left {
    /// Staged when a checkpoint was due.
    at_checkpoint: u64,
    /// Staged when it was ended.
    at_end: u64,
}

/// Files that there are on the file system at `path`.
fn inodes(path: &Path) -> u64 {
    let fs = rustix::fs::statvfs(path).unwrap();
    fs.f_files - fs.f_ffree
}

/// Runs it up to nine tenths, and kills it.
fn run_and_kill(load: Load, from: &Path, to: &Path) -> Left {
    let before = inodes(to);
    let mut pmove = Pmove::new().args(["-j", "1", "d"]).arg(to).cwd(from).timeout(Duration::from_mins(10));
    if load.is_small() {
        // So that all takes nearly twice the time between two checkpoints.
        let size = load.bytes / load.files;
        // What is not small goes through a pipe: in, and out.
        let calls = if size > 64 << 10 { 2 * size.div_ceil(256 << 10) } else { 1 };
        let delay = 2 * SECONDS * 1_000_000 * 9 / 10 / load.files / calls;
        pmove = injected(pmove, &[&format!("pwrite64,splice:delay_exit={delay}")]);
    }
    let mut running = pmove.spawn();
    let mut left = Left { at_checkpoint: 0, at_end: 0 };
    let mut begun = Instant::now();
    loop {
        assert!(running.is_running(), "it was over before it could be killed\n{}", running.wait().dump());
        let staged = (inodes(to) - before).min(load.files);
        if staged <= load.files / 100 {
            begun = Instant::now();
        }
        if load.is_small() && begun.elapsed() < Duration::from_secs(SECONDS) {
            left.at_checkpoint = staged;
        }
        if staged >= load.files * 9 / 10 {
            running.signal(Signal::KILL);
            running.wait().dies_by(Signal::KILL);
            left.at_end = staged;
            if !load.is_small() {
                // One is made after every gigabyte.
                let size = load.bytes / load.files;
                left.at_checkpoint = (staged * size / GIB).saturating_sub(1) * GIB / size;
            }
            return left;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The bytes that a run copied, and how many files of `size` bytes that is. What goes through a pipe is counted on its way in.
fn copied(calls: &[Call], size: u64) -> (u64, u64) {
    let is_drain = |call: &Call| call.name == "splice" && call.text.split(", ").nth(1) == Some("NULL");
    let counts = calls.iter().filter(|call| call.is_ok() && !is_drain(call));
    let bytes = counts.filter_map(|call| call.text.rsplit_once(" = ")?.1.trim().parse::<u64>().ok()).sum::<u64>();
    (bytes, bytes.div_ceil(size))
}

#[expect(clippy::print_stderr, reason = "a measurement's report")]
fn resumes(load: Load, loses_power: bool) {
    let mut machine = Machine::with_size(FsType::Ext4, Path::new("/dev/shm"), load.bytes * 3 / 2 + (128 << 20));
    let [from, to] = [Side::Source, Side::Target].map(|side| machine.path(side).join("dir"));
    for dir in [&from, &to] {
        fs::create_dir(dir).unwrap();
    }
    load.build(&from);
    machine.flush(Side::Source);
    machine.flush(Side::Target);
    let before = Snapshot::of(&from).without_root().without_holes();
    let left = run_and_kill(load, &from, &to);
    if loses_power {
        machine.cut(Side::Target);
        machine.boot();
    }
    let pmove = Pmove::new().args(["-j", "1", "d"]).arg(&to).cwd(&from).timeout(Duration::from_mins(10));
    let (output, calls) = Strace::new().only("copy_file_range,splice,pwrite64").record(pmove);
    output.ok();
    let (size, all) = (load.bytes / load.files, load.files);
    let (bytes, files) = copied(&calls, size);
    eprintln!(
        "{all} files, {} MiB, {}: {left:?}; copied again {files} files, {} MiB",
        load.bytes >> 20,
        if loses_power { "power cut" } else { "killed" },
        bytes >> 20
    );
    let most = all - left.at_checkpoint + 2 * PIECE.min(NOTED / size + 1);
    assert!(most < all * 9 / 10, "{left:?}: too few to tell");
    assert!(files <= most && bytes <= most * size, "{files} files, {bytes} bytes; at most {most} files\n{left:?}");
    assert!(names(&from).is_empty() && litter(&to).is_empty());
    assert_same(&before, &Snapshot::of(&to).without_root().without_holes());
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p6_a_killed_tree_is_copied_again_only_since_its_last_checkpoint() {
    resumes(Load::from_environment(), false);
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p6_a_tree_that_lost_its_power_is_copied_again_only_since_its_last_checkpoint() {
    resumes(Load::from_environment(), true);
}

/// A directory need not be finished for what is in it to count.
#[test]
#[ignore = "needs root and loop mounts"]
fn p6_large_files_of_one_directory_are_proven_before_the_last_of_them_is_copied() {
    resumes(Load { files: 40, bytes: 320 << 20, dirs: 1 }, true);
}
