//! What ended runs left in a target directory, and finishing it.
//!
//! Consulted before DEST or a policy is interpreted: a target that an ended run published is this very move,
//! not a conflict. A live run's stage directory is locked, and left alone.

mod clear;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Item, Outcome, Place};
use crate::sys::{Dir, FileId, Listing, Stat, link, rename_replacing};

use super::carried;
use super::compare::is_copy;
use super::finish::{finish, published_names};
use super::record::{Intent, Record, Way};
use super::stage_dir::{ended_runs, find_base};
use super::tree::{NotPublished, PublishedTree, Reuse, TreeJob, TreeRecord};
use super::{Context, Target};

/// What ended runs left in one target directory.
#[derive(Debug)]
pub(crate) struct Leftovers {
    base: Dir,
    runs: Vec<EndedRun>,
    intents: HashMap<(FileId, Vec<u8>), Intent>,
    /// Where the source directories of the intents were.
    parents: HashMap<FileId, Vec<u8>>,
    /// Targets of files with several links that were dealt with: by the source's device and inode.
    finished: HashMap<(u64, u64), Vec<Vec<u8>>>,
    /// By the source's parent and name.
    trees: HashMap<(FileId, Vec<u8>), LeftTree>,
}

/// The stage directory of a run that has ended.
#[derive(Debug)]
struct EndedRun {
    name: Vec<u8>,
    dir: Dir,
    /// Ours now, so that two runs do not take over the same.
    _lock: OwnedFd,
}

/// A tree that an ended run had begun with.
#[derive(Debug)]
struct LeftTree {
    /// The index of the run.
    run: usize,
    /// The journal's name in its directory.
    journal: Vec<u8>,
    source: FileId,
    target_name: Vec<u8>,
}

/// What became of an item that an ended run had begun.
#[derive(Debug)]
pub(crate) enum Resumed {
    /// It was at its target already, and its source is retired now.
    Settled(Outcome),
    /// Its tree is at its target already; the source is to be retired after a barrier.
    Published(Box<PublishedTree>),
    /// Some of its tree is staged already.
    Tree(Box<TreeJob>),
    /// Nothing to go on from.
    Afresh(Item),
}

