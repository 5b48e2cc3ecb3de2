//! A staged batch: what it holds, its intent record, and how it is taken back.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use crate::error::MoveError;
use crate::item::{How, Item, Outcome, Place, Settled, Warning};
use crate::sys::{FileId, FileKind, NoReplace, Stat, publish_unnamed, rename_by_link, unlink};

use super::flagless::rename_for_good;
use super::record::{Record, Way};
use super::stamp::Stamp;
use super::target::Copying;
use super::{Context, Target};

/// A batch whose content is staged, but not known to be durable.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(super) source: Arc<Place>,
    pub(super) target: Arc<Target>,
    pub(super) items: Vec<StagedItem>,
    /// The intent record's name in the stage directory, and its descriptor for a barrier file by file.
    pub(super) record: Option<(Vec<u8>, OwnedFd)>,
}

/// One staged item.
#[derive(Debug)]
pub(crate) struct StagedItem {
    pub(super) item: Item,
    pub(super) stat: Stat,
    pub(super) stage: Stage,
    /// Which file the stage is, where a server may say of its rename that it failed although it was done.
    pub(super) staged_id: Option<FileId>,
    /// Bytes of content.
    pub(super) bytes: u64,
    pub(super) how: How,
    pub(super) warnings: Vec<Warning>,
}

/// Where a staged item is.
#[derive(Debug)]
pub(super) enum Stage {
    /// An open file without a name.
    Unnamed(OwnedFd),
    /// A name in the stage directory; the descriptor is kept while there are enough of them.
    Named(Vec<u8>, Option<OwnedFd>),
    /// One more name of the file that an earlier item of the batch has staged.
    Link(usize),
    /// Nothing: the target has the same content already, and stays. What it was when it was compared, and, where that
    /// has content, source and target, open and locked.
    Present(Stamp, Option<Held>),
}

/// A file and a duplicate of it, open and locked.
#[derive(Debug)]
pub(super) struct Held {
    /// Shared by all names of the file.
    pub(super) _source: Arc<OwnedFd>,
    pub(super) target: OwnedFd,
}

/// Takes back what was staged. An unnamed file vanishes with its descriptor.
pub(super) fn withdraw(copying: &Copying, stage: &Stage) {
    if let Stage::Named(name, _) = stage {
        // Should this fail, the next run clears the stage directory.
        unlink(copying.stage_dir.dir(), name).ok();
    }
}

impl Staged {
    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Writes the intent record, so that the barrier makes it durable along with what it speaks of.
    pub(super) fn with_record(
        mut self,
        context: &Context,
        copying: &Copying,
    ) -> std::result::Result<Self, Vec<Settled>> {
        // What is not published needs no finishing: it is compared again.
        let is_published = |one: &&StagedItem| !matches!(one.stage, Stage::Present(..));
        let mut items = self.items.iter().filter(is_published).map(|one| (&one.item, &one.stat)).peekable();
        if items.peek().is_none() {
            return Ok(self);
        }
        let record = Record::of(&self.source, Way::Copied, items);
        let name = copying.stage_dir.fresh_name('r');
        match record.write(copying.stage_dir.dir(), &name) {
            Ok(file) => {
                self.record = Some((name, file));
                Ok(self)
            }
            Err(error) => Err(self.withdraw(context, error)),
        }
    }

    /// Gives up on what is staged: sources stay as they are.
    pub(crate) fn withdraw(self, context: &Context, error: Errno) -> Vec<Settled> {
        let Self { source, target, items, record } = self;
        let Ok(copying) = target.copying(context) else { return Vec::new() };
        if let Some((name, _)) = &record {
            unlink(copying.stage_dir.dir(), name).ok();
        }
        let fail = |one: StagedItem| {
            withdraw(copying, &one.stage);
            let from = one.item.place_or(&source).path_of(&one.item);
            let error = if error == Errno::CANCELED {
                MoveError::NotReached { path: from }
            } else {
                MoveError::NotDurable { from, to: target.path(&one.item), source: error }
            };
            context.settle(&source, &target.place, &one.item, Outcome::Failed(Box::new(error)))
        };
        items.into_iter().map(fail).collect()
    }

    /// The files that a barrier file by file has to sync.
    pub(crate) fn files(&self) -> impl Iterator<Item = &OwnedFd> {
        let files = self.items.iter().filter_map(|one| match &one.stage {
            Stage::Unnamed(file) | Stage::Named(_, Some(file)) | Stage::Present(_, Some(Held { target: file, .. })) => {
                Some(file)
            }
            _ => None,
        });
        files.chain(self.record_file())
    }

    /// The intent record.
    pub(crate) fn record_file(&self) -> Option<&OwnedFd> {
        self.record.as_ref().map(|(_, file)| file)
    }

    /// Whether each staged file can be synced by its own descriptor.
    pub(crate) fn has_all_files(&self) -> bool {
        self.items.iter().all(|one| match &one.stage {
            Stage::Unnamed(_) | Stage::Link(_) | Stage::Present(..) => true,
            Stage::Named(_, file) => file.is_some() || one.stat.kind != FileKind::Regular,
        })
    }

    /// Gives what is staged of an item the name of its target; false if something has that.
    pub(super) fn give_name(
        context: &Context,
        target: &Target,
        copying: &Copying,
        items: &[StagedItem],
        index: usize,
    ) -> std::result::Result<bool, Errno> {
        let one = &items[index];
        let dir = &target.place.dir;
        let name = one.item.target_name();
        let published = match &one.stage {
            Stage::Named(stage, _) => {
                if let Some(id) = one.staged_id
                    && context.crew.is_waiting()
                    && !copying.no_links.load(Ordering::Relaxed)
                {
                    match rename_by_link((copying.stage_dir.dir(), stage), (dir, name), id)? {
                        Some(done) => return Ok(done == NoReplace::Renamed),
                        None => copying.no_links.store(true, Ordering::Relaxed),
                    }
                }
                return rename_for_good(context, (copying.stage_dir.dir(), stage), (dir, name), one.staged_id)
                    .map(|done| done == NoReplace::Renamed);
            }
            Stage::Unnamed(file) => publish_unnamed(&copying.naming, file, dir, name),
            Stage::Link(first) => match &items[*first].stage {
                Stage::Unnamed(file) | Stage::Named(_, Some(file)) => publish_unnamed(&copying.naming, file, dir, name),
                _ => Err(Errno::NOENT),
            },
            // Whatever it is now, it is there; or it is not, and has to be copied after all.
            Stage::Present(was, _) => return was.check(dir, name),
        };
        match published {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
