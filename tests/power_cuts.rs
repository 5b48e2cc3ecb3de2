//! P1, P2 and P6 under power cuts: at random moments of a run, and right after it said that all is done.
//!
//! Each cut has its own file systems, and both sides lose power together. What is compared afterwards is what was
//! there before the run: every source whole at its source or at its target (else it is *lost*), and nothing else under
//! any target's name (else that is *torn*). GNU mv, cut in the same way, loses.
//!
//! `PMOVE_TEST_CUTS` sets the number of cuts for each file system and scene, `PMOVE_TEST_SCENE` picks one scene, and
//! `PMOVE_TEST_SEED` the dice: a failure names the seed of its own cut, with which that comes first. When exactly it
//! strikes is still up to the machine.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod cuts;
mod promises;

use common::mount::FsType;
use cuts::{Harness, Program, Scene};

/// Every scene, on one file system.
fn nothing_is_lost(kind: FsType) {
    let harness = Harness::new(kind, 2);
    for scene in Scene::asked_for() {
        harness.cut_once(Program::Pmove, scene).assert_nothing_is_lost();
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p1_power_cuts_lose_nothing_on_ext4() {
    nothing_is_lost(FsType::Ext4);
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p1_power_cuts_lose_nothing_on_xfs() {
    nothing_is_lost(FsType::Xfs);
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p1_power_cuts_lose_nothing_on_btrfs() {
    nothing_is_lost(FsType::Btrfs);
}

/// Every scene, on one file system: cut, run again, cut again, run to the end.
fn is_finished(kind: FsType) {
    let harness = Harness::new(kind, 1);
    for scene in Scene::asked_for() {
        harness.cut_twice_and_finish(scene).assert_nothing_is_lost();
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p6_after_two_power_cuts_the_same_command_finishes_on_ext4() {
    is_finished(FsType::Ext4);
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p6_after_two_power_cuts_the_same_command_finishes_on_xfs() {
    is_finished(FsType::Xfs);
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p6_after_two_power_cuts_the_same_command_finishes_on_btrfs() {
    is_finished(FsType::Btrfs);
}

/// The worst moment for a re-run: all is said to be done, and only the target's disk knows.
#[test]
#[ignore = "needs root and loop mounts"]
fn p6_what_a_cut_after_exit_0_brings_back_is_known() {
    for kind in FsType::ALL {
        let harness = Harness::new(kind, 1);
        for scene in Scene::asked_for() {
            harness.cut_after_the_target_was_written(scene);
        }
    }
}

/// Device numbers change at a reboot, and records must not depend on them.
#[test]
#[ignore = "needs root and loop mounts"]
fn p6_a_run_killed_before_a_reboot_is_finished_after_it() {
    for kind in FsType::ALL {
        let harness = Harness::new(kind, 1);
        for scene in Scene::asked_for() {
            harness.reboot_before_retiring(scene);
        }
    }
}

/// The harness itself: it must see what a program loses that makes nothing durable.
#[test]
#[ignore = "needs root and loop mounts"]
fn h72_the_same_cuts_show_what_mv_loses() {
    for kind in FsType::ALL {
        let harness = Harness::new(kind, 1);
        let mut lost = 0;
        for scene in Scene::asked_for() {
            lost += harness.cut_once(Program::Mv, scene).lost_after_exit_0;
        }
        assert!(lost > 0, "{kind:?}: mv has lost nothing: then the cuts prove nothing");
    }
}
