//! Sources that change, go or grow while they are moved: what was not copied is never removed, and it is said.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, openat};

use common::run::Output;
use common::snapshot::Snapshot;
use common::tree::{Tree, set_mtime};
use promises::held::{held_after, held_before};
use promises::{Sides, across, back, empty, entries, names, rounds};

/// A name, and what is done to the file of that name.
type Change = (&'static str, fn(&Path));

/// What can be done to a file behind its mover's back. Each leaves other content than there was.
const CHANGES: [Change; 6] = [
    ("appended", |path| {
        OpenOptions::new().append(true).open(path).unwrap().write_all(b" and after").unwrap();
    }),
    ("truncated", |path| OpenOptions::new().write(true).open(path).unwrap().set_len(3).unwrap()),
    ("rewritten", |path| {
        // Size and time are what they were.
        OpenOptions::new().write(true).open(path).unwrap().write_at(b"AFTER", 0).unwrap();
        set_mtime(path, 5, 5).unwrap();
    }),
    ("replaced", |path| {
        let other = path.with_file_name("other");
        fs::write(&other, "BEFORE").unwrap();
        set_mtime(&other, 5, 5).unwrap();
        fs::rename(other, path).unwrap();
    }),
    ("made anew", |path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "BEFORE").unwrap();
        set_mtime(path, 5, 5).unwrap();
    }),
    ("made a directory", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
];

/// A file for each change.
fn build(dir: &Path) {
    CHANGES.iter().fold(Tree::new(), |tree, (name, _)| tree.file(name, "before").mtime(5, 5)).build(dir);
}

/// Changes them all; what is there then.
fn change(dir: &Path) -> Snapshot {
    for (name, change) in CHANGES {
        change(&dir.join(name));
    }
    Snapshot::of(dir)
}

/// None of them was removed, and of each it was said.
#[track_caller]
fn assert_all_stay(sides: &Sides, changed: &Snapshot, output: &Output) {
    output.fails_with(1);
    common::snapshot::assert_same(&changed.clone().without_root(), &Snapshot::of(&*sides.from).without_root());
    for (name, _) in CHANGES {
        output.stderr_has(&format!("'{name}' changed while it was being "));
    }
    sides.assert_no_litter();
}

#[test]
#[ignore = "needs strace"]
fn h19_what_changes_before_it_is_published_stays_and_is_not_published() {
    for sides in [across(), back()] {
        // On the way to the first target: all are staged.
        build(&sides.from);
        let all = CHANGES.map(|(name, _)| name);
        let held = held_before(sides.pmove().args(["-j", "1"]).args(all).arg(&*sides.to), "linkat", 1);
        let changed = change(&sides.from);
        assert_all_stay(&sides, &changed, &held.go_on());
        // Nothing but the one that was past its last look.
        assert_eq!(names(&sides.to), [CHANGES[0].0]);
    }
}

