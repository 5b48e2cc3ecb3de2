//! The command line, side by side with the installed `mv`: the same words, the same exit status, the same trees.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;

use rustix::fs::FileType;

use common::run::{Output, Pmove};
use common::snapshot::Snapshot;
use common::tree::Tree;
use promises::{Sides, across, one_device};

/// Command lines; `TO` is a directory, on the same device or on another. Every one is run in a fresh tree.
const LINES: &[&str] = &[
    // What is moved.
    "a TO",
    "a b TO",
    "a TO/new",
    "a TO/there",
    "-T a TO/new",
    "-T a TO/there",
    "-t TO a b",
    "a b -t TO",
    "-t TO -- a b",
    "--target-directory=TO a",
    "--target-directory TO a",
    "-tTO a",
    "--no-target-directory a TO/there",
    "-f a TO/there",
    "-n a TO/there",
    "-n a TO/new",
    "-nf a TO/there",
    "-f -n a TO/there",
    "--force a TO/there",
    "--no-clobber a b TO/there",
    "-fTv a TO/there",
    "-v a TO",
    "-v a b TO",
    "--verbose a TO/there",
    "-v -- -dash TO",
    "-n b TO",
    "d TO",
    "d/ TO",
    "d/// TO",
    "d TO/new",
    "d TO/new/",
    "-T d TO/empty",
    "d TO/empty",
    "d a fifo link dangling TO",
    "fifo TO/there",
    "link TO/there",
    "a TO/dangling",
    "-T a TO/tofull",
    "a TO/tofull",
    "a TO/tofull/",
    "./a TO/.",
    "d/../a TO",
    "d/x a TO",
    "a d/x TO/empty",
    "a odd\\x20name TO",
    // What is not.
    "gone TO",
    "gone a TO",
    "a gone b TO",
    "gone/a TO",
    "a/b TO",
    "gone TO/nosuch/new",
    "a TO/nosuch/",
    "a TO/nosuch/new",
    "a TO/there/new",
    "a TO/there/",
    "gone/ TO",
    "a/ TO",
    "a/ TO/new",
    "a b TO/nosuch",
    "a b TO/there",
    "a b TO/dangling",
    "-t TO/nosuch a",
    "-t TO/there a",
    "-t TO/there a b",
    "d TO/there",
    "-T a TO/empty",
    "-T a TO/full",
    "b TO/withdirb",
    "a a TO",
    "a ./a TO",
    "d/same e/same TO",
    "a a",
    "a ./a",
    "a h",
    "h a b TO",
    "d d",
    "d d/new",
    "d d/sub",
    "-T d d/sub",
    ". TO",
    ".. TO",
    "d/. TO",
    "d/.. TO",
    "-n a a",
    "-n gone TO/there",
    "-n d TO/there",
    "-n a TO/withdirb/b",
    "EMPTY TO",
    "a EMPTY",
    "-t EMPTY a",
    "it's TO",
    "it's TO/new/",
    "new\\x0aline TO",
    "odd\\x20gone \\x1b[2J TO",
    // What is not understood.
    "",
    "a",
    "-n",
    "-t TO",
    "-t",
    "--target-directory",
    "-T a",
    "-T a b TO",
    "-T a b c TO",
    "-t TO -t TO a",
    "-T -t TO a",
    "--nosuch a TO",
    "--nosuch=x a TO",
    "-Q a TO",
    "-vQ a TO",
    "--force=x a TO",
    "-- a",
    "-v",
];

/// Where the installed mv is not the measure: releases before 9.2 do not name the source, and across devices mv
/// makes of a source that no rename can move something of its own. Here it is what newer releases say, or what
/// the same line says on one device.
const INSTEAD: &[(&str, &str)] = &[
    ("-T a TO/empty", "mv: cannot overwrite directory 'TO/empty' with non-directory 'a'\n"),
    ("-T a TO/full", "mv: cannot overwrite directory 'TO/full' with non-directory 'a'\n"),
    ("b TO/withdirb", "mv: cannot overwrite directory 'TO/withdirb/b' with non-directory 'b'\n"),
    (". TO", "mv: cannot move '.' to 'TO/.': Device or resource busy\n"),
    (".. TO", "mv: cannot move '..' to 'TO/..': Device or resource busy\n"),
    ("d/. TO", "mv: cannot move 'd/.' to 'TO/.': Device or resource busy\n"),
    ("d/.. TO", "mv: cannot move 'd/..' to 'TO/..': Device or resource busy\n"),
    ("a TO/nosuch/", "mv: cannot move 'a' to 'TO/nosuch/': Not a directory\n"),
];

