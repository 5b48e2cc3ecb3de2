//! A mount on which every request takes a while: `-j auto` finds that many workers can wait side by side, and everything
//! arrives as it does with one.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod fuse;
mod promises;

use std::fs;
use std::time::{Duration, Instant};

use common::fs::scratch;
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use fuse::{Fault, Fuse, Op, Quirks};
use promises::{litter, names};
use rustix::io::Errno;

/// Directories, and files in each.
const DIRS: usize = 20;
const FILES: usize = 16;

fn forest() -> Tree {
    let mut tree = Tree::new();
    for dir in 0..DIRS {
        for file in 0..FILES {
            tree = tree.file(format!("d/d{dir}/f{file}"), format!("{dir} {file}"));
        }
    }
    tree
}

fn list() -> String {
    let names = (0..DIRS).flat_map(|dir| (0..FILES).map(move |file| format!("d/d{dir}/f{file}\0")));
    names.collect()
}

#[test]
#[ignore = "needs root and FUSE"]
fn auto_has_many_wait_at_once() {
    let disk = Fuse::far_away();
    let time = |jobs: &str, far: bool| {
        let (near, far_dir) = (scratch(), disk.path().join("to"));
        fs::create_dir(&far_dir).expect("an empty file system");
        let (from, to) = if far { (&*near, &*far_dir) } else { (&*far_dir, &*near) };
        forest().symlink("d/d2/l", "f1").hard_link("d/d0/again", "d/d1/f1").dir("d/empty").mode(0o500).build(from);
        let whole = Snapshot::of(from.join("d"));
        disk.set_delay(Duration::from_millis(2));
        let begun = Instant::now();
        let output = Pmove::new().args(["-j", jobs, "d"]).arg(to).cwd(from).run();
        let took = begun.elapsed();
        disk.set_delay(Duration::ZERO);
        output.ok().stderr_is("");
        assert_same(&whole, &Snapshot::of(to.join("d")));
        assert!(names(from).is_empty() && litter(to).is_empty());
        fs::remove_dir_all(far_dir).expect("what was moved, or nothing");
        took
    };
    for far in [true, false] {
        let processors = std::thread::available_parallelism().unwrap().get();
        let (few, auto) = (time(&processors.to_string(), far), time("auto", far));
        // With two processors it takes a tenth. With thirty there is no telling.
        let is_faster = auto < few / 2 || processors > 8;
        assert!(is_faster, "with {processors} {few:?}, with as many as are of use {auto:?}, to the mount: {far}");
    }
    assert!(disk.count(Op::Fsync) >= 2 * (DIRS * FILES) as u64, "every file is made durable on its own there");
}

#[test]
#[ignore = "needs root and FUSE"]
fn from_a_list_everything_arrives_and_what_is_there_stays() {
    let no_links = Fault::on(Op::Link, Errno::OPNOTSUPP);
    for faults in [vec![], vec![no_links]] {
        let disk = Fuse::new(Quirks { delay: Duration::from_millis(1), faults, ..Quirks::default() });
        let from = scratch();
        forest().build(&*from);
        fs::create_dir_all(disk.path().join("d/d4")).expect("an empty file system");
        fs::write(disk.path().join("d/d4/f4"), "old").expect("an empty file system");
        let args = ["-j", "16", "-n", "--parents", "-0", "-"];
        Pmove::new().args(args).arg(disk.path()).cwd(&*from).stdin(list()).run().ok().stderr_is("");
        disk.set_delay(Duration::ZERO);
        assert_eq!(fs::read(disk.path().join("d/d4/f4")).expect("still there"), b"old");
        assert_eq!(names(&from.join("d/d4")), ["f4"]);
        assert_eq!(names(&from.join("d/d5")).len(), 0);
        for dir in (0..DIRS).filter(|&dir| dir != 4) {
            let at = disk.path().join(format!("d/d{dir}"));
            for file in 0..FILES {
                let content = fs::read_to_string(at.join(format!("f{file}"))).expect("it has arrived");
                assert_eq!(content, format!("{dir} {file}"));
            }
        }
        assert!(litter(disk.path()).is_empty());
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn p6_killed_between_link_and_unlink_the_re_run_finishes() {
    // Counted for each worker, of which there are eight.
    for (call, when) in [("linkat", 1), ("linkat", 3), ("unlinkat", 1), ("unlinkat", 2), ("unlinkat", 4)] {
        let disk = Fuse::new(Quirks { delay: Duration::from_millis(1), ..Quirks::default() });
        let from = scratch();
        for dir in 0..DIRS {
            Tree::new().file(format!("d/d{dir}/f{dir}-1"), "1").file(format!("d/d{dir}/f{dir}-2"), "2").build(&*from);
        }
        let names_of = |dir: usize| format!("d/d{dir}/f{dir}-1\0d/d{dir}/f{dir}-2\0");
        let list: String = (0..DIRS).map(names_of).collect();
        let run = || Pmove::new().args(["-j", "8", "--parents", "-0", "-"]).arg(disk.path()).cwd(&*from).stdin(&list);
        let killed = promises::injected(run(), &[&format!("{call}:signal=KILL:when={when}")]).run();
        assert!(killed.signal.is_some(), "{call} {when} was not reached: {}", killed.dump());
        run().run();
        disk.set_delay(Duration::ZERO);
        for dir in 0..DIRS {
            let at = disk.path().join(format!("d/d{dir}"));
            assert_eq!(names(&at).len(), 2, "{call} {when}: {}", at.display());
            assert!(names(&from.join(format!("d/d{dir}"))).is_empty(), "{call} {when}");
        }
        assert!(litter(disk.path()).is_empty());
    }
}
