//! Somebody else at work in the same directories, on purpose: directories that become links while they are moved
//! from or to, names planted at the target, and readers that wait for a moment of carelessness. Real processes and
//! threads race here; where a window is small, strace holds it open.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use common::fs::{Scratch, scratch};
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use promises::held::{held_after, held_before};
use promises::{Sides, across, back, empty, entries, everywhere, injected, litter, names};
use promises::{rounds, wait_until, watched};

/// What must neither be changed nor turn up elsewhere.
const SECRET: &[u8] = b"secret";

/// A directory that no run is told of. It holds the same names as the sources do.
fn outside() -> (Scratch, Snapshot) {
    let outside = scratch();
    let tree = Tree::new().files(10, |i| (format!("f{i}"), "secret".into())).file("d/f0", SECRET).mode(0o640);
    tree.dir("empty").mode(0o711).build(&outside);
    let snapshot = Snapshot::of(&*outside);
    (outside, snapshot)
}

#[track_caller]
fn assert_no_secret(dir: &Path) {
    for path in entries(dir) {
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            assert_no_secret(&path);
        } else if kind.is_file() {
            assert_ne!(fs::read(&path).unwrap(), SECRET, "{} holds what lies outside", path.display());
        }
    }
}

/// Exchanges two names. Whether both were there.
fn swap(one: &Path, other: &Path) -> bool {
    let [one, other] = [one, other].map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
    renameat_with(CWD, &*one, CWD, &*other, RenameFlags::EXCHANGE).is_ok()
}

/// The same sources, named in four ways.
fn ways(sides: &Sides) -> Vec<Pmove> {
    let list: Vec<String> = (0..9).map(|i| format!("src/d/f{i}")).collect();
    vec![
        sides.pmove().arg("src"),
        sides.pmove().arg("src/*/f*"),
        sides.pmove().args(&list),
        sides.pmove().arg("-").stdin(list.join("\n")),
    ]
}

fn build_sources(sides: &Sides) {
    Tree::new().files(9, |i| (format!("src/d/f{i}"), format!("ours {i}"))).build(&sides.from);
}

