//! From candidates to items: where each goes, and which must wait for which.
//!
//! Works on the coordinating thread alone, in input order, so that what is refused does not depend on
//! threads. Opens directories (and makes DEST, for `--mkdir`); looks at no file, but where the user's words cannot be understood without.

mod below;
#[cfg(feature = "bench-parts")]
pub(crate) mod bench_parts;
mod bloom;
mod destination;
mod names;
mod places;

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

pub(crate) use destination::{Destination, DestinationKind, MakeDir, resolve_destination};

use crate::error::{MoveError, Result};
use crate::item::{Below, Gathered, Item, Place, Standing, path_from};
use crate::source::{Candidate, Origin};
use crate::sys::Stat;
use crate::transfer::Target;

use below::Keeping;
use names::Names;
use places::{Fingerprint, Overlap, Places};

/// What is to be done with a candidate.
#[derive(Debug)]
pub(crate) enum Planned {
    /// To be moved, side by side with others: to DEST, or to a directory below it.
    Item { source: Arc<Place>, below: Option<Arc<Below>>, item: Item },
    /// To be moved once everything before it is settled, alone: it may meet another source of this run.
    Alone { source: Arc<Place>, below: Option<Arc<Below>>, item: Item },
    /// Everything before it must be settled, then it must be planned again: its directory may be on the move.
    Wait(Candidate),
    /// It has gone with a directory that is a source of this run.
    MovedBefore { order: Option<u64> },
    /// It cannot be moved.
    Refused { order: Option<u64>, error: Box<MoveError> },
}

/// Makes items, one candidate at a time.
#[derive(Debug)]
pub(crate) struct Planner {
    destination: Destination,
    places: Places,
    names: Names,
    /// Where paths are kept.
    keeping: Option<Keeping>,
    operands: u64,
}

impl Planner {
    /// `open_dirs`: so many directories may be held open for sources to come.
    pub(crate) fn new(destination: Destination, open_dirs: usize) -> Self {
        Self { destination, places: Places::new(open_dirs), names: Names::default(), keeping: None, operands: 0 }
    }

    /// The same, but for paths, relative to `base`, that are kept below the target.
    pub(crate) fn keeping(self, base: &[u8]) -> Self {
        Self { keeping: Some(Keeping::new(base)), ..self }
    }

