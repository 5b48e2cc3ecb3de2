//! The stage directory: hidden, in the target directory, for its owner only.
//!
//! ```text
//! DEST/.pmove-1000/              one for each user
//!                  4711-9f…/     one for each run, locked while the run lives
//!                            s0  a staged file that has to have a name
//!                            d1  a staged tree
//!                            j1  the journal of that tree
//!                            r2  the intent record of a batch
//!                            x4711-1  a directory on its way out
//! ```
//!
//! It lies in the target directory, not beside it, so that it shares its mount, quota project, encryption
//! policy and case folding, and so that the next run finds it with one look. Nobody else can enter it, so
//! that what is staged in it may have its final permissions.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use crate::sys::{
    Barrier, Dir, Durable, Listing, create_private_dir, effective_user, lock, lock_and_wait, remove_inherited_acl,
    unlink_dir,
};

/// This run's part of the stage directory of one target directory.
#[derive(Debug)]
pub(crate) struct StageDir {
    base: Dir,
    base_name: Vec<u8>,
    run: Dir,
    token: String,
    /// Held for as long as the run lives: the next one sees by it that we are at work.
    _lock: OwnedFd,
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

/// A lock that could be taken, or that this file system does not know: then nobody else can take it either.
fn supported(locked: Result<(), Errno>) -> Result<(), Errno> {
    match locked {
        Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
        locked => locked,
    }
}

/// Whether the directory `other` is, by another view of the same file system, the one that this stage directory is
/// in: what a run has made there can be seen through it.
pub(crate) fn shows_through(stage_dir: &StageDir, other: &Dir) -> bool {
    other.open_child(&stage_dir.base_name).is_ok_and(|base| base.open_child(stage_dir.token.as_bytes()).is_ok())
}

/// Removes the user's stage directory from `target`, if nothing is left in it.
pub(crate) fn remove_base(target: &Dir) {
    // ENOTEMPTY is what keeps other runs' stages.
    unlink_dir(target, &base_name()).ok();
}

fn is_ours(base: &Dir) -> bool {
    base.stat().uid == effective_user() && base.stat().mode & 0o077 == 0
}

/// The directories of ended runs in `base`, each with its lock, which is ours from now on.
///
/// Only what has a name that a run gives itself counts: should somebody have put another directory of ours in the
/// place of `base`, nothing in it is touched.
pub(crate) fn ended_runs(base: &Dir) -> Result<Vec<(Vec<u8>, Dir, OwnedFd)>, Errno> {
    // A run makes its directory, and locks it, under this lock: without it, it might be met in between.
    let base_lock = base.readable()?;
    lock_and_wait(&base_lock)?;
    let mut runs = Vec::new();
    for entry in Listing::all(base)? {
        if !is_token(&entry.name) {
            continue;
        }
        let dir = match base.open_child(&entry.name) {
            Ok(dir) if is_ours(&dir) => dir,
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(error) => return Err(error),
        };
        let fd = match dir.readable() {
            Ok(fd) => fd,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        match lock(&fd) {
            Ok(()) => runs.push((entry.name.into_vec(), dir, fd)),
            // It lives.
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(runs)
}

/// Whether `name` is what [`crate::sys::run_token`] gives.
fn is_token(name: &[u8]) -> bool {
    let Some(dash) = name.iter().position(|&byte| byte == b'-') else { return false };
    let (pid, random) = (&name[..dash], &name[dash + 1..]);
    !pid.is_empty()
        && pid.iter().all(u8::is_ascii_digit)
        && random.len() == 16
        && random.iter().all(u8::is_ascii_hexdigit)
}

/// Whether `name` is one that a run gives to what is in its directory: a letter for the kind, and a number (of `x` two).
pub(crate) fn is_stage_name(name: &[u8]) -> bool {
    matches!(name, [b's' | b'd' | b'j' | b'r' | b'x', number @ ..]
        if !number.is_empty() && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-'))
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
            let base_lock = base.readable()?;
            supported(lock_and_wait(&base_lock))?;
            match create_private_dir(&base, token.as_bytes()) {
                Ok(()) => {}
                // Another run has just removed the empty base.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            }
            let run = base.open_child(token.as_bytes())?;
            let run_lock = run.readable()?;
            supported(lock(&run_lock))?;
            drop(base_lock);
            // What is made in the stage directory must not inherit what the target directory gives to its
            // children: an unnamed file is made here, too, before it is published there.
            remove_inherited_acl(&run_lock)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_run_gives_are_taken_for_its_own() {
        assert!(is_token(crate::sys::run_token().as_bytes()));
        for other in ["", "-", "precious", "12-", "12-0123456789abcde", "x-0123456789abcdef", "12-0123456789abcdeg"] {
            assert!(!is_token(other.as_bytes()), "{other}");
        }
        for own in ["s0", "d12", "j3", "r4", "x5-6"] {
            assert!(is_stage_name(own.as_bytes()), "{own}");
        }
        for other in ["", "s", "deep", "f1", "d1x"] {
            assert!(!is_stage_name(other.as_bytes()), "{other}");
        }
    }
}
