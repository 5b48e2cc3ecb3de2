//! A target directory, and what has been learnt about copying into it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Ask, Gathered, Item, Meeting, Outcome, Place, Refusal, Standing, Verdict, resolve};
use crate::sys::{
    Barrier, Dir, FileKind, Naming, Stat, folds_case, follow, gains_by_reserving, has_local_clock, is_remote,
    is_writable, run_token,
};

use super::Context;
use super::other_name::BackupNames;
use super::rename::not_a_directory;
use super::resume::{Leftovers, Resumed};
use super::spent::Spent;
use super::stage_dir::StageDir;
use super::trail::Trail;

/// A directory that items move into.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) place: Place,
    folds_case: OnceLock<bool>,
    is_remote: OnceLock<bool>,
    copying: OnceLock<std::result::Result<Copying, Errno>>,
    shared: OnceLock<Arc<Dir>>,
    pub(super) backups: BackupNames,
    /// What ended runs left here.
    leftovers: Mutex<Option<Leftovers>>,
    /// The directory itself has arrived in this run: so has all that is in it.
    has_arrived: bool,
}

/// What is to be done about a target that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// What was judged; none if that did not matter, or if nothing was there any more.
    pub(crate) existing: Option<Stat>,
}

/// What is needed, and what has been learnt, once something is copied into a target directory.
#[derive(Debug)]
pub(crate) struct Copying {
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) stage_dir: StageDir,
    /// Records and journals that wait for their sources' removal to be durable.
    pub(crate) spent: Spent,
    /// Where else below this directory the run is at work, if it is DEST.
    trail: Trail,
    /// Unnamed files don't work here, or could not be closed before they are published, which is when a server says whether
    /// it has taken all.
    pub(crate) no_unnamed: AtomicBool,
    pub(crate) naming: Naming,
    /// Files cannot have another name here, as far as is known.
    pub(super) no_links: AtomicBool,
    /// The owner that a file gets when it is made here.
    pub(crate) made_owner: OnceLock<(u32, u32)>,
    routes: Mutex<Vec<(u64, Arc<Route>)>>,
}

/// How content gets from one mount to this target: what was tried and does not work is not tried again.
#[derive(Debug, Default)]
pub(crate) struct Route {
    no_clone: AtomicBool,
    no_range: AtomicBool,
    reserves: OnceLock<bool>,
}

impl Route {
    pub(crate) fn may_clone(&self) -> bool {
        !self.no_clone.load(Ordering::Relaxed)
    }

    pub(crate) fn may_copy_range(&self) -> bool {
        !self.no_range.load(Ordering::Relaxed)
    }

    /// Whether room for `file`, which was made at the target, is taken before it is written.
    pub(crate) fn reserves(&self, file: &OwnedFd) -> bool {
        *self.reserves.get_or_init(|| gains_by_reserving(file))
    }

    pub(crate) fn cannot_clone(&self) {
        self.no_clone.store(true, Ordering::Relaxed);
    }

    pub(crate) fn cannot_copy_range(&self) {
        self.no_range.store(true, Ordering::Relaxed);
    }
}