    /// Where everything goes.
    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.destination.target
    }

    /// Whether the target is not there, and would have to be made first.
    pub(crate) fn is_target_missing(&self) -> bool {
        self.destination.is_missing
    }

    /// A directory that was met on the way to the target, and in which ended runs have left something.
    pub(crate) fn take_beside(&mut self) -> Option<Arc<Target>> {
        self.destination.beside.take()
    }

    /// Whether paths are kept, so that there may be many target directories.
    pub(crate) fn keeps_paths(&self) -> bool {
        self.keeping.is_some()
    }

    /// Takes note that the entries of the directory `path` are sources themselves: a list may name them as well.
    pub(crate) fn note_merged(&mut self, path: &[u8]) {
        self.places.note_merged(path);
    }

    /// Reserves the name of a source in a target directory that only the caller knows.
    pub(crate) fn reserve(&mut self, target: &Target, source: &Place, item: &Item) -> Standing {
        self.names.reserve(target, source, &item.name, item.target_name())
    }

    /// Plans a candidate for the first time.
    pub(crate) fn plan(&mut self, candidate: Candidate) -> Planned {
        self.plan_at(candidate, false)
    }

    /// Plans a candidate again, now that everything before it is settled.
    pub(crate) fn plan_settled(&mut self, candidate: Candidate) -> Planned {
        self.plan_at(candidate, true)
    }

    fn plan_at(&mut self, candidate: Candidate, settled: bool) -> Planned {
        let (path, only_directory) = strip_slashes(&candidate.path);
        let (parent, name) = split(path);
        let fingerprint = self.places.source(parent, name);
        let is_operand = candidate.origin == Origin::Operand;
        if !settled && self.must_wait(fingerprint, parent, is_operand) {
            return Planned::Wait(candidate);
        }
        if !is_operand && self.places.was_merged(path) {
            // What the merge has left where it is, is not to go elsewhere for that.
            return Planned::MovedBefore { order: None };
        }
        let order = is_operand.then(|| {
            self.operands += 1;
            self.operands - 1
        });
        if let Some(error) = self.refuse(&candidate, path, name) {
            return Planned::Refused { order, error };
        }
        let trusted = candidate.trusted;
        let below = self.keeping.as_mut().map(|keeping| keeping.below(parent, trusted));
        if below == Some(None) {
            let error = Box::new(MoveError::LeadsUp { path: path_from(candidate.path.into_vec()) });
            return Planned::Refused { order, error };
        }
        let below = below.flatten();
        let source = match self.open_parent(&candidate, parent, path) {
            Ok(Some(source)) => source,
            Ok(None) => return Planned::MovedBefore { order },
            Err(error) => return Planned::Refused { order, error },
        };
        let new_name = self.destination.name.clone();
        let target_name = new_name.as_deref().unwrap_or(name);
        let standing = match &below {
            None => self.names.reserve(&self.destination.target, &source, name, target_name),
            // Whoever opens that directory sees to it.
            Some(_) => Standing::Free,
        };
        let item = Item {
            name: name.into(),
            new_name,
            only_directory,
            hint: candidate.hint.kind(),
            was_found: candidate.origin == Origin::Pattern,
            standing,
            place: None,
            links: Gathered::No,
            backup: None,
            agreed: None,
            order,
            within: None,
        };
        self.places.note_source(fingerprint);
        if settled || standing != Standing::Free {
            Planned::Alone { source, below, item }
        } else {
            Planned::Item { source, below, item }
        }
    }

    /// Whether nothing can be said of a source before everything before it is settled.
    fn must_wait(&mut self, source: Fingerprint, parent: &[u8], is_operand: bool) -> bool {
        match self.places.overlap(source, parent) {
            Overlap::None => is_operand && self.places.leads_through_link(parent, self.operands == 0),
            Overlap::Within => true,
            Overlap::Around => {
                self.places.forget();
                true
            }
        }
    }

    /// Opens the directory that a candidate is in; none where it has gone with that directory.
    fn open_parent(&mut self, candidate: &Candidate, parent: &[u8], path: &[u8]) -> Result<Option<Arc<Place>>> {
        // What lies in the part that the user named may be reached through symlinks, what pmove found may not.
        let source = match self.places.open(parent, candidate.trusted.min(parent.len())) {
            Ok(source) => return Ok(Some(source)),
            Err(source) => source,
        };
        let is_away = matches!(source, Errno::NOENT | Errno::NOTDIR);
        if is_away && candidate.origin != Origin::Operand && self.has_gone_before(path) {
            return Ok(None);
        }
        let path = path_from(candidate.path.to_vec());
        // The directory that a pattern found it in has gone meanwhile, and not with this run.
        let has_vanished = candidate.origin == Origin::Pattern && source == Errno::NOENT;
        Err(Box::new(if has_vanished { MoveError::Vanished { path } } else { MoveError::Stat { path, source } }))
    }

    /// Whether `path` has gone with a directory that is a source of this run: it must be in that directory's target now.
    fn has_gone_before(&self, path: &[u8]) -> bool {
        let target = &self.destination.target.place.dir;
        self.places.sources_above(path).any(|above| {
            let kept = self.keeping.as_ref().map(|keeping| keeping.path(path).unwrap_or_default());
            let (before, _) = split(&path[..above]);
            let (parent, name) = split(kept.as_deref().unwrap_or(&path[before.len()..]));
            target
                .open_beneath(if parent.is_empty() { b"." } else { parent })
                .is_ok_and(|dir| Stat::at(&dir, name).is_ok())
        })
    }

    /// What no kernel would move, or nobody can have meant.
    fn refuse(&self, candidate: &Candidate, path: &[u8], name: &[u8]) -> Option<Box<MoveError>> {
        let shown = || -> PathBuf { path_from(candidate.path.to_vec()) };
        if candidate.path.is_empty() {
            return Some(Box::new(MoveError::Stat { path: shown(), source: Errno::NOENT }));
        }
        if name.is_empty() || name == b"." || name == b".." {
            let shown_name = if name.is_empty() { path } else { name };
            let to = self.destination.target.place.path(self.destination.name.as_deref().unwrap_or(shown_name));
            return Some(Box::new(MoveError::Move { from: shown(), to, source: Errno::BUSY }));
        }
        None
    }
}

/// A path's directory (with its slash, or empty) and its last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.split_at(path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1))
}

/// A path without its trailing slashes, and whether it had any.
fn strip_slashes(path: &[u8]) -> (&[u8], bool) {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    (&path[..end], end < path.len())
}
