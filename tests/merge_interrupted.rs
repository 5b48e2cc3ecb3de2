//! `--merge` that is killed, interrupted or raced, and between real file systems.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::fs::{Scratch, other, require_root, scratch};
use common::mount::{FsType, LoopFs, Mount};
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::trace::Strace;
use common::tree::Tree;
use promises::{Sides, across, back, everywhere, expect, found, injected, litter, names, one_device};

/// Merged directories of every sort, to be killed in: some are there, some not, one file is skipped.
fn build_to_be_killed(sides: &Sides) -> Snapshot {
    let tree = Tree::new().files(24, |i| (format!("d/{}/f{i}", i % 4), format!("{i} ").repeat(i * 50)));
    let tree =
        tree.file("d/whole/a/f", "whole").file("d/whole/g", "too").file("d/0/both", "new").file("d/1/x/y/f", "y");
    tree.build(&sides.from);
    let whole = Snapshot::of(sides.from.join("d"));
    Tree::new().dir("d/0").dir("d/1/x/y").dir("d/2").file("d/0/both", "old").build(&sides.to);
    whole
}

#[track_caller]
fn check_after_kill(sides: &Sides, whole: &Snapshot, when: &str) {
    let without = |snapshot: Snapshot| snapshot.edit(|_, entry| entry.mtime = (0, 0));
    let moved = without(Snapshot::of(sides.to.join("d")));
    let expected = without(whole.clone()).edit(|path, entry| {
        if path == Path::new("0/both") {
            *entry = moved.get(path).unwrap().clone();
        }
    });
    assert_same(&expected, &moved);
    assert_eq!(fs::read(sides.to.join("d/0/both")).unwrap(), b"old", "{when}");
    expect(&sides.from, &[("d", "/"), ("d/0", "/"), ("d/0/both", "new")]);
    sides.assert_no_litter();
}

fn kill_everywhere(make: fn() -> Sides) {
    let command = |sides: &Sides| sides.pmove().args(["--merge", "-n", "-j", "1", "d"]).arg(&*sides.to);
    let sides = make();
    let whole = build_to_be_killed(&sides);
    let (output, counts) = Strace::new().count(command(&sides));
    output.ok();
    check_after_kill(&sides, &whole, "not at all");
    let mut kills = 0;
    let calls = [
        "renameat2",
        "renameat",
        "linkat",
        "unlinkat",
        "mkdirat",
        "openat",
        "syncfs",
        "fsync",
        "write",
        "flock",
        "utimensat",
    ];
    for call in calls {
        let count = counts.of(call);
        for n in (1..=count).step_by(usize::try_from((count / 8).max(1) | 1).unwrap()) {
            let sides = make();
            let whole = build_to_be_killed(&sides);
            let when = format!("killed at {call} {n}");
            let killed = injected(command(&sides), &[&format!("{call}:signal=KILL:when={n}")]).run();
            kills += u32::from(killed.signal.is_some());
            let output: common::run::Output = command(&sides).run();
            assert_eq!(output.code, Some(0), "{when}\n{}", output.dump());
            check_after_kill(&sides, &whole, &when);
        }
    }
    assert!(kills > 10, "only {kills} runs were killed");
}

#[test]
#[ignore = "needs strace"]
fn p6_killed_while_merging_on_one_device_the_re_run_finishes() {
    kill_everywhere(one_device);
}

#[test]
#[ignore = "needs strace"]
fn p6_killed_while_merging_across_devices_the_re_run_finishes() {
    kill_everywhere(across);
    kill_everywhere(back);
}

#[test]
fn an_interrupted_merge_is_finished_by_the_same_command() {
    for sides in [across(), back()] {
        let tree = Tree::new().files(200, |i| (format!("d/{}/f{i}", i % 50), "x".repeat(1 << 16)));
        tree.build(&sides.from);
        let whole = found(&sides.from);
        (0..50).fold(Tree::new(), |tree, i| tree.dir(format!("d/{i}"))).build(&sides.to);
        let command = || -> Pmove { sides.pmove().args(["--merge", "-j", "2", "d"]).arg(&*sides.to) };
        let mut running = command().spawn();
        promises::wait_until("something has arrived", || {
            !running.is_running() || (0..50).any(|i| !names(&sides.to.join(format!("d/{i}"))).is_empty())
        });
        running.signal(rustix::process::Signal::TERM);
        running.wait();
        assert_eq!(litter(&sides.to), Vec::<std::path::PathBuf>::new());
        if sides.from.join("d").exists() {
            command().run().ok().stderr_is("");
        }
        assert_eq!(found(&sides.to), whole);
        assert!(names(&sides.from).is_empty());
    }
}

