//! Publishing a durable tree: one rename.

use std::sync::Arc;

use rustix::io::Errno;

use crate::error::MoveError;
use crate::item::{Outcome, Settled, Verdict, Warning};
use crate::sys::{Dir, Durable, FileId, NoReplace, Stat, give_mode_held, has_arrived, rename_replacing};
use crate::transfer::flagless::rename_for_good;
use crate::transfer::other_name::{Placed, place_with_backup, take_kept_name};
use crate::transfer::rename::PATIENCE;
use crate::transfer::{Context, Target};

use super::TreeJob;
use super::finish::lends_mode;
use super::frame::{Frame, Header};
use super::journal::Journal;
use super::nodes::{Node, Nodes};
use super::stage::StagedTree;
use super::told::Told;
use super::tree_record::TreeRecord;

/// A tree whose target is there, but whose name may not be durable.
#[derive(Debug)]
pub(crate) struct PublishedTree {
    pub(super) job: TreeJob,
    pub(super) header: Header,
    /// The journal's name in its stage directory.
    pub(super) journal: Vec<u8>,
    pub(super) bytes: u64,
    pub(super) warnings: Vec<Warning>,
    pub(super) told: Told,
    pub(super) has_open_links: bool,
    /// Published by an ended run, which may have retired the source, too.
    pub(super) is_taken_over: bool,
}

/// Why a tree cannot be taken for one that an ended run has published.
pub(in crate::transfer) enum NotPublished {
    /// It was not, or is not any more.
    No(Box<(TreeJob, TreeRecord)>),
    /// That cannot be told now.
    Unknown(Errno),
}

impl StagedTree {
    /// Publishes the tree. Takes the proof that all of it is durable.
    ///
    /// # Errors
    /// The settled item, if that is its end.
    pub(crate) fn publish(self, context: &Context, durable: Durable) -> Result<PublishedTree, Box<Settled>> {
        drop(durable);
        let mut tree = self;
        match tree.try_publish(context) {
            Ok(true) => {}
            Ok(false) => {
                return Err(Box::new(tree.discard(context, Outcome::Skipped)));
            }
            Err(error) => {
                let error = tree.job.blame(&tree.source, error);
                return Err(Box::new(tree.abandon(context, error)));
            }
        }
        if lends_mode(&tree.source) {
            // Should this fail, its owner can do a little more with it than before.
            give_mode_held(&tree.root, tree.source.mode).ok();
        }
        let Self { job, header, journal, bytes, warnings, told, has_open_links, .. } = tree;
        job.target.note_published(context, job.item.target_name());
        context.note_arrived(header.stage_root);
        Ok(PublishedTree {
            job,
            header,
            journal: Journal::close(journal),
            bytes,
            warnings,
            told,
            has_open_links,
            is_taken_over: false,
        })
    }

    /// Whether it was published; false if the policy leaves an existing target alone.
    fn try_publish(&mut self, context: &Context) -> crate::error::Result<bool> {
        let target = Arc::clone(&self.job.target);
        let path = target.path(&self.job.item);
        let create = |source| MoveError::Create { what: "directory", path: path.clone(), source };
        let copying = target.copying(context).map_err(create)?;
        self.job.still_there(&self.source)?;
        let (room, id) = (copying.stage_dir.dir(), Some(self.header.stage_root));
        let dir = &target.place.dir;
        target.note_given(context, self.job.item.target_name());
        // Whether the name was free.
        let publish = |stage: &[u8], name: &[u8]| {
            rename_for_good(context, (room, stage), (dir, name), id).map(|done| done == NoReplace::Renamed)
        };
        for _ in 0..PATIENCE {
            if publish(&self.header.stage, self.job.item.target_name()).map_err(create)? {
                return Ok(true);
            }
            let item = &mut self.job.item;
            match target.judge(context, &self.job.source, item, &self.source)?.verdict {
                Verdict::Skip => return Ok(false),
                Verdict::KeepBoth => {
                    let taken = take_kept_name(item.target_name(), |new| publish(&self.header.stage, new));
                    item.new_name = Some(taken.map_err(create)?);
                    return Ok(true);
                }
                Verdict::BackUp => {
                    let take = || publish(&self.header.stage, item.target_name());
                    match place_with_backup(context, &target, &self.job.source, item, take)? {
                        Placed::Done(backup) => {
                            item.backup = backup;
                            return Ok(true);
                        }
                        Placed::Other => {}
                        Placed::Failed(error) => return Err(Box::new(create(error))),
                    }
                }
                // The kernel replaces an empty directory, and nothing else.
                Verdict::Replace | Verdict::ReplaceJudged => {
                    let name = item.target_name();
                    return match rename_replacing(room, &self.header.stage, dir, name) {
                        Err(source) if !has_arrived(room, &self.header.stage, dir, name, self.header.stage_root) => {
                            Err(Box::new(self.job.cannot_replace(source)))
                        }
                        _ => Ok(true),
                    };
                }
                // It was free when that was looked at, before the copying: whoever has taken it since may keep it.
                Verdict::Ask | Verdict::Merge | Verdict::Compare | Verdict::Refuse(_) => {
                    return Err(Box::new(self.job.cannot_replace(Errno::EXIST)));
                }
            }
        }
        Err(Box::new(create(Errno::BUSY)))
    }
}

