//! Retiring a tree's source: it vanishes with one rename, then what the journal lists is removed, and only that.

use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use rayon::prelude::*;
use rustix::io::Errno;

use crate::crew::{Crew, Turn};
use crate::error::MoveError;
use crate::item::{Outcome, Settled};
use crate::sys::{Dir, Durable, NoReplace, Stat, effective_user, give_mode, rename_somehow, unlink, unlink_dir};
use crate::transfer::Context;
use crate::transfer::compare::is_copy;

use super::TreeJob;
use super::finish::side_by_side;
use super::frame::{Frame, Header, StagedFile};
use super::nodes::{Node, Nodes, ROOT};
use super::publish::PublishedTree;
use super::tree_record::TreeRecord;

/// So many files that the journal lists are removed side by side, before more of it is read.
const FILES: usize = 8192;

/// The source of a published tree, being removed.
pub(crate) struct Remains<'a> {
    /// The source's parent directory.
    parent: &'a Dir,
    header: &'a Header,
    record: &'a TreeRecord,
    /// Its name there: the hidden one, unless it cannot be hidden.
    name: &'a [u8],
    copy: Copy<'a>,
}

/// What is known of the copy of what is to be removed.
#[derive(Clone, Copy, Debug)]
enum Copy<'a> {
    /// This run has published it just now.
    Ours,
    /// An ended run has published it, and much may have happened since: each file is compared before it goes. None where
    /// it is not there any more.
    Found(Option<&'a Dir>),
}

/// What was left of a source.
pub(crate) enum Left {
    Nothing,
    /// Something that was not copied, or not as it is now: under this name.
    Something(Vec<u8>),
    /// What was copied, and could not be removed: under this name.
    Refused(Vec<u8>, Errno),
    /// All of it, since its copy is not there any more: under this name.
    All(Vec<u8>),
}

impl PublishedTree {
    /// Removes the source. Takes the proof that the target's name is durable.
    pub(crate) fn retire(self, context: &Context, durable: Durable) -> Settled {
        drop(durable);
        let outcome = match self.remove_source(context) {
            Ok(()) => Outcome::Copied { bytes: self.bytes },
            Err(error) => Outcome::Failed(Box::new(error)),
        };
        let Self { job, warnings, told, .. } = self;
        let mut settled = job.settle(context, outcome);
        if let Some(paths) = &mut settled.paths {
            paths.inside = told.lines(context, paths.from.as_os_str().as_bytes(), paths.to.as_os_str().as_bytes());
        }
        Settled { warnings, ..settled }
    }

    fn remove_source(&self, context: &Context) -> Result<(), MoveError> {
        let Self { job, header, journal, is_taken_over, .. } = self;
        let cannot = |source| MoveError::Remove { path: job.source.path_of(&job.item), source };
        let copying = job.target.copying(context).map_err(cannot)?;
        let record = TreeRecord::open(copying.stage_dir.dir(), journal).map_err(cannot)?;
        let record = record.ok_or_else(|| cannot(Errno::IO))?;
        let published = if *is_taken_over { header.published_somewhere_in(&job.target.place.dir) } else { Ok(None) };
        let retired = published.map_err(Failure::Remove).and_then(|published| {
            let published = published.as_ref().map(|(_, dir)| dir);
            let copy = if *is_taken_over { Copy::Found(published) } else { Copy::Ours };
            retire_source(context, &job.source.dir, &record, header, copy)
        });
        let retired = match retired {
            // The ended run got as far as that.
            Err(Failure::Remove(Errno::NOENT)) if *is_taken_over => Ok(()),
            retired => retired,
        };
        // What could not be removed is for the next run to remove, which needs to know what it is. (Not what has vanished.)
        let is_left = |error: &Errno| *error != Errno::NOENT;
        if !matches!(&retired, Err(Failure::Remove(error) | Failure::Refused(_, error)) if is_left(error)) {
            copying.spent.add(context, &copying.stage_dir, Some(journal), [&job.source]);
        }
        retired.map_err(|failure| failure.in_words(job))
    }
}

enum Failure {
    Remove(Errno),
    Refused(Vec<u8>, Errno),
    Changed,
    Left(Vec<u8>),
    CopyGone(Vec<u8>),
}

