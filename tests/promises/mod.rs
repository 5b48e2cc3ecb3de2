//! What the tests of promises share: two directories, on one device or on two, and what must hold in them
//! whatever happened.
//!
//! Goes with `mod common;` in each `tests/*.rs` that uses it.

#![allow(dead_code, reason = "every test executable compiles all of this and uses its part")]
#![allow(unreachable_pub, reason = "`pub` marks what the tests use; an executable exports nothing anyway")]

pub mod held;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::fs::{Scratch, is_root, must, ordinary_user, other, scratch};
use crate::common::run::Pmove;

/// Content by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A directory to move from, and one to move to.
#[derive(Debug)]
pub struct Sides {
    /// Where the sources are, and the working directory of [`Sides::pmove`].
    pub from: Scratch,
    /// Where they are to go.
    pub to: Scratch,
}

/// From disk to memory: nothing there can be durable, so barriers are passed by.
#[must_use]
pub fn across() -> Sides {
    Sides { from: scratch(), to: other() }
}

/// From memory to disk: with barriers.
#[must_use]
pub fn back() -> Sides {
    Sides { from: other(), to: scratch() }
}

/// Within one file system: renames.
#[must_use]
pub fn one_device() -> Sides {
    Sides { from: scratch(), to: scratch() }
}

/// All of them.
#[must_use]
pub fn everywhere() -> [Sides; 3] {
    [one_device(), across(), back()]
}

impl Sides {
    /// pmove in the source directory.
    #[must_use]
    pub fn pmove(&self) -> Pmove {
        Pmove::new().cwd(&self.from)
    }

    /// Whether moves are renames.
    #[must_use]
    pub fn is_one_device(&self) -> bool {
        let device = |dir: &Path| fs::metadata(dir).expect("a side").dev();
        device(&self.from) == device(&self.to)
    }

    /// What is said if the directory `name` would have to replace one that holds something.
    #[must_use]
    pub fn not_empty(&self, name: &str) -> String {
        let to = self.to.join(name);
        if self.is_one_device() {
            format!("cannot overwrite '{}': Directory not empty", to.display())
        } else {
            let to = to.display();
            format!("inter-device move failed: '{name}' to '{to}'; unable to remove target: Directory not empty")
        }
    }

    /// Both directories with what is in them belong to the user of [`ordinarily`] from now on.
    pub fn give_away(&self) {
        give_away(&self.from);
        give_away(&self.to);
    }

    /// Nothing hidden of pmove's own is left on either side.
    #[track_caller]
    pub fn assert_no_litter(&self) {
        let litter = [litter(&self.from), litter(&self.to)].concat();
        assert!(litter.is_empty(), "left behind: {litter:?}");
    }

    /// Regular files by name, with their content, those directly on either side.
    #[must_use]
    pub fn files(&self) -> (Files, Files) {
        (files(&self.from), files(&self.to))
    }
}

/// Hands a tree over to the ordinary user, if we are not him.
pub fn give_away(path: &Path) {
    if is_root() {
        let (uid, gid) = ordinary_user();
        must(Command::new("chown").args(["-R", "-h", &format!("{uid}:{gid}"), "--"]).arg(path));
    }
}

/// Runs it as somebody who is not root: a refusal means nothing to root.
#[must_use]
pub fn ordinarily(pmove: Pmove) -> Pmove {
    if is_root() { pmove.user(ordinary_user()) } else { pmove }
}

/// Everything below `dir` with a name that only pmove gives.
#[must_use]
pub fn litter(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(dir) {
        let name = path.file_name().expect("an entry has a name");
        if name.as_bytes().starts_with(b".pmove-") {
            found.push(path);
        } else if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            found.extend(litter(&path));
        }
    }
    found
}

/// The paths of what is directly in `dir`, sorted; none if it is not there.
#[must_use]
pub fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    paths.sort();
    paths
}

