//! The walk below a pattern's root, one for all patterns that share the root.
//!
//! Streams: nothing is sorted or collected, and a file costs no system call beyond its share of the listing.
//! Files are moved away while the walk goes on, so what has vanished is no error. Directories are listed by
//! path; that nothing outside the tree is moved is for those to see to who open what is found
//! (`Candidate::trusted`).

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

use super::pattern::Alternative;
use super::{Candidate, Hint, Origin};
use crate::error::{MoveError, Result};
use crate::transfer::is_hidden_name;

/// A device and an inode on it.
pub(super) type Identity = (u64, u64);

/// Where no walk goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) one_file_system: bool,
    /// DEST: what is in it has arrived.
    pub(super) skip: Option<Identity>,
}

/// An alternative that is looked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) alternative: Alternative,
    /// The number of the pattern that it belongs to.
    pub(super) pattern: usize,
    /// Whether it need not be reported as having no match.
    pub(super) is_met: bool,
}

/// A step of an alternative, which the names in a directory may meet: both are indices.
type State = (usize, usize);

/// A directory that is being listed.
#[derive(Debug)]
struct Level {
    path: PathBuf,
    states: Vec<State>,
}

/// What a directory is to the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Ordinary,
    Vanished,
    /// DEST itself.
    Destination,
    /// On another file system than the root, which matters.
    Beyond,
}

/// Finds what matches below one root.
#[derive(Debug)]
pub(super) struct Walk {
    root: Vec<u8>,
    wanted: Vec<Wanted>,
    entries: walkdir::IntoIter,
    /// The root's directory and those below it, down to the one being listed.
    levels: Vec<Level>,
    /// What the names below the present one may meet; reused.
    next: Vec<State>,
    /// The alternatives that the present name matches; reused.
    hits: Vec<usize>,
    limits: Limits,
    root_identity: Option<Identity>,
}