impl Failure {
    fn in_words(self, job: &TreeJob) -> MoveError {
        let from = job.source.path_of(&job.item);
        let to = || job.target.path(&job.item);
        match self {
            Self::Remove(Errno::NOENT) => MoveError::VanishedOnTheWay { from, to: to() },
            Self::Remove(source) => MoveError::Remove { path: from, source },
            Self::Refused(name, source) => MoveError::Remove { path: job.source.path(&name), source },
            Self::Changed => MoveError::Changed { from, to: to() },
            Self::CopyGone(name) => MoveError::CopyGone { from, kept: job.source.path(&name) },
            Self::Left(name) => MoveError::LeftBehind { from, kept: job.source.path(&name) },
        }
    }
}

fn retire_source(
    context: &Context,
    parent: &Dir,
    record: &TreeRecord,
    header: &Header,
    copy: Copy<'_>,
) -> Result<(), Failure> {
    // The header with the identities of today, which after a reboot are not those in the record.
    let mut remains = Remains { header, name: &header.hidden, copy, ..Remains::of(parent, record, None) };
    match Stat::at(parent, &header.name) {
        Ok(stat) if stat.id == header.source => {
            let hide = || rename_somehow(parent, &header.name, parent, &header.hidden);
            let hidden = match hide() {
                // Where that takes two steps, an ended run may have come as far as the first: an empty directory, of a name
                // that is ours.
                Ok(NoReplace::Exists) if unlink_dir(parent, &header.hidden).is_ok() => hide(),
                hidden => hidden,
            };
            match hidden {
                Ok(NoReplace::Renamed) => {}
                Ok(NoReplace::Exists) => return Err(Failure::Remove(Errno::EXIST)),
                // A server that was asked twice.
                Err(_) if remains.is_hidden() == Ok(true) => {}
                // Directories cannot be renamed here (some FUSE; those of an overlay's lower layer): then it vanishes bit by
                // bit. It is at its target, whole and durable.
                Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP) => remains.name = &header.name,
                Err(error) => return Err(Failure::Remove(error)),
            }
        }
        // An ended run has hidden it already; the old name may have been taken again.
        _ if remains.is_hidden().map_err(Failure::Remove)? => {}
        Ok(_) => return Err(Failure::Changed),
        Err(error) => return Err(Failure::Remove(error)),
    }
    match remains.remove(&context.crew).map_err(Failure::Remove)? {
        Left::Nothing => Ok(()),
        Left::Something(name) => Err(Failure::Left(name)),
        Left::Refused(name, error) => Err(Failure::Refused(name, error)),
        Left::All(name) => Err(Failure::CopyGone(name)),
    }
}

impl<'a> Remains<'a> {
    /// The remains that `record`, of an ended run, speaks of, in `parent`; and what that run has published.
    pub(crate) fn of(parent: &'a Dir, record: &'a TreeRecord, published: Option<&'a Dir>) -> Self {
        Self { parent, header: &record.header, record, name: &record.header.hidden, copy: Copy::Found(published) }
    }

