//! The table: command lines run with GNU mv 9.1 and with pmove, called `mv`, in fresh copies of one set-up. Standard output,
//! standard error, exit status and everything that is there afterwards must be the same.
//!
//! Where they are not, `unlike.txt` has what both said and did, under the reason that `unlike.rs` gives for it. A row
//! that begins to differ, or stops, or differs in another way, fails the test; `PMOVE_TEST_BLESS=1` writes the file anew.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../promises/mod.rs"]
mod promises;

mod recorded;
mod row;
mod rows;
mod thought_of;
mod unlike;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::run::Pmove;
use row::{Outcome, Row};
use world::{Device, World};

/// What differs by intention, row by row.
const UNLIKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mv_table/unlike.txt");

/// So many rows there are: none gets lost unnoticed.
const ROWS: usize = 2436;

fn require_mv_9_1() {
    let version = Command::new("mv").arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout);
    assert!(version.starts_with("mv (GNU coreutils) 9.1\n"), "this table compares with GNU mv 9.1, not with {version}");
}

/// What differs, in words; empty if nothing does.
fn difference(row: &Row, world: &World) -> String {
    let theirs = unlike::as_of_today(row, row.run(Pmove::other("mv"), world));
    let ours = unlike::unordered(row, row.run(Pmove::new().called("mv"), world));
    let mut text = String::new();
    let mut tell = |what: &str, theirs: &str, ours: &str| {
        if theirs != ours {
            writeln!(text, "  {what}\n    mv:    {}\n    pmove: {}", told(theirs), told(ours)).unwrap();
        }
    };
    tell("status", &format!("{:?}", theirs.code), &format!("{:?}", ours.code));
    tell("stdout", &theirs.stdout, &ours.stdout);
    tell("stderr", &theirs.stderr, &ours.stderr);
    tell("trees", "", &trees(&theirs, &ours));
    text
}

fn trees(theirs: &Outcome, ours: &Outcome) -> String {
    theirs.trees.iter().zip(&ours.trees).map(|(theirs, ours)| theirs.diff(ours)).collect()
}

/// At most so much of a text is told: that there is help is enough.
const LINES_TOLD: usize = 12;

fn told(text: &str) -> String {
    let text = text.trim_end().replace(env!("CARGO_PKG_VERSION"), "VERSION").replace('\x01', "\\x01");
    text.lines().take(LINES_TOLD).collect::<Vec<_>>().join("\n           ")
}

/// All rows, on some threads with two worlds each.
fn differences(rows: &[Row]) -> BTreeMap<String, String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let worlds = [World::new(Device::Same), World::new(Device::Other)];
        let mut found = Vec::new();
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            let text = difference(row, &worlds[usize::from(row.is_across)]);
            if !text.is_empty() {
                found.push((row.name(), text));
            }
        }
        found
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

#[test]
#[ignore = "needs GNU mv 9.1"]
fn cli_what_mv_users_write_does_what_mv_does() {
    require_mv_9_1();
    let rows: BTreeSet<Row> = rows::all().into_iter().collect();
    assert_eq!(rows.len(), ROWS, "rows were added or lost: say so in ROWS");
    let rows: Vec<Row> = rows.into_iter().collect();
    let found = differences(&rows);
    let (told, unexplained) = unlike::explain(&found);
    if std::env::var_os("PMOVE_TEST_BLESS").is_some() {
        fs::write(UNLIKE, &told).unwrap();
    }
    assert!(unexplained.is_empty(), "{} rows differ without a reason:\n{}", unexplained.len(), unexplained.concat());
    let known = fs::read_to_string(UNLIKE).unwrap();
    assert!(known == told, "what differs has changed:\n{}", unlike::changes(&known, &told));
}