/// A directory that somebody fills while it is being merged is not removed, nor is anything in it.
#[test]
fn h20_what_appears_while_merging_is_merged_or_stays() {
    for sides in everywhere() {
        Tree::new().files(200, |i| (format!("d/{}/f{i}", i % 20), "x".into())).build(&sides.from);
        (0..20).fold(Tree::new(), |tree, i| tree.dir(format!("d/{i}"))).build(&sides.to);
        let mut running = sides.pmove().args(["--merge", "d"]).arg(&*sides.to).spawn();
        let mut made = 0;
        while running.is_running() && made < 2_000 {
            if fs::write(sides.from.join(format!("d/19/late{made}")), "late").is_err() {
                break;
            }
            made += 1;
        }
        running.wait();
        let (here, there) = (found(&sides.from), found(&sides.to));
        for i in 0..made {
            let name = format!("d/19/late{i}");
            assert!(here.contains_key(&name) || there.contains_key(&name), "{name} is gone");
        }
        assert_eq!(there.keys().filter(|name| name.contains("/f")).count(), 200);
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn directories_merge_and_keep_paths_between_real_file_systems() {
    require_root();
    let build = |from: &Path, to: &Path| {
        let tree = Tree::new().files(90, |i| (format!("d/{}/f{i}", i % 30), format!("{i}")));
        let tree = (0..10).fold(tree, |tree, i| tree.hard_link(format!("d/{}/l{i}", i + 7), format!("d/{i}/f{i}")));
        tree.file("d/whole/x", "x").file("d/0/both", "new").build(from);
        (0..30).fold(Tree::new(), |tree, i| tree.dir(format!("d/{i}"))).file("d/0/both", "old").build(to);
    };
    let check = |from: &Path, to: &Path| {
        let whole = found(&from.join("d"));
        let output = Pmove::new().cwd(from).args(["--merge", "-n", "d"]).arg(to).run();
        output.ok().stderr_is("");
        let expected: BTreeMap<String, String> = whole
            .into_iter()
            .map(|(path, what)| if path == "0/both" { (path, "old".to_owned()) } else { (path, what) })
            .collect();
        assert_eq!(found(&to.join("d")), expected);
        for i in 0..10 {
            let ids = [format!("d/{i}/f{i}"), format!("d/{}/l{i}", i + 7)]
                .map(|path| to.join(path).metadata().unwrap().ino());
            assert_eq!(ids[0], ids[1]);
        }
        expect(from, &[("d", "/"), ("d/0", "/"), ("d/0/both", "new")]);
        // Back again, below paths that are not there.
        let output = Pmove::new().cwd(to).args(["--parents", "-f", "d/*/*"]).arg(from.join("d")).run();
        output.ok().stderr_is("");
        assert_eq!(found(&from.join("d/d")).len(), expected.len());
        assert_eq!([litter(from), litter(to)].concat(), Vec::<std::path::PathBuf>::new());
    };
    for kind in FsType::ALL {
        let (image, memory) = (LoopFs::new(kind, 400 << 20), other());
        let there = Scratch::new_in(image.path());
        build(&memory, &there);
        check(&memory, &there);
    }
    let [lower, upper, memory] = [scratch(), scratch(), other()];
    for dir in ["upper", "work"] {
        fs::create_dir(upper.join(dir)).unwrap();
    }
    let overlay = Mount::overlay(&lower, &upper.join("upper"), &upper.join("work"));
    build(&memory, overlay.path());
    check(&memory, overlay.path());
}

/// A directory that is mounted in itself, or into its own target, leads round in circles.
#[test]
#[ignore = "needs root and loop mounts"]
fn h07_h91_what_is_mounted_in_a_merged_directory_stays() {
    let sides = one_device();
    Tree::new().file("d/a/f", "f").dir("d/mounted").file("other/g", "g").build(&sides.from);
    Tree::new().dir("d/a").dir("d/mounted").dir("d/round").build(&sides.to);
    let mounted = Mount::bind(&sides.from.join("other"), &sides.from.join("d/mounted"));
    let output = sides.pmove().args(["--merge", "d"]).arg(&*sides.to).run();
    output.fails_with(1).stderr_has("/d/mounted': Device or resource busy");
    drop(mounted);
    expect(&sides.from, &[("d", "/"), ("d/mounted", "/"), ("other", "/"), ("other/g", "g")]);
    // The target shows the source.
    Tree::new().file("d/round/f", "f").build(&sides.from);
    let round = Mount::bind(&sides.from.join("d"), &sides.to.join("d/round"));
    let output = sides.pmove().args(["--merge", "d"]).arg(&*sides.to).run();
    output.fails_with(1).stderr_has("to a subdirectory of itself");
    drop(round);
    assert_eq!(found(&sides.from)["d/round/f"], "f");
}
