//! Somebody else does something just before a system call, at every one of them: races that come out the same each
//! time.
//!
//! One window is known and cannot be closed: between the last look at a source and its removal. What is done to a
//! source just before the very call that removes it is lost with it. That call, and no other, is left out.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pmove::fault::{Call, Fault, Op, When};
use rustix::fs::FileType;

use crate::common::fs::Scratch;
use crate::common::snapshot::Snapshot;

use super::audit::is_hidden;
use super::sweep::{Findings, sampled};
use super::world::{Ran, Shape, World, cases, empty};

/// What somebody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Writes at the end of a source.
    Append,
    /// Writes over a source's content, no more and no less of it.
    Rewrite,
    /// Shortens a source.
    Truncate,
    /// Renames another file over a source.
    Replace,
    Remove,
    /// Makes a file (in the place of a directory: a directory with a file in it) under a target's name.
    TakeTarget,
    /// Makes a file in a source directory.
    Add,
    /// Puts a link to a directory outside in the place of a directory in the source.
    SwapSource,
    /// Puts one in the place of the target directory.
    SwapTarget,
}

const APPENDED: &[u8] = b" and more";
const THEIRS: &[u8] = b"theirs, and nobody else's";
const SECRET: &[u8] = b"secret";

/// What lies beside the two sides.
struct Beside {
    /// On the source's file system, and the target's: where directories are put that links take the place of, and
    /// where files come from.
    aside: [Scratch; 2],
    /// What must never change, nor be read.
    outside: Scratch,
    untouched: Snapshot,
}

impl Beside {
    fn of(world: &World) -> Self {
        let near = |path: &Path| Scratch::new_in(path.parent().unwrap());
        let outside = near(&world.sides.from);
        for path in ["f", "i1", "h3", "small", "large", "deep/large", "none/f", "tree/f"] {
            let path = outside.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, SECRET).unwrap();
        }
        let untouched = Snapshot::of(&*outside);
        Self { aside: [near(&world.sides.from), near(&world.sides.to)], outside, untouched }
    }

    fn reset(&self) {
        self.aside.iter().for_each(|aside| empty(aside));
    }
}

/// What a deed is done to: below the source.
fn victim(world: &World, deed: Deed, nth: usize) -> PathBuf {
    let top = if world.case.shape == Shape::Tree { Path::new("tree") } else { Path::new("") };
    top.join(match deed {
        Deed::Add | Deed::SwapSource => ["dir", "dir/deep"][nth % 2],
        Deed::TakeTarget if world.case.shape == Shape::Tree => "",
        Deed::TakeTarget => ["small", "dir", "h2", "link"][nth % 4],
        _ => ["small", "large", "dir/f", "dir/deep/large", "h1", "holes"][nth % 6],
    })
}

/// Does it. Whether it could be done.
fn perpetrate(deed: Deed, source: &Path, target: &Path, to: &Path, aside: &[PathBuf; 2], outside: &Path) -> bool {
    let open = || fs::OpenOptions::new().write(true).open(source);
    let done = match deed {
        Deed::Append => fs::OpenOptions::new().append(true).open(source).and_then(|mut file| file.write_all(APPENDED)),
        Deed::Rewrite => open().and_then(|mut file| {
            let size = usize::try_from(file.metadata()?.len()).unwrap();
            file.write_all(&vec![b'!'; size])
        }),
        Deed::Truncate => open().and_then(|file| file.set_len(file.metadata()?.len().min(3))),
        Deed::Replace => source.symlink_metadata().and_then(|_| {
            let new = aside[0].join("new");
            fs::write(&new, THEIRS)?;
            fs::rename(new, source)
        }),
        Deed::Remove => fs::remove_file(source),
        Deed::TakeTarget if source.is_dir() => {
            fs::create_dir(target).and_then(|()| fs::write(target.join("theirs"), THEIRS))
        }
        Deed::TakeTarget => fs::File::create_new(target).and_then(|mut file| file.write_all(THEIRS)),
        Deed::Add => fs::File::create_new(source.join("added")).and_then(|mut file| file.write_all(THEIRS)),
        Deed::SwapSource => fs::rename(source, aside[0].join("swapped")).and_then(|()| symlink(outside, source)),
        Deed::SwapTarget => fs::rename(to, aside[1].join("swapped")).and_then(|()| symlink(outside, to)),
    };
    done.is_ok()
}

