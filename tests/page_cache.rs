//! A run that is large for the machine's memory does not fill it: what others have there stays.

// How much memory there is can be said to a debug build only.
#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::fs::other;
use common::mount::{FsType, LoopFs};
use common::run::Pmove;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 288 * MIB;

/// How much of a file is in memory. Bytes.
fn resident(path: &Path) -> u64 {
    let output =
        Command::new("fincore").args(["--bytes", "--noheadings", "--output", "RES"]).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// What a moved file still has in memory, on a machine that says it has so much of it.
fn left_after(memory: u64, kind: FsType, sync: &str) -> u64 {
    let (source, disk) = (other(), LoopFs::new(kind, 640));
    fs::write(source.join("large"), vec![7; usize::try_from(SIZE).unwrap()]).unwrap();
    let memory = memory.to_string();
    let pmove = Pmove::new().env("PMOVE_TEST_MEMORY", &memory).args(["--sync", sync]);
    pmove.arg(source.join("large")).arg(disk.path()).run().ok();
    let target = disk.path().join("large");
    assert_eq!(fs::metadata(&target).unwrap().len(), SIZE);
    resident(&target)
}

#[test]
#[ignore = "needs root and loop mounts"]
fn what_a_large_run_has_written_is_not_kept_in_memory() {
    for (kind, sync) in [(FsType::Ext4, "auto"), (FsType::Xfs, "auto"), (FsType::Xfs, "none")] {
        // What is being written back, and what has not been begun with.
        let little = left_after(32 * MIB, kind, sync);
        assert!(little <= 192 * MIB, "{kind:?}, --sync {sync}: {} MiB are left", little / MIB);
    }
    let most = left_after(64 << 30, FsType::Xfs, "auto");
    assert!(most > 192 * MIB, "whoever reads it next would have to wait for the disk: {} MiB", most / MIB);
}
