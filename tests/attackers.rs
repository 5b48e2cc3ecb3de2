//! Somebody else at work in the same directories, on purpose: directories that become links while they are moved
//! from or to, names planted at the target, and readers that wait for a moment of carelessness. Real processes and
//! threads race here; where a window is small, strace holds it open.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;

use common::fs::{Scratch, ordinary_user, require_root, scratch};
use common::run::{Output, Pmove, Running};
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use promises::{Sides, across, back, empty, entries, everywhere, files, give_away, injected, litter, names};
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
    let (outside, before) = outside();
    for sides in everywhere() {
        for way in 0..4 {
            build_sources(&sides);
            fs::create_dir(sides.to.join("sub")).unwrap();
            symlink(&*outside, sides.to.join("link")).unwrap();
            let (one, other) = (sides.to.join("sub"), sides.to.join("link"));
            let pmove = ways(&sides).swap_remove(way).arg(&one);
            let running = injected(pmove, &["linkat,renameat2:delay_enter=600ms:when=1"]).spawn();
            thread::sleep(Duration::from_millis(400));
            assert!(swap(&one, &other));
            running.wait().ok();
            assert_eq!(names(&other).len(), if way == 0 { 1 } else { 9 });
            assert_same(&before, &Snapshot::of(&*outside));
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
            let running = injected(pmove, &["linkat,renameat2:delay_exit=700ms:when=1"]).spawn();
            wait_until("something is published", || names(&sides.to).iter().any(|name| !name.starts_with('.')));
            let (one, other) = if way == 0 { ("src", "link") } else { ("src/d", "link") };
            assert!(swap(&sides.from.join(one), &sides.from.join(other)));
            let output = running.wait();
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
        let running = injected(pmove, &["linkat:delay_enter=700ms:when=1"]).spawn();
        wait_until("it has begun", || !names(&sides.to).is_empty());
        thread::sleep(Duration::from_millis(300));
        assert!(swap(&sides.from.join("d"), &sides.from.join("link")));
        running.wait().fails_with(1).stderr_has("'d/f0' vanished before it could be moved");
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
        let tree = Tree::new().files(60, |i| (format!("t/d{}/f{i}", i % 3), "ours".into()));
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
        assert_eq!(Snapshot::of(sides.to.join("t")).len(), 65);
    }
}

/// A shell script that an ordinary user runs in `dir`, until it is dropped.
fn attacker(dir: &Path, script: &str) -> Running {
    let attacker = Pmove::other("/bin/sh").args(["-c", script]).cwd(dir).user(ordinary_user());
    attacker.timeout(Duration::from_mins(3)).spawn()
}

fn stop(attacker: Running) -> Output {
    attacker.signal(Signal::KILL);
    attacker.wait()
}

