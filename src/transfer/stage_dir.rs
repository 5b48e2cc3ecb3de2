//! The stage directory: hidden, in the target directory, for its owner only.
//!
//! ```text
//! DEST/.pmove-1000/              one for each user
//!                  4711-9f…/     one for each run, locked while the run lives
//!                            s0  a staged file that has to have a name
//!                            d1  a staged tree
//!                            j1  the journal of that tree
//!                            r2  the intent record of a batch
//! ```
//!
//! It lies in the target directory, not beside it, so that it shares its mount, quota project, encryption
//! policy and case folding, and so that the next run finds it with one look. Nobody else can enter it, so
//! that what is staged in it may have its final permissions.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use crate::sys::{
    Barrier, Dir, Durable, create_private_dir, effective_user, lock, lock_and_wait, take_inherited_acl, unlink_dir,
};

/// This run's part of the stage directory of one target directory.
#[derive(Debug)]
pub(crate) struct StageDir {
    base: Dir,
    base_name: Vec<u8>,
    run: Dir,
    token: String,
    /// Held for as long as the run lives: the next one sees by it that we are at work.
    _lock: Option<OwnedFd>,
    next: AtomicU64,
}

/// The name of the user's stage directory.
fn base_name() -> Vec<u8> {
    format!(".pmove-{}", effective_user()).into_bytes()
}

/// The user's stage directory in `target`, if there is one that can be trusted.
pub(crate) fn find_base(target: &Dir) -> Result<Option<Dir>, Errno> {
    match target.open_child(&base_name()) {
        Ok(base) if is_ours(&base) => Ok(Some(base)),
        // Somebody else made it, to lead us astray, or it is no directory.
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the user's stage directory from `target`, if nothing is left in it.
pub(crate) fn remove_base(target: &Dir) {
    // ENOTEMPTY is what keeps other runs' stages.
    unlink_dir(target, &base_name()).ok();
}

fn is_ours(base: &Dir) -> bool {
    base.stat().uid == effective_user() && base.stat().mode & 0o077 == 0
}

/// Whether the run with the stage directory `run` has ended. Keeps the lock if so.
pub(crate) fn ended(run: &Dir) -> Option<OwnedFd> {
    let fd = run.readable().ok()?;
    // Where locks are not supported nobody can know: then it stays.
    lock(&fd).ok().map(|()| fd)
}

impl StageDir {
    /// Makes this run's stage directory in `target`.
    pub(crate) fn open(target: &Dir, token: &str) -> Result<Self, Errno> {
        let mut base_name = base_name();
        for attempt in 0..16 {
            match create_private_dir(target, &base_name) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            let base = match target.open_child(&base_name) {
                Ok(base) if is_ours(&base) => base,
                Err(Errno::NOENT) => continue,
                // Taken by somebody else: a name of our own, which a later run will not find, but safe.
                _ => {
                    base_name = format!(".pmove-{}-{token}-{attempt}", effective_user()).into_bytes();
                    continue;
                }
            };
            // Under the base's lock, so that nobody sees our directory before it is locked itself.
            let base_lock = base.readable().and_then(|fd| lock_and_wait(&fd).map(|()| fd)).ok();
            match create_private_dir(&base, token.as_bytes()) {
                Ok(()) => {}
                // Another run has just removed the empty base.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            }
            let run = base.open_child(token.as_bytes())?;
            let run_lock = ended(&run);
            drop(base_lock);
            // What is made in the stage directory must not inherit what the target directory gives to its
            // children: an unnamed file is made here, too, before it is published there.
            if let Ok(fd) = run.readable() {
                take_inherited_acl(&fd)?;
            }
            return Ok(Self {
                base,
                base_name,
                run,
                token: token.to_owned(),
                _lock: run_lock,
                next: AtomicU64::new(0),
            });
        }
        Err(Errno::EXIST)
    }

    /// Where this run's stages and records are.
    pub(crate) fn dir(&self) -> &Dir {
        &self.run
    }

    /// A name that nothing in the stage directory has.
    pub(crate) fn fresh_name(&self, kind: char) -> Vec<u8> {
        format!("{kind}{}", self.next.fetch_add(1, Ordering::Relaxed)).into_bytes()
    }

    /// A hidden name for a source that is being removed, in the source's own directory.
    pub(crate) fn hidden_source_name(&self) -> Vec<u8> {
        format!(".pmove-{}-{}", self.token, self.next.fetch_add(1, Ordering::Relaxed)).into_bytes()
    }

    /// The path of this run's part below the target directory.
    pub(crate) fn relative_path(&self) -> Vec<u8> {
        [&self.base_name, &b"/"[..], self.token.as_bytes()].concat()
    }

    /// Makes the names of what is staged durable, where that is not done for the file system as a whole.
    pub(crate) fn sync_names(&self, target: &Dir, barrier: &Barrier) -> Result<Durable, Errno> {
        barrier.sync_dirs([&self.run, &self.base, target])
    }

    /// Removes the directory, if nothing is left in it.
    pub(crate) fn close(&self, target: &Dir) {
        // ENOTEMPTY is what keeps a stage that a later run can finish, and another run's.
        unlink_dir(&self.base, self.token.as_bytes()).and_then(|()| unlink_dir(target, &self.base_name)).ok();
    }
}