impl Walk {
    /// Opens the root. If it is a symlink, it is followed: the user named it.
    pub(super) fn open(root: Vec<u8>, wanted: Vec<Wanted>, limits: Limits) -> Self {
        let path = if root.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(&root)) };
        let is_limited = limits.one_file_system || limits.skip.is_some();
        let root_identity = is_limited.then(|| path.metadata().ok().map(|found| (found.dev(), found.ino()))).flatten();
        let depth = wanted.iter().map(|one| one.alternative.depth()).try_fold(1, |most, depth| Some(most.max(depth?)));
        let mut states = Vec::new();
        for (index, one) in wanted.iter().enumerate() {
            one.alternative.enter(|step| states.push((index, step)));
        }
        // walkdir's own same_file_system does not enter a mount point, but says nothing of it, and
        // skip_current_dir would then leave the directory around it: everything behind it would be lost.
        let entries = WalkDir::new(path).min_depth(1).max_depth(depth.unwrap_or(usize::MAX)).into_iter();
        Self {
            levels: vec![Level { path: path.into(), states }],
            root,
            wanted,
            entries,
            next: Vec::new(),
            hits: Vec::new(),
            limits,
            root_identity,
        }
    }

    /// What has become of the alternatives.
    pub(super) fn into_wanted(self) -> Vec<Wanted> {
        self.wanted
    }

    /// Judges an entry, and enters it if it is a directory that is worth it.
    fn meet(&mut self, entry: &DirEntry) -> Option<Candidate> {
        let is_directory = entry.file_type().is_dir();
        self.levels.truncate(entry.depth());
        // What an interrupted run has left is finished by its record, and what a live one is at work on is left alone.
        if is_hidden_name(entry.file_name().as_bytes()) {
            if is_directory {
                self.entries.skip_current_dir();
            }
            return None;
        }
        self.judge(entry.file_name().as_bytes(), is_directory);
        let is_match = !self.hits.is_empty();
        if !is_directory {
            return if is_match { self.found(entry) } else { None };
        }
        let is_of_interest = is_match || !self.next.is_empty();
        let place = if is_of_interest { self.place(entry) } else { Place::Ordinary };
        if is_match || !is_of_interest || place != Place::Ordinary {
            // walkdir has opened every directory that it hands out.
            self.entries.skip_current_dir();
        } else {
            self.next.sort_unstable();
            self.next.dedup();
            self.levels.push(Level { path: entry.path().into(), states: self.next.clone() });
        }
        match place {
            Place::Ordinary | Place::Beyond if is_match => self.found(entry),
            _ => None,
        }
    }

    /// Fills `hits` and `next` for a name in the directory that is being listed.
    fn judge(&mut self, name: &[u8], is_directory: bool) {
        self.hits.clear();
        self.next.clear();
        let Some(level) = self.levels.last() else {
            return;
        };
        for &(index, step) in &level.states {
            let reach = |step| self.next.push((index, step));
            if self.wanted[index].alternative.judge(step, name, is_directory, reach) {
                self.hits.push(index);
            }
        }
    }

    /// Notes a match, which is a candidate unless it has arrived already.
    fn found(&mut self, entry: &DirEntry) -> Option<Candidate> {
        // A directory moves whole: what else is wanted of its content moves with it.
        let inside = self.next.iter().map(|(index, _)| index);
        for &index in self.hits.iter().chain(inside) {
            self.wanted[index].is_met = true;
        }
        if entry.depth() == 1 && self.limits.skip.is_some() && self.root_identity == self.limits.skip {
            return None;
        }
        Some(Candidate {
            path: [&self.root[..], self.below_root(entry.path())].concat().into(),
            trusted: self.root.len(),
            origin: Origin::Pattern,
            hint: Hint::from(entry.file_type()),
        })
    }

    /// Looks at a directory, where that matters. What the listing says of its inode will not do: for a mount
    /// point it is the inode below.
    fn place(&self, entry: &DirEntry) -> Place {
        let Some(root) = self.root_identity else {
            return Place::Ordinary;
        };
        match entry.metadata() {
            Ok(found) if self.limits.skip == Some((found.dev(), found.ino())) => Place::Destination,
            Ok(found) if self.limits.one_file_system && found.dev() != root.0 => Place::Beyond,
            Err(error) if error.io_error().is_some_and(has_vanished) => Place::Vanished,
            _ => Place::Ordinary,
        }
    }

    /// The part of a path that the walk has found.
    fn below_root<'a>(&self, path: &'a Path) -> &'a [u8] {
        let root = if self.root.is_empty() { "./".len() } else { self.root.len() };
        path.as_os_str().as_bytes().get(root..).unwrap_or_default()
    }

    /// What is to be said of an error, if anything.
    fn failed(&mut self, error: &walkdir::Error) -> Option<Box<MoveError>> {
        if error.io_error().is_some_and(has_vanished) {
            return None;
        }
        // There may have been matches in there; that there is no other is not worth a second message.
        for one in &mut self.wanted {
            one.is_met = true;
        }
        let source = error.io_error().and_then(Errno::from_io_error).unwrap_or(Errno::IO);
        let path_at = |depth: usize| self.levels.get(depth).map(|level| &*level.path);
        let shown = |path: &Path| match [&self.root[..], self.below_root(path)].concat() {
            empty if empty.is_empty() => PathBuf::from("."),
            shown => OsStr::from_bytes(&shown).into(),
        };
        Some(Box::new(match error.path() {
            // Listing stopped half-way; the depth is that of the entry that should have come.
            None => {
                let listed = path_at(error.depth().saturating_sub(1)).unwrap_or(Path::new("."));
                MoveError::ReadDirectory { path: shown(listed), source }
            }
            Some(path) if path_at(error.depth()) == Some(path) => {
                MoveError::ReadDirectory { path: shown(path), source }
            }
            // The listing does not tell kinds of files, and the file cannot be looked at.
            Some(path) => MoveError::Stat { path: shown(path), source },
        }))
    }
}

impl Iterator for Walk {
    type Item = Result<Candidate>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.entries.next()? {
                Ok(entry) => {
                    if let Some(candidate) = self.meet(&entry) {
                        return Some(Ok(candidate));
                    }
                }
                Err(error) => {
                    if let Some(error) = self.failed(&error) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}

/// Whether a directory has been moved away, or something else has taken its name.
fn has_vanished(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR))
}
