//! What is moved in a sweep: every kind of file that the one who runs it can make, flat and in trees.

use std::fs;
use std::path::{Path, PathBuf};

use super::tracer::{Act, Traced, run};
use crate::common::fs::{Scratch, is_root};
use crate::common::run::Pmove;
use crate::common::tree::Tree;

/// Directories in which to make a source and a target directory.
pub(super) struct Ground<'a> {
    pub(super) from: &'a Path,
    pub(super) to: &'a Path,
}

/// One command, and what it is to move.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    args: &'static [&'static str],
    sources: fn() -> Tree,
    targets: fn() -> Tree,
    /// Its re-run, once all has been moved, is no error.
    pub(super) may_be_empty: bool,
}

/// All of them. The sources are patterns where the re-run is to find what is left, however little.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "files", args: &["--allow-empty", "-j2", "*"], sources: flat, targets: old, may_be_empty: true },
    Scenario { name: "files -n", args: &["--allow-empty", "-n", "*"], sources: flat, targets: old, may_be_empty: true },
    Scenario {
        name: "files -f, unsynced",
        args: &["--allow-empty", "-f", "--sync=none", "*"],
        sources: flat,
        targets: old,
        may_be_empty: true,
    },
    Scenario {
        name: "three files",
        args: &["--allow-empty", "f*"],
        sources: few,
        targets: old_few,
        may_be_empty: true,
    },
    Scenario { name: "one file", args: &["file"], sources: one, targets: Tree::new, may_be_empty: false },
    Scenario {
        name: "a tree",
        args: &["--allow-empty", "-j2", "tre*"],
        sources: tree,
        targets: Tree::new,
        may_be_empty: true,
    },
    Scenario {
        name: "a tree -n, by name",
        args: &["-n", "tree"],
        sources: tree,
        targets: Tree::new,
        may_be_empty: false,
    },
    Scenario {
        name: "two trees and a file",
        args: &["--allow-empty", "-j2", "t*"],
        sources: linked,
        targets: Tree::new,
        may_be_empty: true,
    },
];

const WHEN: (i64, u32) = (1_000_000_000, 123_456_789);

fn content(seed: u8, len: usize) -> Vec<u8> {
    (0..251).map(|byte: u8| byte ^ seed).cycle().take(len).collect()
}

trait Dated {
    fn dated(self) -> Self;
}

impl Dated for Tree {
    /// Two builds of one tree are alike.
    fn dated(self) -> Self {
        self.mtime(WHEN.0, WHEN.1)
    }
}

fn flat() -> Tree {
    let tree = Tree::new()
        .file("a", "small")
        .dated()
        .file("empty", "")
        .dated()
        .file("big", content(1, 300_000))
        .dated()
        .mode(0o640)
        .sparse("holes", 1 << 20, &[(300_000, b"data")])
        .dated()
        .file("private", "p")
        .dated()
        .mode(0o600)
        .file("set-id", "s")
        .dated()
        .mode(0o6755)
        .file("attributes", "x")
        .dated()
        .xattr("user.one", "1")
        .xattr("user.two", "2")
        .file("replaces", content(2, 70_000))
        .dated()
        .file("link1", "several names")
        .dated()
        .hard_link("link2", "link1")
        .hard_link("link3", "link1")
        .symlink("symlink", "a")
        .dated()
        .fifo("fifo")
        .dated();
    if is_root() {
        tree.file("foreign", "f").owner(65534, 65534).dated().char_device("device", 1, 3).dated()
    } else {
        tree
    }
}

fn old() -> Tree {
    Tree::new().file("replaces", "the old one").dated().file("other", "not ours").dated()
}

fn few() -> Tree {
    Tree::new().file("f1", "one").dated().file("f2", content(3, 100_000)).dated().file("f3", "").dated()
}

fn old_few() -> Tree {
    Tree::new().file("f2", "the old one").dated()
}

fn one() -> Tree {
    Tree::new().file("file", content(4, 5_000)).dated()
}

fn tree() -> Tree {
    Tree::new()
        .file("tree/a", "small")
        .dated()
        .file("tree/sub/big", content(5, 300_000))
        .dated()
        .file("tree/sub/link1", "two names")
        .dated()
        .hard_link("tree/other/link2", "tree/sub/link1")
        .sparse("tree/other/holes", 1 << 20, &[(0, b"data")])
        .dated()
        .symlink("tree/other/symlink", "/etc")
        .dated()
        .fifo("tree/fifo")
        .dated()
        .file("tree/closed/in", "in")
        .dated()
        .dir("tree/sub")
        .mode(0o2750)
        .dated()
        .dir("tree/other")
        .xattr("user.on", "dir")
        .dated()
        .dir("tree/empty")
        .dated()
        .dir("tree/closed")
        .mode(if is_root() { 0o555 } else { 0o755 })
        .dated()
        .dir("tree")
        .dated()
}

fn linked() -> Tree {
    Tree::new()
        .file("t1/a", "first")
        .dated()
        .file("t1/shared", "in both")
        .dated()
        .hard_link("t2/shared", "t1/shared")
        .hard_link("t-shared", "t1/shared")
        .dir("t1")
        .dated()
        .dir("t2")
        .dated()
}

/// The two directories of one run.
pub(super) struct Sides {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    _scratch: [Scratch; 2],
}

impl Scenario {
    /// Makes what is to be moved, and what is at the target before.
    pub(super) fn set_up(&self, ground: &Ground) -> Sides {
        let scratch = [Scratch::new_in(ground.from), Scratch::new_in(ground.to)];
        let (from, to) = (scratch[0].join("from"), scratch[1].join("to"));
        for dir in [&from, &to] {
            fs::create_dir(dir).unwrap();
        }
        (self.sources)().build(&from);
        (self.targets)().build(&to);
        Sides { from, to, _scratch: scratch }
    }

    /// Existing targets are left alone.
    pub(super) fn skips(&self) -> bool {
        self.args.contains(&"-n")
    }

    pub(super) fn command(&self, sides: &Sides) -> Pmove {
        Pmove::new().cwd(&sides.from).args(self.args).arg(&sides.to)
    }

    /// What a run does that nothing disturbs: its calls.
    pub(super) fn quiet(&self, ground: &Ground) -> Traced {
        let sides = self.set_up(ground);
        let traced = run(self.command(&sides), usize::MAX, Act::Watch);
        traced.output.ok();
        traced
    }
}