#[test]
fn h34_a_target_directory_that_becomes_a_link_is_one_directory_all_the_time() {
    for sides in everywhere() {
        for round in 0..rounds(8) {
            build_sources(&sides);
            let elsewhere = scratch();
            fs::create_dir(sides.to.join("sub")).unwrap();
            symlink(&*elsewhere, sides.to.join("link")).unwrap();
            let (one, other) = (sides.to.join("sub"), sides.to.join("link"));
            let pmove = ways(&sides).swap_remove(round % 4).arg(&one);
            watched(|| assert!(swap(&one, &other)), || pmove.run().ok().code);
            // Whichever it was when it was opened: nothing went to the other.
            let real = if one.is_symlink() { &other } else { &one };
            let arrived = [names(real).len(), names(&elsewhere).len()];
            let expected = if round % 4 == 0 { 1 } else { 9 };
            assert!(arrived == [expected, 0] || arrived == [0, expected], "{arrived:?}");
            assert!(litter(real).is_empty() && litter(&elsewhere).is_empty());
            empty(&sides.to);
            empty(&sides.from);
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h34_a_target_directory_that_is_exchanged_under_way_stays_the_target() {
    let elsewhere = scratch();
    let before = Snapshot::of(&*elsewhere);
    for sides in everywhere() {
        for way in 0..4 {
            build_sources(&sides);
            fs::create_dir(sides.to.join("sub")).unwrap();
            symlink(&*elsewhere, sides.to.join("link")).unwrap();
            let (one, other) = (sides.to.join("sub"), sides.to.join("link"));
            let pmove = ways(&sides).swap_remove(way).arg(&one);
            let held = held_before(pmove, "linkat,renameat2,utimensat", 1);
            assert!(swap(&one, &other));
            held.go_on().ok();
            assert_eq!(names(&other).len(), if way == 0 { 1 } else { 9 });
            assert_same(&before, &Snapshot::of(&*elsewhere));
            empty(&sides.to);
            empty(&sides.from);
        }
    }
}

/// After its target was published, a source's directory becomes a link to one that holds the same names.
#[test]
#[ignore = "needs strace"]
fn h34_a_source_directory_that_becomes_a_link_is_not_removed_through() {
    let (outside, before) = outside();
    for sides in [across(), back()] {
        for way in 0..4 {
            build_sources(&sides);
            symlink(&*outside, sides.from.join("link")).unwrap();
            let pmove = ways(&sides).swap_remove(way).args(["-j", "1"]).arg(&*sides.to);
            let held = held_after(pmove, "linkat,renameat2", 1);
            let (one, other) = if way == 0 { ("src", "link") } else { ("src/d", "link") };
            assert!(swap(&sides.from.join(one), &sides.from.join(other)));
            let output = held.go_on();
            assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
            assert_same(&before, &Snapshot::of(&*outside));
            assert_no_secret(&sides.to);
            empty(&sides.to);
            empty(&sides.from);
        }
    }
}

/// Links to one file are collected, and their directories opened once more when all have been met.
#[test]
#[ignore = "needs strace"]
fn h34_a_directory_that_is_opened_again_must_be_the_same() {
    let (outside, before) = outside();
    for sides in [across(), back()] {
        let tree = Tree::new().file("d/f0", "ours").hard_link("stays", "d/f0").file("slow", "slow");
        tree.symlink("link", &*outside).build(&sides.from);
        let pmove = sides.pmove().args(["d/f0", "slow"]).arg(&*sides.to);
        let held = held_before(pmove, "linkat", 1);
        assert!(swap(&sides.from.join("d"), &sides.from.join("link")));
        held.go_on().fails_with(1).stderr_has("'d/f0' vanished before it could be moved");
        assert_same(&before, &Snapshot::of(&*outside));
        assert_eq!(names(&sides.to), ["slow"]);
        assert_eq!(fs::read(sides.from.join("link/f0")).unwrap(), b"ours");
    }
}

/// Directories below `dir`, as deep as they go.
fn directories(dir: &Path) -> Vec<PathBuf> {
    let is_dir = |path: &PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let here: Vec<PathBuf> = entries(dir).into_iter().filter(is_dir).collect();
    here.iter().flat_map(|path| directories(path)).chain(here.iter().cloned()).collect()
}

/// Whoever is the same user can get at a stage. What they put there is theirs to answer for; what lies outside is not.
#[test]
fn h34_a_stage_whose_directories_become_links_changes_nothing_outside() {
    let (outside, before) = outside();
    for sides in [across(), back()] {
        for round in 0..rounds(10) {
            let tree = Tree::new().files(400, |i| (format!("t/d{}/e/f{i}", i % 20), format!("ours {round} {i}")));
            tree.dir("t/d1").mode(0o2777).mtime(5, 5).build(&sides.from);
            let meddle = || {
                for base in litter(&sides.to) {
                    for dir in directories(&base).into_iter().filter(|dir| dir.ends_with("e")) {
                        let link = dir.with_file_name("link");
                        if symlink(&*outside, &link).is_ok() || link.is_symlink() {
                            swap(&dir, &link);
                        }
                    }
                }
            };
            let (output, _) = watched(meddle, || sides.pmove().arg("t").arg(&*sides.to).run());
            assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
            assert_same(&before, &Snapshot::of(&*outside));
            assert_no_secret(&sides.to);
            empty(&sides.to);
            empty(&sides.from);
        }
    }
}

/// While a published directory's source is being removed, its directories become links, again and again.
#[test]
#[ignore = "needs strace"]
fn h34_a_source_being_removed_leads_nowhere() {
    let (outside, before) = outside();
    for sides in [across(), back()] {
        let path = |i: usize| format!("t/d{}/{}f{i}", i % 3, if i < 30 { "empty/" } else { "" });
        let tree = Tree::new().files(60, |i| (path(i), "ours".into()));
        tree.symlink("t/link", &*outside).build(&sides.from);
        let pmove = sides.pmove().args(["-j", "2", "t"]).arg(&*sides.to);
        let running = injected(pmove, &["unlinkat:delay_enter=8ms"]);
        let meddle = || {
            for root in entries(&sides.from) {
                for dir in ["d0", "d1", "d2"] {
                    swap(&root.join(dir), &root.join("link"));
                }
            }
        };
        let begun = running.spawn();
        wait_until("its source is hidden", || names(&sides.from).iter().any(|name| name.starts_with(".pmove-")));
        let (output, swaps) = watched(meddle, || begun.wait());
        assert!(swaps > 10 && matches!(output.code, Some(0 | 1)), "{}", output.dump());
        assert_same(&before, &Snapshot::of(&*outside));
        assert_eq!(Snapshot::of(sides.to.join("t")).len(), 68);
    }
}