    /// Whether the source is under its hidden name.
    ///
    /// # Errors
    /// That cannot be told now: it may be.
    pub(crate) fn is_hidden(&self) -> Result<bool, Errno> {
        match Stat::at(self.parent, &self.header.hidden) {
            Ok(stat) => Ok(stat.id == self.header.source),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has `crew` remove the source, as far as it is what was copied. What is left goes back to its old name, if
    /// that is free.
    pub(crate) fn remove(&self, crew: &Crew) -> Result<Left, Errno> {
        let source = &self.header.source;
        let root = self.parent.open_child(self.name)?;
        if root.id() != *source {
            return Err(Errno::NOENT);
        }
        if matches!(self.copy, Copy::Found(None)) {
            return Ok(Left::All(self.put_back()));
        }
        let nodes = Nodes::default();
        let refused = OnceLock::new();
        let note = |error: Errno| refused.get_or_init(|| error);
        self.for_files(crew, &nodes, |dir, files| {
            let mut turn = crew.turn();
            remove_files(&nodes, (&root, self.copy), dir, &files, &mut turn).map_err(note).ok();
        })
        .map_err(note)
        .ok();
        for level in nodes.levels_upwards() {
            side_by_side(crew, &level, |id| {
                remove_dir(&nodes, (&root, self.copy), id).map_err(note).ok();
                Ok::<(), Errno>(())
            })?;
        }
        drop(root);
        match unlink_dir(self.parent, self.name) {
            Ok(()) => return Ok(Left::Nothing),
            Err(_) if Stat::at(self.parent, self.name) == Err(Errno::NOENT) => return Ok(Left::Nothing),
            // What is in it appeared in it, unless something could not be removed.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => {
                note(error);
            }
        }
        // In either case it is seen again.
        let name = self.put_back();
        Ok(match refused.into_inner() {
            Some(error) => Left::Refused(name, error),
            None => Left::Something(name),
        })
    }

    /// Has `crew` do something with the files that the journal lists, directory by directory, and notes these in `nodes`.
    ///
    /// # Errors
    /// The journal could not be read to its end.
    fn for_files(&self, crew: &Crew, nodes: &Nodes, each: impl Fn(u32, Vec<StagedFile>) + Sync) -> Result<(), Errno> {
        let each = |(dir, files)| each(dir, files);
        let all = |pieces: &mut Vec<(u32, Vec<StagedFile>)>| {
            if crew.is_alone() {
                pieces.drain(..).for_each(each);
            } else {
                pieces.par_drain(..).with_max_len(1).for_each(each);
            }
        };
        let (mut pieces, mut count) = (Vec::new(), 0);
        let mut frames = self.record.frames();
        for (_, frame) in &mut frames {
            match frame {
                Frame::Dir { parent, name, .. } => {
                    nodes.add(Node { parent, name: name.into(), stat: None }, |_, _| {});
                }
                Frame::Files { dir, files } => {
                    count += files.len();
                    pieces.push((dir, files));
                }
                Frame::Header(_) | Frame::Proven { .. } | Frame::Known { .. } => {}
            }
            if count >= FILES {
                all(&mut pieces);
                count = 0;
            }
        }
        all(&mut pieces);
        frames.error().map_or(Ok(()), Err)
    }

    /// Gives the source its old name again, if that is free. The name that it has then.
    fn put_back(&self) -> Vec<u8> {
        let Header { name, hidden, .. } = self.header;
        if self.name == name {
            return name.clone();
        }
        match rename_somehow(self.parent, hidden, self.parent, name) {
            Ok(NoReplace::Renamed) => name.clone(),
            _ => hidden.clone(),
        }
    }
}

/// Removes files of one directory that are what was copied. The first error, if any could not be removed.
fn remove_files(
    nodes: &Nodes,
    (root, copy): (&Dir, Copy<'_>),
    dir: u32,
    files: &[StagedFile],
    turn: &mut Turn<'_>,
) -> Result<(), Errno> {
    let there = match copy {
        Copy::Ours => None,
        Copy::Found(Some(published)) => match nodes.open(published, dir) {
            Ok(there) => Some(there),
            // Its copy has gone: it is the only one, then.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error),
        },
        Copy::Found(None) => return Ok(()),
    };
    let has_copy = |here: &Dir, name: &[u8]| {
        let Some(there) = &there else { return Ok(true) };
        match Stat::at(there, name) {
            Ok(is) => is_copy(here, name, &Stat::at(here, name)?, there, name, &is),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    };
    let here = match nodes.open(root, dir) {
        Ok(here) => here,
        // A run before this one has removed it with everything in it.
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error),
    };
    open_up(&here)?;
    let mut result = Ok(());
    for file in files {
        let is_copied = file.stamp.check(&here, &file.name).and_then(|same| Ok(same && has_copy(&here, &file.name)?));
        let removed = match is_copied {
            Ok(true) => unlink(&here, &file.name),
            // It is not what was copied, or its copy has gone, and it stays; or it has gone itself.
            Ok(false) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        };
        result = result.and(removed);
        turn.step();
    }
    result
}

fn remove_dir(nodes: &Nodes, (root, copy): (&Dir, Copy<'_>), id: u32) -> Result<(), Errno> {
    // The root's name is not among them.
    let Some(node) = nodes.get(id).filter(|_| id != ROOT) else { return Ok(()) };
    if let Copy::Found(published) = copy {
        match published.ok_or(Errno::NOENT).and_then(|published| nodes.open(published, id)) {
            Ok(_) => {}
            // Its copy has gone.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    let above = match nodes.open(root, node.parent) {
        Ok(above) => above,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error),
    };
    open_up(&above)?;
    match unlink_dir(&above, &node.name) {
        // Where something is left in it, that has been noted, or it appeared.
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets us remove things from a directory of our own that was read-only.
fn open_up(dir: &Dir) -> Result<(), Errno> {
    let stat = dir.stat();
    if stat.mode & 0o300 == 0o300 || stat.uid != effective_user() || stat.uid == 0 {
        return Ok(());
    }
    dir.readable().and_then(|fd| give_mode(&fd, stat.mode | 0o700))
}
