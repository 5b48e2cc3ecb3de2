//! What DEST means: a directory to move into, or the new name of the one source.

use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Place, Way, path_from};
use crate::sys::{Dir, Stat, create_dir};
use crate::transfer::{Leftovers, Target};

use super::{split, strip_slashes};

/// How DEST was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DestinationKind {
    /// As the last operand: a directory, or a new name.
    Operand,
    /// With `-t`: a directory.
    Directory,
    /// With `-T`: a new name, whatever it stands for now.
    Name,
}

/// Where everything goes.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) target: Arc<Target>,
    /// The new name of the one source.
    pub(super) name: Option<Box<[u8]>>,
    /// The directory that DEST is in, where DEST is a directory that the one source might have become: what ended runs
    /// left there was met on the way, and is to be cleared as well.
    pub(super) beside: Option<Arc<Target>>,
    /// Directories in which others were made on the way (`--mkdir`): these names are not durable.
    pub(crate) made_in: Vec<Dir>,
    /// DEST would have to be made first, and only its nearest directory is there.
    pub(crate) is_missing: bool,
}

/// Whether DEST is made, if it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MakeDir {
    No,
    /// With these permissions.
    Yes(u32),
    /// It is only to be said what would happen.
    Pretend,
}

/// Finds out what `path` means for the sources: `only` is the path of the source, if there is but one and it is no
/// pattern.
///
/// # Errors
/// `path` is no directory, but would have to be one; or the directory that it should be in is not there.
pub(crate) fn resolve_destination(
    path: &[u8],
    kind: DestinationKind,
    only: Option<&[u8]>,
    mkdir: MakeDir,
    way: Way,
) -> Result<Destination> {
    if mkdir == MakeDir::No {
        return resolve_existing(path, kind, only, way);
    }
    let dir = if kind == DestinationKind::Name { split(strip_slashes(path).0).0 } else { path };
    let create = |source| MoveError::Create { what: "directory", path: path_from(dir.to_vec()), source };
    let made = make_dirs(dir, mkdir).map_err(create)?;
    // Whatever it is now, it is a directory to move into.
    let kind = if kind == DestinationKind::Operand { DestinationKind::Directory } else { kind };
    match made {
        Made::Whole(made_in) => Ok(Destination { made_in, ..resolve_existing(path, kind, only, way)? }),
        Made::Pretended(nearest) => {
            let (dir, name) = match kind {
                DestinationKind::Name => (dir, Some(split(strip_slashes(path).0).1.into())),
                _ => (path, None),
            };
            let slash: &[u8] = if dir.is_empty() || dir.ends_with(b"/") { b"" } else { b"/" };
            let target = Arc::new(Target::new(Place::new(nearest, &[dir, slash].concat())));
            Ok(Destination { target, name, beside: None, made_in: Vec::new(), is_missing: true })
        }
    }
}

/// What came of making directories.
enum Made {
    /// They are there; those in which any were made.
    Whole(Vec<Dir>),
    /// They are not; the nearest directory that is.
    Pretended(Dir),
}