/// The regular files below some directories, by path.
fn files(dirs: &[&Path]) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending: Vec<PathBuf> = dirs.iter().map(|dir| dir.to_path_buf()).collect();
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// One race.
struct Race<'a> {
    world: &'a World,
    beside: &'a Beside,
    deed: Deed,
    victim: PathBuf,
    /// The sources' files, before anything happened.
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Race<'_> {
    fn source(&self) -> PathBuf {
        self.world.sides.from.join(&self.victim)
    }

    fn target(&self) -> PathBuf {
        self.world.sides.to.join(&self.victim)
    }

    /// The victim's content before, and after the deed.
    fn contents(&self) -> (Vec<u8>, Vec<u8>) {
        let before = self.before.get(&self.source()).cloned().unwrap_or_default();
        let after = match self.deed {
            Deed::Append => [&before, APPENDED].concat(),
            Deed::Rewrite => vec![b'!'; before.len()],
            Deed::Truncate => before[..before.len().min(3)].to_vec(),
            Deed::Replace | Deed::TakeTarget | Deed::Add => THEIRS.to_vec(),
            Deed::Remove | Deed::SwapSource | Deed::SwapTarget => Vec::new(),
        };
        (before, after)
    }

    /// Whether a deed at this call is lost, and must be.
    fn is_lost_at(&self, call: &Call) -> bool {
        let changes = matches!(self.deed, Deed::Append | Deed::Rewrite | Deed::Truncate | Deed::Replace);
        changes && call.op == Op::Unlink && self.victim.file_name().is_some_and(|name| *name == *as_name(&call.name))
    }

    fn run(&self, nth: usize) -> (Ran, bool) {
        let done = Arc::new(AtomicBool::new(false));
        let (deed, source, target, to) = (self.deed, self.source(), self.target(), self.world.sides.to.to_path_buf());
        let aside = [self.beside.aside[0].to_path_buf(), self.beside.aside[1].to_path_buf()];
        let (outside, note) = (self.beside.outside.to_path_buf(), Arc::clone(&done));
        let act = move || {
            note.store(perpetrate(deed, &source, &target, &to, &aside, &outside), Ordering::SeqCst);
        };
        let ran = self.world.run(self.world.plan().at(When::Call(nth), Fault::Run(Box::new(act))));
        (ran, done.load(Ordering::SeqCst))
    }

    /// What must hold whatever was done, and whenever.
    fn check(&self, wrong: &mut Vec<String>) {
        let Beside { aside, outside, untouched } = self.beside;
        let sides = &self.world.sides;
        let to = if sides.to.is_symlink() { aside[1].join("swapped") } else { sides.to.to_path_buf() };
        let now = files(&[&sides.from, &to, &aside[0]]);
        let (_, after) = self.contents();
        for (path, content) in &self.before {
            let below = path.strip_prefix(&*sides.from).unwrap();
            let is_victim = below == self.victim && self.deed != Deed::TakeTarget;
            let swapped = below.strip_prefix(&self.victim).ok().map(|below| aside[0].join("swapped").join(below));
            let places = [Some(path.clone()), Some(to.join(below)), swapped];
            let is_there = places.iter().flatten().any(|place| now.get(place) == Some(content));
            // What somebody else has changed is theirs to lose.
            if !(is_there || is_victim || self.shares_file(below)) {
                wrong.push(format!("P1: {} is lost", below.display()));
            }
            let at_target = now.get(&to.join(below));
            let old = self.world.before.get(below).is_some();
            let is_fine = |is: &Vec<u8>| is == content || *is == after || is == b"old content" && old;
            if at_target.is_some_and(|is| !is_fine(is)) {
                wrong.push(format!("P2: {} is a mixture", below.display()));
            }
        }
        if now.values().any(|content| content == SECRET) {
            wrong.push("P4: something outside was read".to_owned());
        }
        let diff = untouched.diff(&Snapshot::of(&**outside));
        if !diff.is_empty() {
            wrong.push(format!("P4: something outside has changed: {diff}"));
        }
    }

    /// Whether the victim's content is this file's, too.
    fn shares_file(&self, path: &Path) -> bool {
        let of = |path: &Path| self.world.whole.get(path).and_then(|entry| entry.link_group.clone());
        let changes = matches!(self.deed, Deed::Append | Deed::Rewrite | Deed::Truncate);
        changes && of(path).is_some() && of(path) == of(&self.victim)
    }

    /// What was done must not be undone.
    fn check_deed(&self, wrong: &mut Vec<String>) {
        let (_, after) = self.contents();
        let sides = &self.world.sides;
        let must_stay = match self.deed {
            Deed::Append | Deed::Rewrite | Deed::Replace | Deed::Add => true,
            // The default policy replaces files.
            Deed::TakeTarget => {
                self.world.case.policy == "-n"
                    || self.world.whole.get(&self.victim).unwrap().kind == FileType::Directory
            }
            Deed::Truncate | Deed::Remove | Deed::SwapSource | Deed::SwapTarget => false,
        };
        let is_there = files(&[&sides.from, &sides.to]).values().any(|content| *content == after);
        if must_stay && !is_there {
            wrong.push(format!("P1: what was done to {} is lost", self.victim.display()));
        }
    }

    /// What the run said is true.
    fn check_words(&self, ran: &Ran, wrong: &mut Vec<String>) {
        let sides = &self.world.sides;
        let left: Vec<PathBuf> = fs::read_dir(&*sides.from).unwrap().map(|entry| entry.unwrap().path()).collect();
        let below = |path: &Path| path.strip_prefix(&*sides.from).unwrap().to_owned();
        let taken =
            |path: &Path| self.deed == Deed::TakeTarget && self.world.case.policy == "-n" && path == self.victim;
        for path in &left {
            let is_named = [path.clone(), sides.to.join(below(path))]
                .iter()
                .any(|path| ran.messages.contains(path.to_str().unwrap()));
            let is_skipped = self.world.is_skipped(&below(path)) || taken(&below(path));
            if !is_named && !is_skipped {
                wrong.push(format!("P5: {} stays, and is not named", path.display()));
            }
            if ran.is_done && !is_skipped {
                wrong.push(format!("P5: {} stays, exit 0", path.display()));
            }
        }
        if !ran.is_done && ran.messages.is_empty() {
            wrong.push("P5: exit 1 without a word".to_owned());
        }
        let to = if sides.to.is_symlink() { self.beside.aside[1].join("swapped") } else { sides.to.to_path_buf() };
        for path in files(&[&sides.from, &to]).keys() {
            let is_record = path.strip_prefix(&to).is_ok_and(is_hidden);
            if is_hidden(path) && (ran.is_done || !is_record && !ran.messages.contains(".pmove-")) {
                wrong.push(format!("P6: {} is left behind", path.display()));
            }
        }
    }
}