impl Target {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            folds_case: OnceLock::new(),
            is_remote: OnceLock::new(),
            copying: OnceLock::new(),
            shared: OnceLock::new(),
            backups: BackupNames::default(),
            leftovers: Mutex::default(),
            has_arrived: false,
        }
    }

    /// The same with what ended runs have left in it.
    pub(crate) fn with_leftovers(self, leftovers: Option<Leftovers>) -> Self {
        Self { leftovers: Mutex::new(leftovers), ..self }
    }

    /// The same as a directory in which everything has arrived in this run.
    pub(crate) fn arrived(self, has_arrived: bool) -> Self {
        Self { has_arrived, ..self }
    }

    /// Whether all that is in it has arrived in this run.
    pub(crate) fn has_arrived(&self) -> bool {
        self.has_arrived
    }

    fn leftovers(&self) -> MutexGuard<'_, Option<Leftovers>> {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether ended runs have left anything here.
    pub(crate) fn has_leftovers(&self) -> bool {
        self.leftovers().is_some()
    }

    /// Whether an ended run had begun to give the source `name` in `parent` the name `new` here.
    pub(crate) fn has_begun(&self, parent: &Dir, name: &[u8], new: &[u8]) -> bool {
        self.leftovers().as_ref().is_some_and(|leftovers| leftovers.target_name_of(parent, name) == Some(new))
    }

    /// Goes on with an item, if an ended run had begun with it.
    pub(crate) fn resume(self: &Arc<Self>, context: &Context, source: &Arc<Place>, item: Item) -> Resumed {
        let mut leftovers = self.leftovers();
        let Some(leftovers) = &mut *leftovers else { return Resumed::Afresh(item) };
        let name = item.target_name().to_vec();
        let resumed = leftovers.resume(context, source, self, item);
        if let Resumed::Settled(Outcome::Renamed | Outcome::Copied { .. }) | Resumed::Published(_) = &resumed {
            self.note_resumed(context, &name);
        }
        resumed
    }

    /// Removes what ended runs have left and nobody needs. Returns what the user should know.
    pub(crate) fn clear_leftovers(&self) -> Vec<String> {
        let leftovers = self.leftovers().take();
        leftovers.map(|leftovers| leftovers.clear(self)).unwrap_or_default()
    }

    /// Whether two names can be one here.
    pub(crate) fn folds_case(&self) -> bool {
        *self.folds_case.get_or_init(|| folds_case(&self.place.dir))
    }

    /// Whether a directory is on the same mount. rename(2): two mounts never rename into each other, whatever they show. The
    /// device number would not do: overlays, subvolumes and quota projects give EXDEV, or don't, file by file.
    pub(crate) fn is_on_mount_of(&self, source: &Place) -> bool {
        source.dir.stat().mount == self.place.dir.stat().mount
    }

    /// Whether a server does the work here.
    pub(crate) fn is_remote(&self) -> bool {
        *self.is_remote.get_or_init(|| is_remote(&self.place.dir))
    }

    /// What copying into this directory needs: made on first use.
    ///
    /// # Errors
    /// The stage directory cannot be made.
    pub(crate) fn copying(&self, context: &Context) -> std::result::Result<&Copying, Errno> {
        let made = self.copying.get_or_init(|| {
            let dir = &self.place.dir;
            context.stop.expect_long_work();
            self.leave_trail(context);
            let stage_dir = StageDir::open(dir, &run_token())?;
            // Before anything is written. Of the target directory itself we may not get a descriptor to sync by.
            let barrier = context.barrier(stage_dir.dir());
            Ok(Copying {
                barrier,
                stage_dir,
                spent: Spent::default(),
                trail: Trail::default(),
                no_links: AtomicBool::new(false),
                no_unnamed: AtomicBool::new(context.named_stages || self.is_remote()),
                naming: Naming::default(),
                made_owner: OnceLock::new(),
                routes: Mutex::default(),
            })
        });
        made.as_ref().map_err(|&error| error)
    }

    /// Notes in DEST that there is a stage directory here. Where that cannot be, a run that is killed leaves it to those who
    /// come to this directory.
    fn leave_trail(&self, context: &Context) {
        if let Some(dest) = context.dest()
            && let Some(below) = self.place.prefix().strip_prefix(dest.place.prefix())
            && let Some(path) = below.strip_suffix(b"/")
            && let Ok(copying) = dest.copying(context)
        {
            copying.trail.note(&copying.stage_dir, path).ok();
        }
    }

    /// Whether the stage directory has been made, or could not be.
    pub(crate) fn is_prepared(&self) -> bool {
        self.copying.get().is_some()
    }

    /// The directory, for whoever needs to keep it open.
    pub(crate) fn shared_dir(&self) -> std::result::Result<Arc<Dir>, Errno> {
        if let Some(dir) = self.shared.get() {
            return Ok(Arc::clone(dir));
        }
        let dir = Arc::new(self.place.dir.try_clone()?);
        Ok(Arc::clone(self.shared.get_or_init(|| dir)))
    }

    /// Removes the stage directories of all of these, where any were made. Nothing is copied into them any more.
    ///
    /// # Errors
    /// As for [`StageDir::close`], for each: where it is, and why it stays.
    pub(crate) fn close_all(context: &Context, targets: &[Arc<Self>]) -> Vec<(PathBuf, Errno)> {
        let prepared = targets.iter().filter_map(|target| Some((target, target.copying.get()?.as_ref().ok()?)));
        let prepared: Vec<(&Arc<Self>, &Copying)> = prepared.collect();
        let spent: Vec<_> = prepared.iter().map(|(_, copying)| (&copying.spent, &copying.stage_dir)).collect();
        let cleared = Spent::clear_all(context, &spent);
        let close = |((target, copying), cleared): ((&Arc<Self>, &Copying), std::result::Result<(), Errno>)| {
            let stage_dir = &copying.stage_dir;
            if !context.is_left_below.load(Ordering::Relaxed) {
                copying.trail.remove(stage_dir);
            }
            let closed = stage_dir.close(&target.place.dir);
            let error = cleared.and(closed).err()?;
            context.is_left_below.store(true, Ordering::Relaxed);
            Some((target.place.path(&stage_dir.relative_path()), error))
        };
        prepared.into_iter().zip(cleared).filter_map(close).collect()
    }

    /// The path of an item's target, as the user would write it.
    pub(crate) fn path(&self, item: &Item) -> PathBuf {
        self.place.path(item.target_name())
    }

    /// Takes note of a name that a source is about to get.
    pub(crate) fn note_given(&self, context: &Context, name: &[u8]) {
        if let Some(backup) = &context.policy.backup {
            context.given.note(backup, &self.place.dir, name, self.folds_case());
        }
    }

    /// Takes note of what an ended run has published: a source of this very command, which no other may replace.
    fn note_resumed(&self, context: &Context, name: &[u8]) {
        self.note_given(context, name);
        if let Ok(stat) = Stat::at(&self.place.dir, name) {
            context.note_published(stat.id);
        }
    }

    /// Takes note of what was published, where that is needed to tell it from what was there before.
    pub(crate) fn note_published(&self, context: &Context, name: &[u8]) {
        if self.folds_case.get() == Some(&true)
            && let Ok(stat) = Stat::at(&self.place.dir, name)
        {
            context.note_published(stat.id);
        }
    }

    /// Takes note of what may be a directory, and has arrived whole: should another source be merged into it, what is in
    /// it is this run's.
    pub(crate) fn note_arrived(&self, context: &Context, name: &[u8]) {
        if context.policy.merge
            && let Ok(stat) = Stat::at(&self.place.dir, name)
            && stat.is_dir()
        {
            context.note_arrived(stat.id);
        }
    }

    /// Whether what stands at the target was put there by another source of this run.
    fn is_just_created(&self, context: &Context, item: &Item, existing: &Stat) -> bool {
        if self.has_arrived || context.has_published(existing.id) {
            return true;
        }
        // The name's fingerprint was seen before. If that source failed, or it was a chance likeness, the file is older
        // than the run, since publishing sets the ctime; where the clock is not ours, nothing can be told by it.
        item.standing == Standing::Rival && !(has_local_clock(&self.place.dir) && context.predates_run(existing.ctime))
    }

    /// What to say of a source that cannot be looked at: mv's words, or, where it was there when the run began, that it
    /// has vanished. It was, if a pattern has found it, or if somebody else has given its target that name meanwhile.
    pub(crate) fn missing(&self, context: &Context, from: &Place, item: &Item, source: Errno) -> Box<MoveError> {
        let path = from.path_of(item);
        let is_taken = || {
            item.standing == Standing::Free
                && has_local_clock(&self.place.dir)
                && Stat::at(&self.place.dir, item.target_name())
                    // (What happens to another of its names shows, too.)
                    .is_ok_and(|existing| existing.links == 1 && context.postdates_start(existing.ctime))
        };
        let has_vanished = source == Errno::NOENT && (item.was_found || item.links != Gathered::No || is_taken());
        Box::new(if has_vanished { MoveError::Vanished { path } } else { MoveError::Stat { path, source } })
    }

    /// Whether the source is a symlink, and the target what it leads to: the symlink in its place would lead to itself,
    /// and the content would be lost. Another name of the target's may keep the content, as long as the symlink leads
    /// there by that one.
    fn is_referent(&self, from: &Place, item: &Item, source: &Stat, existing: &Stat) -> bool {
        if source.kind != FileKind::Symlink || existing.kind == FileKind::Symlink {
            return false;
        }
        let Ok((referent, path)) = follow(&from.dir, &item.name) else { return false };
        let is_elsewhere = || {
            let mut here = self.place.dir.absolute_path();
            if !here.ends_with(b"/") {
                here.push(b'/');
            }
            here.extend_from_slice(item.target_name());
            !path.is_empty() && path != here
        };
        referent.id == existing.id && (existing.links == 1 || !is_elsewhere())
    }

    /// Decides about a target that exists.
    ///
    /// # Errors
    /// The refusal, as the message for the user.
    pub(crate) fn judge(&self, context: &Context, from: &Place, item: &Item, source: &Stat) -> Result<Judgement> {
        // The kernel looks at the target first: that there is one says nothing of the source.
        if item.only_directory && !source.is_dir() {
            return Err(Box::new(not_a_directory(from, self.path(item), item, source)));
        }
        if context.policy.skips_all() {
            // The kernel said that it is there. Whoever looked again might find it gone, and then replace the next one.
            return Ok(Judgement { verdict: Verdict::Skip, existing: None });
        }
        let existing = match Stat::at(&self.place.dir, item.target_name()) {
            Ok(existing) => existing,
            // Gone again: nothing is in the way.
            Err(Errno::NOENT) => return Ok(Judgement { verdict: Verdict::Replace, existing: None }),
            Err(source) => return Err(Box::new(MoveError::Stat { path: self.path(item), source })),
        };
        // Across devices a time may have lost its fractions on the way: then it is not older for that.
        let across = Stat { mtime: source.mtime.truncated(existing.resolution()), ..*source };
        let meeting = Meeting {
            source: if source.id.dev == existing.id.dev { source } else { &across },
            target: &existing,
            is_same_name: self.place.dir.id() == from.dir.id() && *item.name == *item.target_name(),
            is_referent: self.is_referent(from, item, source, &existing),
            is_just_created: self.is_just_created(context, item, &existing),
            is_writable: context.policy.ask == Ask::Never
                || is_writable(&self.place.dir, item.target_name(), &existing),
            is_agreed: item.agreed == Some(existing.id),
        };
        let verdict = resolve(&context.policy, &meeting);
        let Verdict::Refuse(refusal) = verdict else { return Ok(Judgement { verdict, existing: Some(existing) }) };
        let (from, to) = (from.path_of(item), self.path(item));
        Err(Box::new(match refusal {
            Refusal::SameFile => MoveError::SameFile { from, to },
            Refusal::JustCreated => MoveError::JustCreated { from, to },
            Refusal::DirectoryOverFile => MoveError::DirectoryOverFile { from, to },
            Refusal::FileOverDirectory => MoveError::FileOverDirectory { from, to },
            Refusal::NotReplaced => MoveError::NotReplaced { path: to },
        }))
    }
}

impl Copying {
    /// How content gets here from the mount `source`.
    pub(crate) fn route(&self, source: u64) -> Arc<Route> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, route)) = routes.iter().find(|(mount, _)| *mount == source) {
            return Arc::clone(route);
        }
        let route = Arc::new(Route::default());
        routes.push((source, Arc::clone(&route)));
        route
    }
}
