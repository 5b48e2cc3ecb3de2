//! That the file system of `tests/fuse` is a good one unless told otherwise: what tests find there is pmove's doing.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod fuse;
mod promises;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use common::fs::{copy, scratch};
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use fuse::{Fault, Fuse, Op, Quirks};
use promises::{litter, names};
use rustix::io::Errno;

#[test]
#[ignore = "needs root and FUSE"]
fn everything_goes_there_within_and_back() {
    let (from, back) = (scratch(), scratch());
    let disk = Fuse::new(Quirks::default());
    Tree::everything().build(&from);
    fs::create_dir(from.join("tree")).unwrap();
    Tree::everything().build(from.join("tree"));
    let whole = Snapshot::of(&*from).without_root().without_holes();
    fs::create_dir(disk.path().join("a")).unwrap();
    fs::create_dir(disk.path().join("b")).unwrap();
    let (a, b) = (disk.path().join("a"), disk.path().join("b"));
    for (from, to) in [(&*from, &*a), (&a, &b), (&b, &*back)] {
        Pmove::new().arg("*").arg(to).cwd(from).run().ok().stderr_is("");
        assert_same(&whole, &Snapshot::of(to).without_root().without_holes());
        assert!(names(from).is_empty());
        assert!(litter(disk.path()).is_empty());
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn other_programs_find_it_in_order() {
    let (from, back) = (scratch(), scratch());
    let disk = Fuse::new(Quirks::default());
    Tree::everything().build(&from);
    copy(&from, &disk.path().join("copy"));
    copy(&disk.path().join("copy"), &back.join("copy"));
    assert_same(&Snapshot::of(&*from).without_holes(), &Snapshot::of(back.join("copy")).without_holes());
    fs::rename(disk.path().join("copy"), disk.path().join("moved")).unwrap();
    fs::remove_dir_all(disk.path().join("moved")).unwrap();
    assert!(names(disk.path()).is_empty());
}

#[test]
#[ignore = "needs root and FUSE"]
fn requests_are_served_side_by_side() {
    let disk = Fuse::new(Quirks::default());
    for i in 0..16 {
        fs::write(disk.path().join(format!("f{i}")), "x").unwrap();
    }
    disk.set(|quirks| quirks.delay = Duration::from_millis(200));
    let begun = Instant::now();
    thread::scope(|scope| {
        for i in 0..16 {
            let disk = &disk;
            scope.spawn(move || fs::read(disk.path().join(format!("f{i}"))).unwrap());
        }
    });
    let took = begun.elapsed();
    disk.set(|quirks| quirks.delay = Duration::ZERO);
    // One after the other it would be 16 times five or so requests.
    assert!(took > Duration::from_millis(400) && took < Duration::from_secs(6), "{took:?}");
}

#[test]
#[ignore = "needs root and FUSE"]
fn faults_come_when_they_are_asked_for() {
    let done = Fault::on(Op::Rename, Errno::IO).of("late").but_done();
    let disk = Fuse::new(Quirks::faults([Fault::on(Op::Rename, Errno::ACCESS).of("one").times(1), done]));
    let path = |name: &str| disk.path().join(name);
    for name in ["one", "late", "other"] {
        fs::write(path(name), name).unwrap();
    }
    let rename = |from: &str, to: &str| fs::rename(path(from), path(to)).map_err(|error| error.raw_os_error().unwrap());
    assert_eq!(rename("one", "1"), Err(13));
    assert_eq!(rename("one", "1"), Ok(()));
    assert_eq!(rename("late", "2"), Err(5));
    assert_eq!(rename("other", "3"), Ok(()));
    assert_eq!(names(disk.path()), ["1", "2", "3"]);
    assert_eq!(disk.count(Op::Rename), 4);
}