fn as_name(bytes: &[u8]) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

fn race(race: &Race<'_>, nth: usize, findings: &mut Findings) {
    let world = race.world;
    let (ran, is_done) = race.run(nth);
    let call = ran.calls.get(nth - 1).cloned();
    let mut wrong = Vec::new();
    let is_exempt = call.as_ref().is_some_and(|call| race.is_lost_at(call));
    if !is_exempt {
        race.check(&mut wrong);
        race.check_words(&ran, &mut wrong);
        if is_done {
            race.check_deed(&mut wrong);
        }
    }
    if world.sides.to.is_symlink() {
        fs::remove_file(&*world.sides.to).unwrap();
        fs::rename(race.beside.aside[1].join("swapped"), &*world.sides.to).unwrap();
    }
    // Once more, undisturbed: nothing of it goes now, either.
    let again = world.run(world.plan());
    if !is_exempt {
        race.check(&mut wrong);
        if is_done {
            race.check_deed(&mut wrong);
        }
    }
    if !wrong.is_empty() {
        wrong.push(format!("  done: {is_done}; it said {:?}\n  then {:?}", ran.messages, again.messages));
    }
    let shown = call.map(|call| call.to_string()).unwrap_or_default();
    let Race { deed, victim, .. } = race;
    findings.note(format!("{}: {deed:?} {} at {nth}, {shown}", world.case, victim.display()), ran.hits, &wrong);
}

fn sweep(deeds: &[Deed], most: usize) {
    let mut findings = Findings::default();
    for case in cases(&[Shape::Operands, Shape::Tree], &["", "-n"]) {
        let world = World::new(case);
        let beside = Beside::of(&world);
        let quiet = world.run(world.plan());
        for &deed in deeds {
            let to = world.sides.to.to_str().unwrap().as_bytes().to_vec();
            // What the user names is followed, links and all, until it is open.
            let opened = quiet.calls.iter().position(|call| call.op == Op::OpenDir && call.name == to).unwrap() + 2;
            let first = if deed == Deed::SwapTarget { opened } else { 1 };
            let all: Vec<usize> = (first..=quiet.calls.len()).flat_map(|n| [n; 2]).collect();
            let all: Vec<(usize, usize)> = all.into_iter().enumerate().collect();
            for (n, nth) in sampled(all, most) {
                world.reset();
                beside.reset();
                let victim = victim(&world, deed, n);
                let before = files(&[&world.sides.from]);
                race(&Race { world: &world, beside: &beside, deed, victim, before }, nth, &mut findings);
            }
        }
    }
    findings.end(&format!("{deeds:?}"));
}

#[test]
fn h19_what_is_done_to_a_source_meanwhile_is_never_lost() {
    sweep(&[Deed::Append, Deed::Rewrite, Deed::Truncate, Deed::Replace, Deed::Remove], 2);
}

#[test]
fn h10_h20_what_appears_meanwhile_is_never_lost() {
    sweep(&[Deed::TakeTarget, Deed::Add], 2);
}

#[test]
fn h32_h34_a_directory_swapped_meanwhile_leads_nowhere() {
    sweep(&[Deed::SwapSource, Deed::SwapTarget], 2);
}