impl PublishedTree {
    /// The target directory.
    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.job.target
    }

    /// Whether the source must stay until the other trees of the run are published, because they have links to
    /// its files: a run that is ended in between could not link them any more.
    pub(crate) fn has_open_links(&self) -> bool {
        self.has_open_links
    }

    /// A tree that an ended run has published, if it is still what that run published.
    pub(in crate::transfer) fn taken_over(
        context: &Context,
        job: TreeJob,
        record: TreeRecord,
        journal: Vec<u8>,
    ) -> Result<Self, NotPublished> {
        let header = record.header.clone();
        let [hidden, named] = [&header.hidden, &header.name].map(|name| Stat::at(&job.source.dir, name).ok());
        // What is hidden was published before.
        let is_hidden = hidden.as_ref().is_some_and(|hidden| hidden.id == header.source);
        let dir = &job.target.place.dir;
        let published = if is_hidden { header.published_somewhere_in(dir) } else { header.published_in(dir) };
        let (name, root) = match published {
            Ok(Some((name, root))) => (name, Arc::new(root)),
            Ok(None) => return Err(NotPublished::No(Box::new((job, record)))),
            Err(error) => return Err(NotPublished::Unknown(error)),
        };
        let mut job = job;
        job.item.new_name = Some(name.into());
        let source = [hidden, named].into_iter().flatten().find(|source| source.id == header.source);
        // Something else has the source's name since: that has to be moved itself. (What is hidden is removed at the end.)
        if named.is_some_and(|named| named.id != header.source) {
            return Err(NotPublished::No(Box::new((job, record))));
        }
        if let Some(source) = source
            && lends_mode(&source)
        {
            // The ended run may not have got to it.
            give_mode_held(&root, source.mode).ok();
        }
        context.note_arrived(header.stage_root);
        let has_open_links = adopt_links(context, &root, &record);
        Ok(Self {
            job,
            header,
            journal,
            bytes: 0,
            warnings: Vec::new(),
            told: Told::default(),
            has_open_links,
            is_taken_over: true,
        })
    }

    /// Keeps the source, because the target's name could not be made durable.
    pub(crate) fn keep(self, context: &Context, error: Errno) -> Settled {
        let Self { job, .. } = self;
        let (from, to) = (job.source.path_of(&job.item), job.target.path(&job.item));
        let failure = Box::new(MoveError::NotDurable { from, to, source: error });
        job.settle(context, Outcome::Failed(failure))
    }
}

/// Takes note of the files with several links in a published tree. Whether any has names outside of it.
fn adopt_links(context: &Context, root: &Arc<Dir>, record: &TreeRecord) -> bool {
    let nodes = Arc::new(Nodes::default());
    let id = |ino| FileId { dev: record.header.source.dev, ino };
    let mut linked = Vec::new();
    for (_, frame) in record.frames() {
        match frame {
            Frame::Dir { parent, name, .. } => {
                nodes.add(Node { parent, name: name.into(), stat: None }, |_, _| {});
            }
            Frame::Files { dir, files } => {
                for file in files.into_iter().filter(|file| file.stamp.links > 1) {
                    let published = nodes.open(root, dir).and_then(|dir| Stat::at(&dir, &file.name));
                    let at = super::links::At { root, nodes: &nodes, dir, name: &file.name };
                    context.links.adopt(id(file.stamp.ino), published.ok().map(|stat| stat.id), at);
                    linked.push((id(file.stamp.ino), file.stamp.links));
                }
            }
            Frame::Header(_) | Frame::Proven { .. } | Frame::Known { .. } => {}
        }
    }
    linked.into_iter().any(|(file, links)| context.links.is_open(file, links))
}

impl PublishedTree {
    /// Why retiring cannot even begin.
    pub(in crate::transfer) fn cannot_go_on(&self, source: Errno) -> Box<MoveError> {
        Box::new(MoveError::Remove { path: self.job.source.path_of(&self.job.item), source })
    }
}