/// A directory like `/tmp`, and in it a file of somebody who means ill.
fn sticky() -> (Sides, Sides) {
    let make = |sides: Sides| {
        fs::set_permissions(&*sides.to, Permissions::from_mode(0o1777)).unwrap();
        Tree::new().file("mine", "mine").mode(0o666).build(&sides.to);
        give_away(&sides.to.join("mine"));
        sides
    };
    (make(across()), make(back()))
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h31_names_planted_in_a_sticky_directory_are_not_written_through() {
    require_root();
    let (outside, before) = outside();
    let (one, other) = sticky();
    for sides in [one, other] {
        Tree::new().files(6, |i| (format!("f{i}"), format!("ours {i}"))).file("t/x", "ours").build(&sides.from);
        let own = sides.to.join("mine");
        let plant = format!(
            "ln -s {0}/f0 f0; ln mine f1; mkfifo f2; mkdir f3; ln -s mine f4; ln -s {0}/empty t; \
             mkdir .pmove-0; ln -s {0}/empty .pmove-0/1-0123456789abcdef; ln mine .pmove-0/s0",
            outside.display()
        );
        Pmove::other("/bin/sh").args(["-c", &plant]).cwd(&sides.to).user(ordinary_user()).run().ok();
        let output = sides.pmove().args(["f*", "t"]).arg(&*sides.to).run();
        output.fails_with(1).stderr_has("cannot overwrite directory").stderr_has("cannot overwrite non-directory");
        assert_eq!(names(&sides.from), ["f3", "t"]);
        for i in [0, 1, 2, 4, 5] {
            let path = sides.to.join(format!("f{i}"));
            let metadata = path.symlink_metadata().unwrap();
            assert!(metadata.is_file() && metadata.uid() == 0 && metadata.nlink() == 1, "{}", path.display());
            assert_eq!(fs::read(path).unwrap(), format!("ours {i}").into_bytes());
        }
        assert_eq!((fs::read(&own).unwrap(), own.metadata().unwrap().nlink()), (b"mine".to_vec(), 2));
        assert_eq!(own.metadata().unwrap().uid(), ordinary_user().0);
        assert_same(&before, &Snapshot::of(&*outside));
        assert_eq!(names(&sides.to.join(".pmove-0")), ["1-0123456789abcdef", "s0"]);
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h31_names_that_are_planted_all_the_time_are_not_written_through() {
    require_root();
    let (outside, before) = outside();
    let (one, other) = sticky();
    for sides in [one, other] {
        let script = format!(
            "while :; do for i in 1 2 3 4 5 6 7 8; do ln -s {0}/f$i f$i; ln mine f1$i; mkdir .pmove-0 f2$i; \
             ln -s {0}/empty t$i; ln -s {0}/empty .pmove-0; mv .pmove-0 away; rm -rf away; \
             rm -f f$i f1$i t$i; rmdir f2$i; done; done 2>/dev/null",
            outside.display()
        );
        let attacker = attacker(&sides.to, &script);
        for round in 0..rounds(12) {
            let content = format!("ours {round}");
            let tree = Tree::new().files(30, |i| (format!("f{i}"), content.clone()));
            tree.files(9, |i| (format!("t{i}/x"), content.clone())).build(&sides.from);
            let output = sides.pmove().args(["f*", "t*"]).arg(&*sides.to).run();
            assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
            let left = files(&sides.from);
            for i in 0..30 {
                let name = format!("f{i}");
                let target = sides.to.join(&name);
                let is_at_target = || {
                    let metadata = target.symlink_metadata().unwrap();
                    metadata.is_file() && metadata.uid() == 0 && fs::read(&target).unwrap() == content.as_bytes()
                };
                assert!(left.contains_key(&name) || is_at_target(), "{name} is lost\n{}", output.dump());
            }
            assert_same(&before, &Snapshot::of(&*outside));
            assert_eq!(fs::read(sides.to.join("mine")).unwrap(), b"mine");
            empty(&sides.from);
            for name in (0..30).map(|i| format!("f{i}")).chain((0..9).map(|i| format!("t{i}"))) {
                let path = sides.to.join(name);
                fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).ok();
            }
        }
        stop(attacker);
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h28_a_private_file_is_read_by_nobody_at_any_instant() {
    require_root();
    for limit in ["-n 1024", "-n 200"] {
        for sides in [across(), back()] {
            // Whatever is made here shall belong to the attacker's group, and let the attacker in.
            let grants = "u::rwx,u:65534:rwx,g::rwx,m::rwx,o::rwx";
            Tree::new().dir("d").owner(0, 65534).mode(0o3777).default_acl(grants).build(&sides.to);
            fs::set_permissions(&*sides.to, Permissions::from_mode(0o755)).unwrap();
            let to = sides.to.join("d");
            // Opens whatever can be opened, and never stops reading it.
            let script = "while :; do cat * .pmove-*/* .pmove-*/*/* .pmove-*/*/*/* t/* 2>/dev/null; done";
            let attacker = attacker(&to, script);
            for round in 0..rounds(4) {
                let content = "SECRET".repeat(1_000_000);
                let tree = Tree::new().file("private", &content).mode(0o600).file("group", &content).mode(0o640);
                let tree = tree.file("none", &content).mode(0).file("t/x", &content).mode(0o600).dir("t").mode(0o755);
                tree.file("acl", &content).acl("u::rw-,u:1000:r--,g::---,m::r--,o::---").build(&sides.from);
                let all = ["private", "group", "none", "t", "acl"];
                let look = || {
                    for path in entries(&to) {
                        let Ok(metadata) = path.symlink_metadata() else { continue };
                        let is_tree = path.ends_with("t");
                        assert!(is_tree || metadata.mode() & 0o007 == 0, "{} in round {round}", path.display());
                        assert!(metadata.is_dir() || metadata.gid() == 0, "{} has the wrong group", path.display());
                    }
                };
                let run = || sides.pmove().args(all).arg(&to).umask(0).limit(limit).run().ok().code;
                watched(look, run);
                empty(&to);
            }
            let loot = stop(attacker);
            assert!(loot.stdout.is_empty(), "the attacker has read {} bytes", loot.stdout.len());
        }
    }
}

/// Every file with set-id bits below `dir` belongs to the user and group that it is to belong to.
#[track_caller]
fn assert_set_id_is_right(dir: &Path) {
    for path in entries(dir) {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_dir() {
            assert_set_id_is_right(&path);
        } else if metadata.mode() & 0o6000 != 0 {
            assert_eq!((metadata.uid(), metadata.gid()), (1000, 2000), "{}", path.display());
        }
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h29_set_id_bits_are_never_with_a_wrong_owner() {
    require_root();
    // Stages have names where descriptors are short: then they can be looked at.
    for sides in [across(), back()] {
        let set_id = |tree: Tree, name: &str| tree.file(name, "x").owner(1000, 2000).mode(0o6755);
        let tree = set_id(Tree::new(), "f");
        set_id(tree, "t/f").dir("t/sgid").owner(1000, 2000).mode(0o2775).build(&sides.from);
        let calls = ["fchown:delay_enter=200ms", "fchmod:delay_enter=200ms"];
        let pmove = injected(sides.pmove().args(["f", "t"]).arg(&*sides.to).limit("-n 200"), &calls);
        let (_, looks) = watched(|| assert_set_id_is_right(&sides.to), || pmove.run().ok().code);
        assert!(looks > 50);
        for name in ["f", "t/f"] {
            assert_eq!(sides.to.join(name).metadata().unwrap().mode() & 0o7777, 0o6755, "{name}");
        }
    }
}
