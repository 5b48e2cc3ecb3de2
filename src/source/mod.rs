//! What the user named, as a stream of [`Candidate`]s.
//!
//! Operands, patterns and lists are turned into candidates one at a time, so that moving starts while
//! listing goes on, and a million names need no more memory than a thousand. This room reads
//! directories (through walkdir) and lists; it never changes anything, and it does not know targets.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::FileType;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::sys::FileKind;
use crate::transfer::is_hidden_name;

mod agenda;
#[cfg(feature = "bench-parts")]
pub(crate) mod bench_parts;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod list;
mod name;
mod operand;
mod pattern;
mod syntax;
mod walk;

pub use list::{Input, List};
pub use operand::{Operand, classify};

use agenda::{Base, Pattern, Task};
use walk::{Limits, Walk, Wanted};

/// Where a candidate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was named on the command line.
    Operand,
    /// It matched a pattern.
    Pattern,
    /// It stood in a list.
    List,
}

/// What a directory's listing said of the kind of a file, if it said anything. It may be out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// No listing was read.
    Unknown,
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symlink, FIFO, socket or device.
    Other,
}

impl Hint {
    /// The kind, of those that are gone about in another way for it.
    pub(crate) fn kind(self) -> Option<FileKind> {
        match self {
            Self::Regular => Some(FileKind::Regular),
            Self::Directory => Some(FileKind::Directory),
            Self::Unknown | Self::Other => None,
        }
    }
}

impl From<FileType> for Hint {
    fn from(kind: FileType) -> Self {
        if kind.is_file() {
            Self::Regular
        } else if kind.is_dir() {
            Self::Directory
        } else {
            Self::Other
        }
    }
}

/// A name that may become an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The path as the user would write it: any bytes but NUL.
    pub path: Box<[u8]>,
    /// How many bytes of the path the user named literally. Symlinks in that part are followed; the rest was
    /// found by pmove and must be opened without following any.
    pub trusted: usize,
    /// Where it comes from.
    pub origin: Origin,
    /// What kind of file it probably is.
    pub hint: Hint,
}

impl Candidate {
    /// A candidate that the user named in full.
    fn named(path: Box<[u8]>, origin: Origin) -> Self {
        Self { trusted: path.len(), path, origin, hint: Hint::Unknown }
    }

    fn without_slashes(self) -> Self {
        let path: Box<[u8]> = without_slashes(&self.path).into();
        Self { trusted: self.trusted.min(path.len()), path, ..self }
    }
}

/// A path without the slashes at its end; the root keeps one.
pub(crate) fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(path.len().min(1), |at| at + 1);
    &path[..end]
}

/// What a run shall move.
#[derive(Debug, Default)]
pub struct Sources {
    /// The operands, [classified](classify).
    pub operands: Vec<Operand>,
    /// The patterns of `-g`, whatever they hold.
    pub globs: Vec<OsString>,
    /// The list of `--files-from`.
    pub list: Option<List>,
    /// The directory of `-C`, to which relative operands, patterns and list entries are relative.
    pub base: Option<PathBuf>,
    /// Whether a pattern without a match is success.
    pub allow_empty: bool,
    /// Whether a pattern's walk stays on the file system of its root.
    pub one_file_system: bool,
    /// Whether slashes at the end of a source are taken off: `--strip-trailing-slashes`.
    pub strip_slashes: bool,
    /// Device and inode of the target directory. What a pattern finds directly in it has arrived already, and
    /// is not yielded, nor is the directory itself; a walk never enters it from above.
    pub skip: Option<(u64, u64)>,
}

impl Sources {
    /// Starts the stream. Everything is opened only when its turn comes.
    #[must_use]
    pub fn into_stream(self) -> Stream {
        let base = Base::new(self.base.as_deref());
        let globs = self.globs.into_iter().map(Operand::Pattern);
        let (tasks, patterns) = agenda::prepare(self.operands.into_iter().chain(globs), &base);
        Stream {
            base,
            tasks: tasks.into(),
            walk: None,
            patterns,
            unmatched: VecDeque::new(),
            list: self.list.map(list::Reader::new),
            allow_empty: self.allow_empty,
            limits: Limits { one_file_system: self.one_file_system, skip: self.skip },
            strip_slashes: self.strip_slashes,
        }
    }
}