#[test]
#[ignore = "needs strace"]
fn h19_what_changes_after_it_was_published_stays() {
    for sides in [across(), back()] {
        build(&sides.from);
        let all = CHANGES.map(|(name, _)| name);
        let pmove = sides.pmove().args(["-j", "1"]).args(all).arg(&*sides.to);
        let held = held_after(pmove, "linkat", CHANGES.len());
        let changed = change(&sides.from);
        assert_all_stay(&sides, &changed, &held.go_on());
        for (name, _) in CHANGES {
            assert_eq!(fs::read(sides.to.join(name)).unwrap(), b"before", "{name}");
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h19_what_changes_while_it_is_read_stays() {
    for sides in [across(), back()] {
        for (n, (name, change)) in CHANGES[..5].iter().enumerate() {
            // What is replaced is read to its end all the same: a directory arrives with it, and keeps the other.
            for dir in if n < 3 { &["", "t/"][..] } else { &[""] } {
                let name = format!("{dir}{name}");
                let path = sides.from.join(&name);
                Tree::new().file(&name, vec![7; 33 << 20]).mtime(5, 5).build(&sides.from);
                // Each call copies a part: it changes between two of them.
                let operand = if dir.is_empty() { &*name } else { "t" };
                let held = held_after(sides.pmove().arg(operand).arg(&*sides.to), "splice", 1);
                change(&path);
                let changed = Snapshot::of(&path);
                let output = held.go_on();
                output.fails_with(1).stderr_is(&format!("pmove: '{name}' changed while it was being read; it stays\n"));
                common::snapshot::assert_same(&changed, &Snapshot::of(&path));
                assert!(names(&sides.to).is_empty());
                empty(&sides.from);
            }
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h20_what_changes_in_a_directory_before_it_is_hidden_is_kept_and_named() {
    for sides in [across(), back()] {
        fs::create_dir_all(sides.from.join("t/d")).unwrap();
        build(&sides.from.join("t/d"));
        Tree::new().file("t/same", "same").file("t/e/same", "same").dir("t/gone").build(&sides.from);
        let held = held_before(sides.pmove().arg("t").arg(&*sides.to), "renameat2", 1);
        change(&sides.from.join("t/d"));
        Tree::new().file("t/new", "new").file("t/e/new/deep", "new").dir("t/gone/new").build(&sides.from);
        let changed = Snapshot::of(&*sides.from);
        let output = held.go_on();
        output.fails_with(1).stderr_has("what appeared or changed in it during the move is in 't'");
        let kept = Snapshot::of(&*sides.from);
        for name in ["t/new", "t/e/new/deep", "t/gone/new"].map(str::to_owned).into_iter().chain(of_changes()) {
            assert_eq!(kept.get(&name).map(|entry| &entry.content), changed.get(&name).map(|entry| &entry.content));
            assert!(kept.get(&name).is_some(), "{name} is lost\n{}", output.dump());
        }
        assert!(kept.get("t/same").is_none() && kept.get("t/e/same").is_none());
        for name in of_changes() {
            assert_eq!(fs::read(sides.to.join(name)).unwrap(), b"before");
        }
        sides.assert_no_litter();
    }
}

fn of_changes() -> impl Iterator<Item = String> {
    CHANGES.into_iter().map(|(name, _)| format!("t/d/{name}"))
}

/// Creates files in directories that it holds open, until it is told to stop or the directories are gone.
fn create_all_the_time(dirs: &[OwnedFd], is_over: &AtomicBool) -> Vec<(usize, String)> {
    let mut created = Vec::new();
    for n in 0.. {
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        let (at, name) = (n % dirs.len(), format!("new{n}"));
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        if openat(dirs[at].as_fd(), &*name, flags, Mode::from_raw_mode(0o644)).is_ok() {
            created.push((at, name));
        }
        thread::sleep(Duration::from_micros(50));
    }
    created
}

#[test]
fn h20_files_that_appear_all_the_time_are_all_somewhere() {
    for sides in [across(), back()] {
        let mut were_kept = 0;
        for _ in 0..rounds(5) {
            Tree::new().files(300, |i| (format!("t/d{}/f{i}", i % 3), "x".into())).build(&sides.from);
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
            let open = |i| rustix::fs::open(sides.from.join(format!("t/d{i}")), flags, Mode::empty()).unwrap();
            let dirs: Vec<OwnedFd> = (0..3).map(open).collect();
            let is_over = AtomicBool::new(false);
            let (output, created) = thread::scope(|scope| {
                let creator = scope.spawn(|| create_all_the_time(&dirs, &is_over));
                let output = sides.pmove().arg("t").arg(&*sides.to).run();
                is_over.store(true, Ordering::SeqCst);
                (output, creator.join().unwrap())
            });
            assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
            // Under its old name, or under the hidden one, if its directory could not be given back.
            let roots: Vec<_> = [entries(&sides.from), entries(&sides.to)].concat();
            for (at, name) in created {
                let is_there = |root: &std::path::PathBuf| root.join(format!("d{at}")).join(&name).exists();
                assert!(roots.iter().any(is_there), "{name} is lost\n{}", output.dump());
            }
            if output.code == Some(1) {
                were_kept += 1;
                output.stderr_has("'t' is not empty: what appeared or changed in it during the move is in '");
            } else {
                assert!(names(&sides.from).is_empty());
            }
            assert_eq!(names(&sides.to), ["t"]);
            empty(&sides.from);
            empty(&sides.to);
        }
        assert!(were_kept > 0, "nothing appeared in time");
    }
}
