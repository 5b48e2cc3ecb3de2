//! Where below DEST a run has made stage directories: noted in DEST's own, so that a later run finds what a killed one has
//! left also where its own sources do not lead. (What a pattern has matched, and was moved, it does not match again.)

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::item::Place;
use crate::sys::{Dir, FileKind, Stat, append_all, create_named, open_regular, read_at, unlink};

use super::Target;
use super::resume::Leftovers;
use super::stage_dir::{StageDir, find_base};

/// The name of the note in a run's part of the stage directory.
const NAME: &[u8] = b"t0";

/// A longer note is not one.
const LONGEST: u64 = 1 << 30;

/// This run's note: open once there is something in it.
#[derive(Debug, Default)]
pub(crate) struct Trail(Mutex<Option<OwnedFd>>);

impl Trail {
    /// Notes a directory, by its path below DEST.
    pub(super) fn note(&self, stage_dir: &StageDir, path: &[u8]) -> Result<(), Errno> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            *file = Some(create_named(stage_dir.dir(), NAME, 0o600)?);
        }
        // A path holds no NUL.
        file.as_ref().map_or(Ok(()), |file| append_all(file, &[path, b"\0"].concat()))
    }

    /// Removes the note: there is nothing any more where it leads.
    pub(super) fn remove(&self, stage_dir: &StageDir) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            // One that stays leads a later run to directories in which there is nothing.
            unlink(stage_dir.dir(), NAME).ok();
        }
    }
}

/// Clears what an ended run, whose part of DEST's stage directory `run` is, has left in other directories below DEST.
/// Whether nothing is left there.
pub(super) fn clear_along(dest: &Target, run: &Dir, news: &mut Vec<String>) -> bool {
    let Ok(note) = read(run) else { return false };
    let mut is_clear = true;
    // What follows the last NUL was not written to its end, and nothing was made there.
    let whole = note.iter().rposition(|&byte| byte == 0).unwrap_or(0);
    for path in note[..whole].split(|&byte| byte == 0).filter(|path| !path.is_empty()) {
        is_clear &= match dest.place.dir.open_far(path) {
            Ok(dir) => clear_in(dest, dir, path, news),
            // Somebody has removed it, or moved it on.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => true,
            Err(_) => false,
        };
    }
    is_clear
}

fn clear_in(dest: &Target, dir: Dir, path: &[u8], news: &mut Vec<String>) -> bool {
    let Ok(found) = Leftovers::find(&dir) else { return false };
    let Some(leftovers) = found else { return true };
    let target = Target::new(Place::new(dir, &dest.place.prefix_below(path)));
    news.extend(leftovers.clear(&target));
    matches!(find_base(&target.place.dir), Ok(None))
}

/// Reads an ended run's note; it is empty if there is none.
fn read(run: &Dir) -> Result<Vec<u8>, Errno> {
    match Stat::at(run, NAME) {
        Ok(stat) if stat.kind == FileKind::Regular && stat.size <= LONGEST => {}
        Ok(_) | Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    let file = open_regular(run, NAME)?;
    let mut note = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while (note.len() as u64) < LONGEST {
        match read_at(&file, &mut piece, note.len() as u64)? {
            0 => break,
            count => note.extend_from_slice(&piece[..count]),
        }
    }
    Ok(note)
}
