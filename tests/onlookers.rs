//! Other users in the target directory: names that they plant there, and readers that wait for a moment of
//! carelessness. Races are run a few times, or as often as `PMOVE_TEST_ROUNDS` says.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use common::fs::{ordinary_user, require_root, scratch};
use common::run::{Output, Pmove, Running};
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use promises::{Sides, across, back, empty, entries, files, give_away, injected, names, rounds, watched};

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
    let outside = scratch();
    Tree::new().files(10, |i| (format!("f{i}"), "theirs".into())).dir("empty").mode(0o711).build(&outside);
    let before = Snapshot::of(&*outside);
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
    let outside = scratch();
    Tree::new().files(10, |i| (format!("f{i}"), "theirs".into())).dir("empty").mode(0o711).build(&outside);
    let before = Snapshot::of(&*outside);
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

/// What an ACL, as the kernel hands it out, gives to a user that it names.
fn granted(acl: &[u8], user: u32) -> u16 {
    // linux/posix_acl_xattr.h: after the version, entries of tag, permissions and id.
    let entries = acl[4..].chunks_exact(8).map(|entry| {
        let word = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        (word(0), word(2), u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]))
    });
    let entries: Vec<_> = entries.collect();
    let mask = entries.iter().find(|(tag, ..)| *tag == 0x10).map_or(7, |(_, permissions, _)| *permissions);
    entries.iter().filter(|(tag, _, id)| *tag == 0x02 && *id == user).fold(0, |all, (_, some, _)| all | some & mask)
}

/// Nothing below `dir` lets user 1000 in.
#[track_caller]
fn assert_nothing_granted(dir: &Path) {
    for path in entries(dir) {
        let mut acl = vec![0; 1024];
        if let Ok(len) = rustix::fs::lgetxattr(&path, common::tree::ACL_ACCESS, &mut acl[..]) {
            assert_eq!(granted(&acl[..len], 1000), 0, "{}", path.display());
        }
        assert_nothing_granted(&path);
    }
}

#[test]
fn h92_a_default_acl_lets_nobody_in_at_any_instant() {
    let mut all_looks = 0;
    for limit in ["-n 1024", "-n 200"] {
        for sides in [across(), back()] {
            let to = sides.to.join("d");
            Tree::new().dir("d").default_acl("u::rwx,u:1000:rwx,g::rwx,m::rwx,o::---").build(&sides.to);
            let content = "x".repeat(4_000_000);
            let tree = Tree::new().file("f", &content).mode(0o640).file("t/f", &content).mode(0o660).dir("t");
            tree.mode(0o750).fifo("p").mode(0o660).build(&sides.from);
            let run = || sides.pmove().args(["f", "t", "p"]).arg(&to).limit(limit).run().ok().code;
            let (_, looks) = watched(|| assert_nothing_granted(&to), run);
            all_looks += looks;
        }
    }
    assert!(all_looks > 20, "only {all_looks} looks");
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
        assert!(looks > 10);
        for name in ["f", "t/f"] {
            assert_eq!(sides.to.join(name).metadata().unwrap().mode() & 0o7777, 0o6755, "{name}");
        }
    }
}