/// Makes the directory `path`, and those on the way to it that are not there.
fn make_dirs(path: &[u8], mkdir: MakeDir) -> std::result::Result<Made, Errno> {
    if path.is_empty() {
        return Ok(Made::Whole(Vec::new()));
    }
    let ends = (0..=path.len()).rev().filter(|&at| at == path.len() || path[at] == b'/');
    for end in ends.chain([0]) {
        // A path that begins with a slash begins at the root.
        let there = &path[..if end == 0 && path.starts_with(b"/") { 1 } else { end }];
        match Dir::open_named(there) {
            Ok(nearest) if mkdir == MakeDir::Pretend && end < path.len() => return Ok(Made::Pretended(nearest)),
            Ok(nearest) => return make_below(nearest, &path[end..], mkdir).map(Made::Whole),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::NOENT)
}

/// Makes the directories of `path` below one that is there. Returns those in which any were made.
fn make_below(nearest: Dir, path: &[u8], mkdir: MakeDir) -> std::result::Result<Vec<Dir>, Errno> {
    let mut here = nearest;
    let mut made_in = Vec::new();
    for name in path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")) {
        if name == b".." {
            here = here.open_parent()?;
            continue;
        }
        if let MakeDir::Yes(mode) = mkdir {
            match create_dir(&here, name, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        let next = here.open_child(name)?;
        made_in.push(std::mem::replace(&mut here, next));
    }
    Ok(made_in)
}

fn resolve_existing(path: &[u8], kind: DestinationKind, only: Option<&[u8]>, way: Way) -> Result<Destination> {
    let shown = || path_from(path.to_vec());
    if kind != DestinationKind::Name {
        match open_directory(path) {
            Ok(dir) => {
                // An ended run may have put the one source under this very name: then it is not to go into itself.
                let mut beside = None;
                if kind == DestinationKind::Operand
                    && way != Way::Exchange
                    && let Some(source) = only
                {
                    match finish_rename(path, source)? {
                        Some((destination, true)) => return Ok(destination),
                        Some((Destination { target, .. }, false)) => beside = Some(target),
                        None => {}
                    }
                }
                let leftovers = find_leftovers(&dir, path)?;
                let prefix = if path.ends_with(b"/") { path.to_vec() } else { [path, b"/"].concat() };
                let target = Target::new(Place::new(dir, &prefix)).with_leftovers(leftovers);
                return Ok(Destination {
                    target: Arc::new(target),
                    name: None,
                    beside,
                    made_in: Vec::new(),
                    is_missing: false,
                });
            }
            Err(source) if kind == DestinationKind::Directory => {
                return Err(Box::new(MoveError::TargetDirectory { path: shown(), source }));
            }
            Err(source) if only.is_none() => return Err(Box::new(MoveError::Target { path: shown(), source })),
            // Nothing has this name, or what has it is no directory (or a link that leads nowhere, which is replaced).
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            // Whether it is a directory cannot be told: taking it for a name would be a guess.
            Err(source) => return Err(Box::new(MoveError::Stat { path: shown(), source })),
        }
    }
    let source = only.unwrap_or_default();
    let refuse = |error| MoveError::Move { from: path_from(source.to_vec()), to: shown(), source: error };
    let (name, only_directory) = strip_slashes(path);
    if only_directory {
        check_slash(path, source)?;
    }
    rename_to(name).map_err(|error| match (look_as_written(source), error) {
        (Err(error), _) => Box::new(MoveError::Stat { path: path_from(source.to_vec()), source: error }),
        (Ok(_), Errno::NOENT | Errno::BUSY) => Box::new(refuse(error)),
        // What the name would be in cannot be searched, or is no directory.
        (Ok(_), _) => Box::new(MoveError::Stat { path: shown(), source: error }),
    })?
}

/// Whether the source may get this name, which ends with a slash: "new/" can only become a directory, and what is there
/// must be one.
fn check_slash(path: &[u8], source: &[u8]) -> Result<()> {
    let (from, to) = (path_from(source.to_vec()), path_from(path.to_vec()));
    let is_dir = match look_as_written(source) {
        Ok(stat) => stat.is_dir(),
        Err(source) => return Err(Box::new(MoveError::Stat { path: from, source })),
    };
    let refuse = |source| MoveError::Move { from: from.clone(), to: to.clone(), source };
    Err(Box::new(match (look(path), open_directory(path)) {
        (_, Ok(_)) if !is_dir => MoveError::FileOverDirectory { from, to },
        // The root has no name.
        (Err(_), Ok(_)) => refuse(Errno::BUSY),
        (Err(_), Err(_)) if is_dir => return Ok(()),
        (Ok(stat), Ok(_)) if stat.is_dir() => return Ok(()),
        // A symlink that leads nowhere.
        (Ok(_), Err(Errno::NOENT)) if is_dir => MoveError::DirectoryOverFile { from, to },
        (Err(_) | Ok(_), Err(Errno::NOENT)) => refuse(Errno::NOTDIR),
        (_, Err(source)) => MoveError::Stat { path: to, source },
        // A symlink is not a directory even if it leads to one.
        (Ok(_), Ok(_)) => MoveError::Stat { path: to, source: Errno::NOTDIR },
    }))
}

/// Opens what must be a directory; an empty path is none.
fn open_directory(path: &[u8]) -> std::result::Result<Dir, Errno> {
    if path.is_empty() { Err(Errno::NOENT) } else { Dir::open_named(path) }
}

/// The destination that gives the one source the name `path`.
fn rename_to(path: &[u8]) -> std::result::Result<Result<Destination>, Errno> {
    let (parent, name) = split(path);
    if name.is_empty() {
        return Err(if path.is_empty() { Errno::NOENT } else { Errno::BUSY });
    }
    let dir = Dir::open_named(parent)?;
    let leftovers = match find_leftovers(&dir, parent) {
        Ok(leftovers) => leftovers,
        Err(error) => return Ok(Err(error)),
    };
    let target = Target::new(Place::new(dir, parent)).with_leftovers(leftovers);
    Ok(Ok(Destination {
        target: Arc::new(target),
        name: Some(name.into()),
        beside: None,
        made_in: Vec::new(),
        is_missing: false,
    }))
}

/// What ended runs left in a directory.
fn find_leftovers(dir: &Dir, path: &[u8]) -> Result<Option<Leftovers>> {
    Leftovers::find(dir).map_err(|source| {
        let path = if path.is_empty() { b"." } else { path };
        Box::new(MoveError::Leftovers { path: path_from(path.to_vec()), source })
    })
}

/// The destination that gives `source` the name `path`, if ended runs have left anything there, and whether one of them
/// did give it that name.
fn finish_rename(path: &[u8], source: &[u8]) -> Result<Option<(Destination, bool)>> {
    let (name, _) = strip_slashes(path);
    let (source, _) = strip_slashes(source);
    let destination = match rename_to(name) {
        Ok(destination) => destination?,
        // The root, or a directory that is reached without its parent: no run has given it its name.
        Err(Errno::BUSY | Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(None),
        Err(source) => return Err(Box::new(MoveError::Leftovers { path: path_from(name.to_vec()), source })),
    };
    let (parent, source_name) = split(source);
    if !destination.target.has_leftovers() {
        return Ok(None);
    }
    let is_given = match Dir::open_named(parent) {
        Ok(parent) => destination.target.has_begun(&parent, source_name, split(name).1),
        // There is no source.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => false,
        Err(error) => return Err(Box::new(MoveError::Stat { path: path_from(source.to_vec()), source: error })),
    };
    Ok(Some((destination, is_given)))
}

/// What has this name, whatever slashes it is written with. A symlink is not followed.
fn look(path: &[u8]) -> std::result::Result<Stat, Errno> {
    let (path, _) = strip_slashes(path);
    let (parent, name) = split(path);
    Stat::at(&Dir::open_named(parent)?, name)
}

/// The same for a source, which has to be a directory if it is written with a slash, or lead to one.
fn look_as_written(path: &[u8]) -> std::result::Result<Stat, Errno> {
    let (stripped, has_slash) = strip_slashes(path);
    let (parent, name) = split(stripped);
    let slash: &[u8] = if has_slash && !name.is_empty() { b"/" } else { b"" };
    Stat::at(&Dir::open_named(parent)?, &[name, slash].concat())
}
