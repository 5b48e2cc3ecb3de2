//! The stage directory: hidden, in the target directory, for its owner only.
//!
//! ```text
//! DEST/.pmove-1000/              one for each user
//!                  4711-9f…/     one for each run, locked while the run lives
//!                            s0  a staged file that has to have a name
//!                            d1  a staged tree
//!                            j1  the journal of that tree
//!                            r2  the intent record of a batch
//!                            t0  where below DEST the run is at work, too
//!                            w3-1f-2a  a file that changes places with a target: one of these two inodes
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
    Barrier, Dir, Durable, FileId, Listing, create_private_dir, effective_user, give_mode_held, keeps_owners, lock,
    lock_and_wait, remove_inherited_acl, unlink_dir,
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

/// How making a stage directory ended.
enum Made {
    Whole(Box<StageDir>),
    /// Another run has removed the empty directory meanwhile.
    Gone,
    /// Somebody else has something of that name.
    NotOurs,
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
pub(super) fn supported(locked: Result<(), Errno>) -> Result<(), Errno> {
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

/// Whether nobody else can have put anything into it. (Where a file system shows all directories with one mode, that is
/// more than the 0700 they were made with.)
fn is_ours(base: &Dir) -> bool {
    base.stat().uid == effective_user() && base.stat().mode & 0o022 == 0
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
pub(super) fn is_token(name: &[u8]) -> bool {
    let Some(dash) = name.iter().position(|&byte| byte == b'-') else { return false };
    let (pid, random) = (&name[..dash], &name[dash + 1..]);
    !pid.is_empty()
        && pid.iter().all(u8::is_ascii_digit)
        && random.len() == 16
        && random.iter().all(u8::is_ascii_hexdigit)
}

/// Whether `name` is one that runs give to what they hide from the user: a user's stage directory, `.pmove-1000`, or a
/// source that is being removed, `.pmove-4711-9f…-3`.
pub(crate) fn is_hidden_name(name: &[u8]) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let Some(rest) = name.strip_prefix(b".pmove-") else { return false };
    // A stage directory that could not have its usual name: `.pmove-1000-4711-9f…-0`.
    let parts: Vec<&[u8]> = rest.split(|&byte| byte == b'-').collect();
    match parts[..] {
        [user] => is_number(user),
        [pid, random, number] | [_, pid, random, number] => {
            is_number(number) && is_token(&[pid, b"-", random].concat()) && is_number(parts[0])
        }
        _ => false,
    }
}

/// Whether `name` is one that a run gives to what is in its directory: a letter for the kind, and a number (of `x` two).
pub(crate) fn is_stage_name(name: &[u8]) -> bool {
    matches!(name, [b's' | b'd' | b'j' | b'r' | b't' | b'x', number @ ..]
        if !number.is_empty() && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-'))
        || swapped(name).is_some()
}

/// The inode numbers of the two files that may have the name of a stage that changes places with a target.
pub(crate) fn swapped(name: &[u8]) -> Option<[u64; 2]> {
    let text = std::str::from_utf8(name).ok()?.strip_prefix('w')?;
    let mut parts = text.split('-');
    let (number, staged, judged) = (parts.next()?, parts.next()?, parts.next()?);
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if parts.next().is_some()
        || !number.bytes().all(|byte| byte.is_ascii_digit())
        || ![number, staged, judged].into_iter().all(is_plain)
    {
        return None;
    }
    number.parse::<u64>().ok()?;
    Some([u64::from_str_radix(staged, 16).ok()?, u64::from_str_radix(judged, 16).ok()?])
}

impl StageDir {
    /// Makes this run's stage directory in `target`. Nothing of it is left if that fails.
    pub(crate) fn open(target: &Dir, token: &str) -> Result<Self, Errno> {
        let mut base_name = base_name();
        for attempt in 0..16 {
            match Self::open_in(target, &base_name, token) {
                Ok(Made::Whole(made)) => return Ok(*made),
                Ok(Made::Gone) => {}
                // A name of our own, which a later run will not find, but safe.
                Ok(Made::NotOurs) => base_name = format!(".pmove-{}-{token}-{attempt}", effective_user()).into_bytes(),
                Err(error) => {
                    if let Ok(base) = target.open_child(&base_name) {
                        unlink_dir(&base, token.as_bytes()).ok();
                    }
                    // ENOTEMPTY is what keeps other runs' stages.
                    unlink_dir(target, &base_name).ok();
                    return Err(error);
                }
            }
        }
        Err(Errno::EXIST)
    }

    fn open_in(target: &Dir, base_name: &[u8], token: &str) -> Result<Made, Errno> {
        let is_new = match create_private_dir(target, base_name) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error),
        };
        let base = match target.open_child(base_name) {
            Ok(base) if is_ours(&base) => base,
            // Owner and mode are what the mount gives to all alike: nothing there is anybody's own. No later run can
            // know it for ours.
            Ok(base) if is_new && !keeps_owners(target) => base,
            Ok(_) | Err(Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {
                if is_new {
                    unlink_dir(target, base_name).ok();
                }
                return Ok(Made::NotOurs);
            }
            Err(Errno::NOENT) => return Ok(Made::Gone),
            Err(error) => return Err(error),
        };
        if base.stat().mode & 0o055 != 0 {
            // Nobody else is to see what is staged, where modes are kept at all.
            give_mode_held(&base, 0o700).ok();
        }
        // Under the base's lock, so that nobody sees our directory before it is locked itself.
        let base_lock = base.readable()?;
        supported(lock_and_wait(&base_lock))?;
        match create_private_dir(&base, token.as_bytes()) {
            Ok(()) => {}
            // Another run has just removed the empty base.
            Err(Errno::NOENT) => return Ok(Made::Gone),
            Err(error) => return Err(error),
        }
        let run = base.open_child(token.as_bytes())?;
        let run_lock = run.readable()?;
        supported(lock(&run_lock))?;
        drop(base_lock);
        // What is made in the stage directory must not inherit what the target directory gives to its
        // children: an unnamed file is made here, too, before it is published there.
        remove_inherited_acl(&run_lock)?;
        let (base_name, token) = (base_name.to_owned(), token.to_owned());
        let made = Self { base, base_name, run, token, _lock: run_lock, next: AtomicU64::new(0) };
        Ok(Made::Whole(Box::new(made)))
    }

    /// Where this run's stages and records are.
    pub(crate) fn dir(&self) -> &Dir {
        &self.run
    }

    /// A name that nothing in the stage directory has.
    pub(crate) fn fresh_name(&self, kind: char) -> Vec<u8> {
        format!("{kind}{}", self.next.fetch_add(1, Ordering::Relaxed)).into_bytes()
    }

    /// A name for a stage that changes places with a target: it says which two files may have it. Whatever else is found
    /// under it is somebody else's, displaced when the run was killed.
    pub(crate) fn swap_name(&self, staged: FileId, judged: FileId) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("w{number}-{:x}-{:x}", staged.ino, judged.ino).into_bytes()
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

    /// Removes the directory.
    ///
    /// # Errors
    /// ENOTEMPTY if something of this run is left in it, or what else keeps the directory there.
    pub(crate) fn close(&self, target: &Dir) -> Result<(), Errno> {
        unlink_dir(&self.base, self.token.as_bytes())?;
        match unlink_dir(target, &self.base_name) {
            // Other runs are at work, or have been quicker.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            closed => closed,
        }
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
        for own in ["s0", "d12", "j3", "r4", "x5-6", "w7-1f-a"] {
            assert!(is_stage_name(own.as_bytes()), "{own}");
        }
        for other in ["", "s", "deep", "f1", "d1x", "w7", "w7-1f", "w7-1F-a", "w7-1f-a-", "wa-1-2", "w-1-2", "w1--2"] {
            assert!(!is_stage_name(other.as_bytes()), "{other}");
        }
        let token = crate::sys::run_token();
        for own in [".pmove-0".into(), format!(".pmove-{token}-12"), format!(".pmove-1000-{token}-0")] {
            assert!(is_hidden_name(own.as_bytes()), "{own}");
        }
        for other in
            [".pmove", ".pmove-", ".pmove-notes", ".pmove-1-2", ".pmove-1-2-3", ".pmove-x-1-0123456789abcdef-2"]
        {
            assert!(!is_hidden_name(other.as_bytes()), "{other}");
        }
    }
}