/// The candidates in order: operands, patterns, then the list.
///
/// An error concerns one name, pattern or directory; the stream goes on behind it.
#[derive(Debug)]
pub struct Stream {
    base: Base,
    tasks: VecDeque<Task>,
    /// The walk that is under way.
    walk: Option<Walk>,
    patterns: Vec<Pattern>,
    /// The patterns that turned out to have no match, and have not been reported yet.
    unmatched: VecDeque<usize>,
    list: Option<list::Reader>,
    allow_empty: bool,
    limits: Limits,
    strip_slashes: bool,
}

impl Stream {
    /// Whether the next candidate would have to be waited for longer than `patience`, because a list is still being
    /// written. A signal makes the answer yes at once.
    #[must_use]
    pub fn would_wait(&mut self, patience: Duration) -> bool {
        self.walk.is_none()
            && self.tasks.is_empty()
            && self.unmatched.is_empty()
            && self.list.as_mut().is_some_and(|list| list.would_wait(patience))
    }

    /// Begins a task. It may yield something at once, or leave a walk to be followed.
    fn begin(&mut self, task: Task) -> Option<Result<Candidate>> {
        match task {
            Task::Yield(path) => Some(Ok(Candidate::named(path, Origin::Operand))),
            Task::Refuse(error) => Some(Err(error)),
            Task::LookUp { path, wanted } => self.look_up(path, wanted),
            Task::Walk { root, wanted } => {
                self.walk = Some(Walk::open(root, wanted, self.limits));
                None
            }
        }
    }

    /// Yields the one name that patterns stand for, if it exists.
    fn look_up(&mut self, path: Vec<u8>, mut wanted: Vec<Wanted>) -> Option<Result<Candidate>> {
        let found = Path::new(OsStr::from_bytes(&path)).symlink_metadata();
        let is_missing = found.as_ref().is_err_and(operand::names_nothing);
        for one in &mut wanted {
            one.is_met = !is_missing;
        }
        self.settle(&wanted);
        match found {
            Ok(found) => {
                let hint = Hint::from(found.file_type());
                Some(Ok(Candidate { hint, ..Candidate::named(path.into(), Origin::Pattern) }))
            }
            Err(_) if is_missing => None,
            Err(error) => {
                let source = Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
                Some(Err(Box::new(MoveError::Stat { path: OsStr::from_bytes(&path).into(), source })))
            }
        }
    }

    /// Notes what has become of alternatives. A pattern has no match once all of its alternatives have none.
    fn settle(&mut self, wanted: &[Wanted]) {
        for one in wanted {
            let pattern = &mut self.patterns[one.pattern];
            pattern.is_met |= one.is_met;
            pattern.waiting -= 1;
            if pattern.waiting == 0 && !pattern.is_met && !self.allow_empty {
                self.unmatched.push_back(one.pattern);
            }
        }
    }

    fn next_in_list(&mut self) -> Option<Result<Candidate>> {
        let list = self.list.as_mut()?;
        loop {
            let name = match list.next_name()? {
                Ok(name) => name,
                Err(error) => return Some(Err(error)),
            };
            // `find` lists what an interrupted run has left, too: that run's record finishes it.
            if !name.split(|&byte| byte == b'/').any(is_hidden_name) {
                return Some(Ok(Candidate::named(self.base.join(name), Origin::List)));
            }
        }
    }
}

impl Iterator for Stream {
    type Item = Result<Candidate>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if !self.strip_slashes {
            return next;
        }
        next.map(|found| found.map(Candidate::without_slashes))
    }
}

impl Stream {
    fn advance(&mut self) -> Option<Result<Candidate>> {
        loop {
            if let Some(walk) = &mut self.walk {
                if let Some(found) = walk.next() {
                    return Some(found);
                }
                if let Some(walk) = self.walk.take() {
                    self.settle(&walk.into_wanted());
                }
            }
            if let Some(pattern) = self.unmatched.pop_front() {
                return Some(Err(Box::new(self.patterns[pattern].no_match())));
            }
            let Some(task) = self.tasks.pop_front() else {
                return self.next_in_list();
            };
            if let Some(found) = self.begin(task) {
                return Some(found);
            }
        }
    }
}

#[cfg(test)]
mod tests;