impl Leftovers {
    /// Looks for what ended runs left in `target`. Costs one call where there is nothing.
    ///
    /// # Errors
    /// There is something, but it cannot be read: going on might do twice what is done.
    pub(crate) fn find(target: &Dir) -> std::result::Result<Option<Self>, Errno> {
        let Some(base) = find_base(target)? else { return Ok(None) };
        let runs = match ended_runs(&base) {
            Ok(runs) => runs,
            // Locks are not supported: nobody can know which runs have ended.
            Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => Vec::new(),
            // Another run has just ended, and removed the directory.
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut found = Self {
            base,
            runs: Vec::new(),
            intents: HashMap::new(),
            parents: HashMap::new(),
            finished: HashMap::new(),
            trees: HashMap::new(),
        };
        for (name, dir, lock) in runs {
            match found.read_run(EndedRun { name, dir, _lock: lock }) {
                // The same: it was empty, and has gone.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(found))
    }

    fn read_run(&mut self, run: EndedRun) -> std::result::Result<(), Errno> {
        let index = self.runs.len();
        for entry in Listing::all(&run.dir)? {
            match entry.name.first() {
                Some(b'r') => {
                    let Some(record) = Record::read(&run.dir, &entry.name)? else { continue };
                    self.parents.extend(record.parents);
                    let intents = record.entries.into_iter();
                    self.intents.extend(intents.map(|intent| ((intent.parent, intent.name.clone()), intent)));
                }
                Some(b'j') => {
                    if let Some(TreeRecord { header, .. }) = TreeRecord::of_ended_run(&run.dir, &entry.name)? {
                        let journal = entry.name.into_vec();
                        let key = (header.parent, header.name);
                        self.trees.insert(
                            key,
                            LeftTree { run: index, journal, source: header.source, target_name: header.target_name },
                        );
                    }
                }
                _ => {}
            }
        }
        self.runs.push(run);
        Ok(())
    }

    /// Whether an ended run had begun with this source; if so, the name it was to get. What has taken its place since is
    /// another source.
    pub(crate) fn target_name_of(&self, parent: &Dir, name: &[u8]) -> Option<&[u8]> {
        let key = (parent.id(), name.to_vec());
        let now = Stat::at(parent, name).ok().map(|stat| stat.id.ino);
        if let Some(intent) = self.intents.get(&key) {
            return now.is_none_or(|now| now == intent.stamp.ino).then(|| intent.target_name());
        }
        let tree = self.trees.get(&key)?;
        now.is_none_or(|now| now == tree.source.ino).then_some(&tree.target_name[..])
    }

    /// Goes on with an item, if an ended run had begun with it, under the same name.
    pub(crate) fn resume(
        &mut self,
        context: &Context,
        source: &Arc<Place>,
        target: &Arc<Target>,
        item: Item,
    ) -> Resumed {
        let parent = source.dir.id();
        if self.target_name_of(&source.dir, &item.name) != Some(item.target_name()) {
            return Resumed::Afresh(item);
        }
        let key = (parent, item.name.to_vec());
        if let Some(intent) = self.intents.remove(&key) {
            if intent.way == Way::Carried {
                return match carried::finish(source, target, &intent) {
                    Ok(true) => Resumed::Settled(Outcome::Renamed),
                    Ok(false) => Resumed::Afresh(item),
                    Err(error) => {
                        self.intents.insert(key, intent);
                        Resumed::Settled(Outcome::Failed(error))
                    }
                };
            }
            let linked = self.link_missing(context, source, target, &intent);
            return match linked.and_then(|()| finish(context, source, target, &intent)) {
                Ok(Some(outcome)) => Resumed::Settled(outcome),
                Ok(None) => Resumed::Afresh(item),
                Err(error) => {
                    // Should its source still be what it was, a later run will need to know.
                    self.intents.insert(key, intent);
                    Resumed::Settled(Outcome::Failed(error))
                }
            };
        }
        match self.trees.get(&key) {
            Some(tree) => self.resume_tree(context, tree, source, target, item),
            None => Resumed::Afresh(item),
        }
    }

    /// One of several links to a file, published under other names, but not under its own: gives it this name, too,
    /// before anything is retired. Copied anew it would be another file. Where something else has that name, the policy
    /// decides, and what is staged then is to be a link.
    ///
    /// # Errors
    /// It cannot be found out whether it is one of them.
    fn link_missing(&mut self, context: &Context, source: &Place, target: &Target, intent: &Intent) -> Result<()> {
        if intent.stamp.links == 1 {
            return Ok(());
        }
        let group = (intent.parent.dev, intent.stamp.ino);
        let name = intent.target_name();
        let dir = &target.place.dir;
        if let Ok(was) = Stat::at(&source.dir, &intent.name) {
            let open = self.intents.values().filter(|other| (other.parent.dev, other.stamp.ino) == group);
            let others = open.map(Intent::target_name);
            let finished = self.finished.get(&group).into_iter().flatten().map(Vec::as_slice);
            let copy = |other: Vec<u8>| {
                let compare = |is| is_copy(&source.dir, &intent.name, &was, dir, &other, &is);
                match Stat::at(dir, &other).and_then(compare) {
                    Ok(true) => Some(Ok(other)),
                    Ok(false) | Err(Errno::NOENT) => None,
                    Err(source) => Some(Err(MoveError::Read { path: target.place.path(&other), source })),
                }
            };
            let published =
                others.chain(finished).find_map(|other| published_names(context, dir, other).find_map(copy));
            if let Some(other) = published.transpose()?
                && (Stat::at(dir, name) != Err(Errno::NOENT) || link(dir, &other, dir, name).is_err())
            {
                context.links.note_single(was.id, target, &other);
            }
        }
        self.finished.entry(group).or_default().push(name.to_vec());
        Ok(())
    }

    fn resume_tree(
        &self,
        context: &Context,
        tree: &LeftTree,
        source: &Arc<Place>,
        target: &Arc<Target>,
        item: Item,
    ) -> Resumed {
        let (run, journal) = (&self.runs[tree.run].dir, &tree.journal[..]);
        let fail = |source| Resumed::Settled(Outcome::Failed(Box::new(not_resumed(target, source))));
        let (record, copying) = match (TreeRecord::of_ended_run(run, journal), target.copying(context)) {
            (Ok(Some(record)), Ok(copying)) => (record, copying),
            (Ok(None), _) => return Resumed::Afresh(item),
            // Taken afresh, it might be skipped, or go into what is its target already.
            (Err(error), _) => return fail(error),
            (_, Err(source)) => {
                let error = MoveError::Create { what: "directory", path: target.path(&item), source };
                return Resumed::Settled(Outcome::Failed(Box::new(error)));
            }
        };
        let room = copying.stage_dir.dir();
        let mut job = TreeJob { source: Arc::clone(source), target: Arc::clone(target), item, reuse: None };
        let fresh = copying.stage_dir.fresh_name('j');
        // Published: only its source is left to be retired, by the journal, which becomes ours.
        let record = match PublishedTree::taken_over(context, job, record, fresh.clone()) {
            Ok(published) => {
                return match rename_replacing(run, journal, room, &fresh) {
                    Ok(()) => Resumed::Published(Box::new(published)),
                    Err(source) => Resumed::Settled(Outcome::Failed(published.cannot_go_on(source))),
                };
            }
            Err(NotPublished::Unknown(error)) => return fail(error),
            Err(NotPublished::No(back)) => {
                let record;
                (job, record) = *back;
                record
            }
        };
        // Staged in part: the stage becomes ours when the tree is staged, and so does what its journal proves. Until then
        // both stay where they are.
        let is_there = Stat::at(run, &record.header.stage).is_ok_and(|stat| stat.id == record.header.stage_root);
        if is_there && let Ok(run) = run.try_clone() {
            let (stage, journal) = (record.header.stage.clone(), journal.to_vec());
            job.reuse = Some(Reuse { run, stage, journal, known: record.known() });
        }
        Resumed::Tree(Box::new(job))
    }
}

fn not_resumed(target: &Target, source: Errno) -> MoveError {
    MoveError::Leftovers { path: target.place.path(b""), source }
}