/// The names of what is directly in `dir`, sorted.
#[must_use]
pub fn names(dir: &Path) -> Vec<String> {
    entries(dir).iter().map(|path| name(path)).collect()
}

fn name(path: &Path) -> String {
    path.file_name().expect("an entry has a name").to_string_lossy().into_owned()
}

/// The regular files directly in `dir`, with their content.
#[must_use]
pub fn files(dir: &Path) -> Files {
    let regular = |path: &PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let read = |path: PathBuf| {
        let content = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (name(&path), content)
    };
    entries(dir).into_iter().filter(regular).map(read).collect()
}

/// Looks again and again, in a thread of its own, before `run` begins and until it has ended. Returns what `run` does,
/// and how often `look` looked: at least twice.
pub fn watched<T>(look: impl Fn() + Sync, run: impl FnOnce() -> T) -> (T, u64) {
    let over = AtomicBool::new(false);
    let (begun, has_begun) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            look();
            begun.send(()).expect("the other side waits");
            let mut looks = 1;
            loop {
                let is_last = over.load(Ordering::SeqCst);
                look();
                looks += 1;
                if is_last {
                    return looks;
                }
            }
        });
        // An error: the first look has failed, which joining will tell. On a busy machine it may take its time.
        has_begun.recv_timeout(Duration::from_secs(15)).ok();
        let result = run();
        over.store(true, Ordering::SeqCst);
        match watcher.join() {
            Ok(looks) => (result, looks),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Waits until something is so, a quarter of a minute at most.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(15), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// What `child` has come to, once it has.
#[track_caller]
pub fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("it has ended", || {
        status = child.try_wait().expect("waiting for our own child");
        status.is_some()
    });
    status.expect("it has ended")
}

/// Runs it under strace, which does `what` (its `--inject=`) to system calls. Not for looking at the calls.
#[must_use]
pub fn injected(pmove: Pmove, what: &[&str]) -> Pmove {
    strace(pmove, &["--output=/dev/null"], what)
}

/// The same with `options` of strace's own.
fn strace(pmove: Pmove, options: &[&str], what: &[&str]) -> Pmove {
    // Only calls that are tampered with are traced, or a run takes ages.
    let calls: Vec<&str> = what.iter().filter_map(|what| what.split(':').next()).collect();
    let trace = [format!("--trace={}", calls.join(","))].into_iter();
    let inject = what.iter().map(|what| format!("--inject={what}"));
    let first = ["strace", "--follow-forks", "--quiet=all"].iter().chain(options).map(|&option| option.to_owned());
    pmove.under(first.chain(trace).chain(inject).chain(["--".into()]))
}

/// How often a race is run: `few` times, or as often as `PMOVE_TEST_ROUNDS` says (a thousand, before a release).
#[must_use]
pub fn rounds(few: usize) -> usize {
    std::env::var("PMOVE_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

/// Removes everything that is directly in `dir`, and below.
pub fn empty(dir: &Path) {
    for path in entries(dir) {
        let is_dir = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// What is below a directory: a file's content, `/` for a directory, `-> …` for a symlink.
#[must_use]
pub fn found(dir: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for path in entries(dir) {
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        let metadata = path.symlink_metadata().expect("an entry is there");
        if metadata.is_dir() {
            all.insert(name.clone(), "/".to_owned());
            all.extend(found(&path).into_iter().map(|(below, what)| (format!("{name}/{below}"), what)));
        } else if metadata.is_symlink() {
            all.insert(name, format!("-> {}", fs::read_link(&path).expect("a link").display()));
        } else {
            all.insert(name, fs::read_to_string(&path).expect("a file of text"));
        }
    }
    all
}

#[track_caller]
pub fn expect(dir: &Path, what: &[(&str, &str)]) {
    let what: BTreeMap<String, String> = what.iter().map(|(path, what)| ((*path).into(), (*what).into())).collect();
    assert_eq!(found(dir), what);
}
