//! `--merge` against a model of what it means, written without the engine: a large tree into one that holds half of it,
//! with the same, other, older and newer contents, and with files where directories should be and the other way round.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::fs::{Scratch, other};
use common::mount::Mount;
use common::tree::set_mtime;
use promises::{Sides, across, back, one_device};

/// A file: what it holds, and when it was changed. Or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    File(u32, i64),
    Dir(Tree),
}

type Tree = BTreeMap<String, Node>;

/// The dice: the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// A directory of about `files` files, some of them further down.
fn grow(dice: &mut Dice, files: u64, next: &mut u32) -> Tree {
    let mut tree = Tree::new();
    let mut left = files;
    while left > 0 {
        let name = format!("n{}", tree.len());
        if left > 3 && dice.roll(8) == 0 {
            let below = 1 + dice.roll(left.min(400));
            tree.insert(name, Node::Dir(grow(dice, below, next)));
            left -= below;
        } else {
            *next += 1;
            tree.insert(name, Node::File(*next, 1_000));
            left -= 1;
        }
    }
    if dice.roll(4) == 0 {
        tree.insert("empty".into(), Node::Dir(Tree::new()));
    }
    tree
}

/// What the target holds already: about half of it.
fn halve(dice: &mut Dice, source: &Tree) -> Tree {
    let mut tree = Tree::new();
    for (name, node) in source {
        let there = match (node, dice.roll(40)) {
            // In the way.
            (Node::Dir(_), 0) => Node::File(9_999_999, 500),
            (Node::File(..), 0) => Node::Dir(Tree::new()),
            (Node::File(..), 1) => Node::Dir(Tree::from([("inner".to_owned(), Node::File(8, 8))])),
            (Node::Dir(below), dice_says) if dice_says % 8 != 0 => Node::Dir(halve(dice, below)),
            (Node::File(content, time), dice_says) if dice_says % 2 == 0 => match dice.roll(4) {
                0 => Node::File(*content, *time),
                1 => Node::File(content + 1_000_000, *time),
                2 => Node::File(content + 1_000_000, time + 50),
                _ => Node::File(content + 1_000_000, time - 50),
            },
            _ => continue,
        };
        tree.insert(name.clone(), there);
    }
    tree.insert("own".into(), Node::File(7, 7));
    tree
}

fn content(number: u32) -> String {
    format!("{number}\n").repeat(1 + number as usize % 50)
}

fn make(tree: &Tree, dir: &Path) {
    fs::create_dir(dir).unwrap();
    for (name, node) in tree {
        let path = dir.join(name);
        match node {
            Node::File(number, time) => {
                fs::write(&path, content(*number)).unwrap();
                set_mtime(&path, *time, 0).unwrap();
            }
            Node::Dir(below) => make(below, &path),
        }
    }
}

fn look(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    for path in promises::entries(dir) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let metadata = path.symlink_metadata().unwrap();
        let node = if metadata.is_dir() {
            Node::Dir(look(&path))
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let number = text.lines().next().unwrap().parse().unwrap();
            assert_eq!(text, content(number), "{}", path.display());
            Node::File(number, metadata.mtime())
        };
        tree.insert(name, node);
    }
    tree
}

/// What is said to be done about files that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Overwrite,
    Skip,
    Fail,
    ReplaceOlder,
    KeepBoth,
    DropIdentical,
    Backup,
}

const POLICIES: [(Policy, &[&str]); 7] = [
    (Policy::Overwrite, &["--on-conflict=overwrite"]),
    (Policy::Skip, &["--on-conflict=skip"]),
    (Policy::Fail, &[]),
    (Policy::ReplaceOlder, &["--on-conflict=replace-older"]),
    (Policy::KeepBoth, &["--on-conflict=keep-both"]),
    (Policy::DropIdentical, &["--on-conflict=drop-identical"]),
    (Policy::Backup, &["-f", "--backup=numbered"]),
];