fn build(sides: &Sides) {
    let tree = Tree::new().file("a", "a").file("b", "b").mode(0o600).file("d/x", "x").file("d/same", "d").dir("d/sub");
    let tree = tree.file("e/same", "e").symlink("link", "d").symlink("dangling", "nowhere").fifo("fifo");
    let tree = tree.file("-dash", "-").file("odd name", "o").file("h/h", "h");
    tree.build(&sides.from);
    fs::remove_file(sides.from.join("h/h")).unwrap();
    fs::remove_dir(sides.from.join("h")).unwrap();
    fs::hard_link(sides.from.join("a"), sides.from.join("h")).unwrap();
    let tree = Tree::new().file("there", "old").file("b", "old").dir("empty").file("full/x", "old");
    tree.dir("withdirb/b").symlink("tofull", "full").symlink("dangling", "nowhere").build(&sides.to);
}

fn clear(sides: &Sides) {
    for path in [promises::entries(&sides.from), promises::entries(&sides.to)].concat() {
        let is_dir = path.symlink_metadata().unwrap().is_dir();
        if is_dir { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

/// The words of a line, as the program gets them.
fn words(line: &str, sides: &Sides) -> Vec<String> {
    let to = sides.to.display().to_string();
    let word = |word: &str| match word {
        "EMPTY" => String::new(),
        _ => word.replace("TO", &to).replace("\\x20", " ").replace("\\x0a", "\n").replace("\\x1b", "\x1b"),
    };
    line.split_whitespace().map(word).collect()
}

/// Runs a line in a fresh tree; what came of it.
fn run(program: Pmove, line: &str, sides: &Sides) -> (Output, [Snapshot; 2]) {
    clear(sides);
    build(sides);
    let output = program.args(words(line, sides)).cwd(&sides.from).run();
    let look = |dir| {
        Snapshot::of(dir).without_root().edit(|_, entry| {
            // When a file was made in a directory is not for mv to keep; sources have all been made just now.
            entry.mtime = (0, 0);
            if entry.kind == FileType::Directory {
                entry.size = 0;
            }
        })
    };
    let trees = [look(&*sides.from), look(&*sides.to)];
    (output, trees)
}

/// What differs between pmove, called as `mv`, and mv.
fn differences(sides: &Sides, unlike: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for line in LINES.iter().filter(|line| !unlike.contains(line)) {
        let (theirs, their_trees) = run(Pmove::other("mv"), line, sides);
        let (ours, our_trees) = run(Pmove::new().called("mv"), line, sides);
        let mut tell = |what: &str, theirs: String, ours: String| {
            if theirs != ours {
                found.push(format!("mv {line}: {what}\n  mv:    {theirs}\n  pmove: {ours}"));
            }
        };
        tell("status", format!("{:?}", theirs.code), format!("{:?}", ours.code));
        tell("stdout", theirs.stdout_text(), ours.stdout_text());
        let instead = INSTEAD.iter().find(|(other, _)| other == line);
        let expected = instead.map(|(_, text)| text.replace("TO", &sides.to.display().to_string()));
        tell("stderr", expected.unwrap_or_else(|| theirs.stderr_text()), ours.stderr_text());
        for (theirs, ours) in their_trees.iter().zip(&our_trees) {
            tell("tree", String::new(), theirs.diff(ours));
        }
        // Under its own name it says the same in its own name, but for what several sources came to.
        let (named, named_trees) = run(Pmove::new(), line, sides);
        tell("status as pmove", format!("{:?}", ours.code), format!("{:?}", named.code));
        tell("stdout as pmove", ours.stdout_text(), named.stdout_text());
        let is_tally = |line: &&str| line.contains(" moved") && line.contains(|c: char| c.is_ascii_digit());
        let own: Vec<String> = named.stderr_text().lines().filter(|line| !is_tally(line)).map(as_mv).collect();
        tell("stderr as pmove", ours.stderr_text(), own.concat());
        for (ours, named) in our_trees.iter().zip(&named_trees) {
            tell("tree as pmove", String::new(), ours.diff(named));
        }
    }
    found
}

fn as_mv(line: &str) -> String {
    format!("{}\n", line.replacen("pmove: ", "mv: ", 1).replace("'pmove --help'", "'mv --help'"))
}

#[test]
fn cli_on_one_device_it_is_mv() {
    let found = differences(&one_device(), &[]);
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[test]
fn cli_across_devices_it_is_mv() {
    // mv copies what the link points to, and only then finds that it cannot remove it. pmove refuses at once, as both do
    // on one device (tested in p4_nothing_outside.rs).
    let found = differences(&across(), &["link/ TO"]);
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}