/// Merges `source` into `target`. What is left of the source, and how many entries have failed.
fn model(policy: Policy, source: Tree, target: &mut Tree) -> (Tree, u64) {
    let (mut left, mut failed) = (Tree::new(), 0);
    for (name, node) in source {
        let Some(there) = target.get_mut(&name) else {
            target.insert(name, node);
            continue;
        };
        if let (Node::Dir(below), Node::Dir(there)) = (&node, &mut *there) {
            let (rest, more) = model(policy, below.clone(), there);
            failed += more;
            if !rest.is_empty() {
                left.insert(name, Node::Dir(rest));
            }
            continue;
        }
        let both_files = matches!((&node, &*there), (Node::File(..), Node::File(..)));
        let is_older = matches!((&node, &*there), (Node::File(_, new), Node::File(_, old)) if old < new);
        let is_same = node == *there;
        match policy {
            Policy::Overwrite if both_files => *there = node,
            Policy::ReplaceOlder if both_files && is_older => *there = node,
            Policy::DropIdentical if both_files && is_same => {}
            // Directories were made just now, and so are newer than any of these files.
            Policy::ReplaceOlder if matches!(node, Node::File(..)) => {
                left.insert(name, node);
            }
            Policy::Skip => {
                left.insert(name, node);
            }
            Policy::KeepBoth => {
                target.insert(format!("{name} (1)"), node);
            }
            Policy::Backup => {
                let old = std::mem::replace(there, node);
                target.insert(format!("{name}.~1~"), old);
            }
            Policy::Overwrite | Policy::Fail | Policy::ReplaceOlder | Policy::DropIdentical => {
                failed += 1;
                left.insert(name, node);
            }
        }
    }
    (left, failed)
}

fn count(tree: &Tree) -> usize {
    tree.values().map(|node| if let Node::Dir(below) = node { count(below) } else { 1 }).sum()
}

/// Says where two trees differ, without showing all of them.
fn assert_same(expected: &Tree, found: &Tree, at: &str) {
    for name in expected.keys().chain(found.keys()) {
        match (expected.get(name), found.get(name)) {
            (Some(Node::Dir(expected)), Some(Node::Dir(found))) => {
                assert_same(expected, found, &format!("{at}/{name}"));
            }
            (expected, found) => assert_eq!(expected, found, "{at}/{name}"),
        }
    }
}

fn try_policies(make_sides: impl Fn() -> Sides, files: u64, seed: u64, jobs: &str) {
    let mut dice = Dice(seed);
    let source = grow(&mut dice, files, &mut 0);
    let target = halve(&mut dice, &source);
    assert!(count(&source) as u64 >= files - files / 50 && count(&target) as u64 > files / 16);
    for (policy, args) in POLICIES {
        let sides = make_sides();
        make(&source, &sides.from.join("d"));
        make(&target, &sides.to.join("d"));
        let mut expected = target.clone();
        let (left, failed) = model(policy, source.clone(), &mut expected);
        let pmove = sides.pmove().args(["--merge", "-j", jobs]).args(args).arg("d").arg(&*sides.to);
        let output = pmove.timeout(std::time::Duration::from_mins(2)).run();
        output.fails_with(i32::from(failed > 0));
        let said = output.stderr_text().lines().filter(|line| !line.contains(" moved, ")).count();
        assert_eq!(said as u64, failed, "{policy:?}\n{}", output.stderr_text());
        assert_same(&expected, &look(&sides.to.join("d")), &format!("{policy:?}: target"));
        let found = if sides.from.join("d").exists() { look(&sides.from.join("d")) } else { Tree::new() };
        assert_same(&left, &found, &format!("{policy:?}: source"));
        assert_eq!(left.is_empty(), !sides.from.join("d").exists(), "{policy:?}");
        sides.assert_no_litter();
    }
}

#[test]
fn p3_p5_a_merge_on_one_device_is_as_the_model_says() {
    for seed in 1..4 {
        try_policies(one_device, 400, seed, "4");
    }
}

#[test]
fn p3_p5_a_merge_across_devices_is_as_the_model_says() {
    for seed in 4..6 {
        try_policies(across, 400, seed, "1");
        try_policies(back, 300, seed, "8");
    }
}

/// In memory: half a million files are made for it.
#[test]
#[ignore = "needs root and loop mounts"]
fn p3_p5_a_large_merge_on_one_device_is_as_the_model_says() {
    try_policies(|| Sides { from: other(), to: other() }, 50_000, 17, "4");
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p3_p5_a_large_merge_across_devices_is_as_the_model_says() {
    let memory = Mount::tmpfs(2 << 30);
    try_policies(|| Sides { from: other(), to: Scratch::new_in(memory.path()) }, 50_000, 18, "4");
}
