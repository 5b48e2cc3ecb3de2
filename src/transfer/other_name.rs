//! Other names: for what stands at a target (backups), and for a source whose target is to stay (`keep-both`).

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::item::{Backup, BackupKind, Item, Place};
use crate::sys::{Dir, FileId, Listing, NoReplace, Stat, folded, rename_replacing, unlink};

use super::flagless::rename_for_good;
use super::{Context, Target};

/// The longest name that a file can have. Bytes.
const LONGEST: usize = 255;

/// Names that this run has given, or is about to, and that could be the backup of another: they must not be replaced by one.
/// By their directories.
#[derive(Debug, Default)]
pub(super) struct Given(Mutex<HashSet<(FileId, Box<[u8]>)>>);

impl Given {
    /// Takes note of a name.
    pub(super) fn note(&self, backup: &Backup, dir: &Dir, name: &[u8], folds: bool) {
        if backup.kind != BackupKind::Numbered && name.ends_with(&backup.suffix) {
            self.names().insert((dir.id(), key(name, folds)));
        }
    }

    fn names(&self) -> MutexGuard<'_, HashSet<(FileId, Box<[u8]>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives `name` the name `new`, whatever has that; but not if this run has given it to another.
    fn rename(&self, dir: &Dir, name: &[u8], new: &[u8], folds: bool) -> std::result::Result<(), Errno> {
        // Nobody gives a name between the look and the renaming.
        let given = self.names();
        let is_given = given.contains(&(dir.id(), key(new, folds)));
        if is_given { Err(Errno::EXIST) } else { rename_replacing(dir, name, dir, new) }
    }
}

/// What is known of the numbers of backups in one target directory.
#[derive(Debug, Default)]
pub(super) struct BackupNames {
    /// The highest number of each name's backups, once the directory was listed.
    numbers: Mutex<Option<HashMap<Box<[u8]>, u64>>>,
}

impl BackupNames {
    /// The highest number of the backups of `name`; 0 if there is none.
    fn highest(&self, place: &Place, name: &[u8]) -> std::result::Result<u64, Errno> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &mut *numbers {
            Some(known) => known,
            // Once for the run: the kernel says so should somebody else have taken a number since.
            unknown => unknown.insert(list_numbers(place)?),
        };
        Ok(known.get(name).copied().unwrap_or(0))
    }

    fn note_number(&self, name: &[u8], number: u64) {
        if let Some(known) = &mut *self.numbers.lock().unwrap_or_else(PoisonError::into_inner) {
            known.insert(name.into(), number);
        }
    }

    /// The backup that was made last is taken back.
    fn forget_number(&self, name: &[u8], backup: &[u8]) {
        if let Some((_, number)) = numbered_backup(backup) {
            self.note_number(name, number - 1);
        }
    }
}

/// What names have in common that a directory might take for one.
fn key(name: &[u8], folds: bool) -> Box<[u8]> {
    if folds { folded(name).into() } else { name.into() }
}

fn list_numbers(place: &Place) -> std::result::Result<HashMap<Box<[u8]>, u64>, Errno> {
    let mut numbers: HashMap<Box<[u8]>, u64> = HashMap::new();
    let mut listing = Listing::of(&place.dir)?;
    loop {
        let chunk = listing.next_chunk()?;
        if chunk.is_empty() {
            return Ok(numbers);
        }
        for (name, number) in chunk.iter().filter_map(|entry| numbered_backup(&entry.name)) {
            let highest = numbers.entry(name.into()).or_default();
            *highest = number.max(*highest);
        }
    }
}

/// `f.~12~`: what it is a backup of, and its number.
fn numbered_backup(name: &[u8]) -> Option<(&[u8], u64)> {
    let rest = name.strip_suffix(b"~")?;
    let at = rest.iter().rposition(|&byte| byte == b'~')?;
    let (base, digits) = (rest[..at].strip_suffix(b".")?, &rest[at + 1..]);
    let is_number = digits.first().is_some_and(|first| (b'1'..=b'9').contains(first));
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (is_number && !base.is_empty()).then_some((base, number))
}

/// What has been given a backup name.
struct BackedUp {
    id: FileId,
    name: Box<[u8]>,
}

/// How taking the place of what is backed up ended.
pub(super) enum Placed {
    /// It is there; the name of the backup.
    Done(Option<Box<[u8]>>),
    /// Something else has taken the place by then, and has to be judged anew.
    Other,
    /// It could not, and the backup is taken back.
    Failed(Errno),
}

/// Gives what stands at an item's target its backup name, and lets `take_place` take its place, which says whether the name
/// was free.
pub(super) fn place_with_backup(
    context: &Context,
    target: &Target,
    from: &Place,
    item: &Item,
    take_place: impl FnOnce() -> std::result::Result<bool, Errno>,
) -> Result<Placed> {
    let Some(backup) = &context.policy.backup else { return Ok(Placed::Other) };
    let old = back_up(context, target, from, item, backup)?;
    Ok(match (take_place(), old) {
        (Ok(true), old) => Placed::Done(old.map(|old| old.name)),
        (Ok(false), None) => Placed::Other,
        (failed, old) => {
            if let Some(old) = old {
                restore(context, target, item, &old);
            }
            Placed::Failed(failed.err().unwrap_or(Errno::EXIST))
        }
    })
}

/// Takes the first name like `wanted` that is free: `take` says whether it was.
///
/// # Errors
/// What `take` fails with.
pub(super) fn take_kept_name(
    wanted: &[u8],
    mut take: impl FnMut(&[u8]) -> std::result::Result<bool, Errno>,
) -> std::result::Result<Box<[u8]>, Errno> {
    for name in kept_names(wanted) {
        if take(&name)? {
            return Ok(name.into());
        }
    }
    Err(Errno::EXIST)
}

/// Gives what stands at an item's target its backup name. None if nothing stands there any more.
fn back_up(context: &Context, target: &Target, from: &Place, item: &Item, backup: &Backup) -> Result<Option<BackedUp>> {
    let name: Box<[u8]> = item.target_name().into();
    let failed = |source| Box::new(MoveError::Backup { path: target.path(item), source });
    let old = match Stat::at(&target.place.dir, &name) {
        Ok(old) => old.id,
        Err(Errno::NOENT) => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let numbered = match backup.kind {
        BackupKind::Simple => None,
        BackupKind::Numbered => Some(target.backups.highest(&target.place, &name).map_err(failed)?),
        BackupKind::Existing => {
            Some(target.backups.highest(&target.place, &name).map_err(failed)?).filter(|&highest| highest > 0)
        }
    };
    let given = if let Some(highest) = numbered {
        rename_to_number(context, target, &name, highest)
    } else {
        let new = [&*name, &*backup.suffix].concat();
        let source = Stat::at(&from.dir, &item.name).map(|stat| stat.id);
        match Stat::at(&target.place.dir, &new).map(|there| there.id) {
            Ok(there) if source == Ok(there) => {
                let (from, to) = (from.path_of(item), target.path(item));
                return Err(Box::new(MoveError::BackupIsSource { from, to }));
            }
            // It has that name already, and rename(2) would do nothing.
            Ok(there) if there == old => unlink(&target.place.dir, &name),
            _ => context.given.rename(&target.place.dir, &name, &new, target.folds_case()),
        }
        .map(|()| new)
    };
    match given {
        Ok(new) => Ok(Some(BackedUp { id: old, name: new.into() })),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn rename_to_number(
    context: &Context,
    target: &Target,
    name: &[u8],
    highest: u64,
) -> std::result::Result<Vec<u8>, Errno> {
    let dir = &target.place.dir;
    for number in highest + 1.. {
        let new = [name, format!(".~{number}~").as_bytes()].concat();
        if rename_for_good(context, (dir, name), (dir, &new), None)? == NoReplace::Renamed {
            target.backups.note_number(name, number);
            return Ok(new);
        }
    }
    Err(Errno::EXIST)
}

/// Takes a backup back, because its source could not move.
fn restore(context: &Context, target: &Target, item: &Item, old: &BackedUp) {
    let dir = &target.place.dir;
    // What somebody else has put there meanwhile is not ours to take.
    if Stat::at(dir, &old.name).is_ok_and(|now| now.id == old.id) {
        // Should somebody have taken the name meanwhile, the old file stays under the other.
        rename_for_good(context, (dir, &old.name), (dir, item.target_name()), None).ok();
        target.backups.forget_number(item.target_name(), &old.name);
    }
}

/// The `number`-th other name for `name`: `photo (1).jpg`. Numbers begin at 1.
fn kept_name(name: &[u8], number: u64) -> Vec<u8> {
    // The dot of a hidden file begins no extension.
    let dot = name.iter().rposition(|&byte| byte == b'.').filter(|&at| at > 0);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let number = format!(" ({number})");
    let room = LONGEST.saturating_sub(number.len() + extension.len());
    let stem = if stem.len() <= room {
        stem
    } else {
        // Not in the middle of a character.
        let end = (0..=room).rev().find(|&at| stem[at] & 0xC0 != 0x80).unwrap_or(0);
        &stem[..end]
    };
    [stem, number.as_bytes(), extension].concat()
}

/// All other names for `name`, in the order in which they are tried.
pub(super) fn kept_names(name: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<'_> {
    (1..).map(move |number| kept_name(name, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_keeps_the_extension() {
        for (name, other) in [
            ("a.txt", "a (2).txt"),
            ("a", "a (2)"),
            (".bashrc", ".bashrc (2)"),
            ("a.tar.gz", "a.tar (2).gz"),
            ("a.", "a (2)."),
            (".a.b", ".a (2).b"),
        ] {
            assert_eq!(kept_name(name.as_bytes(), 2), other.as_bytes(), "{name}");
        }
    }

    #[test]
    fn h27_another_name_is_never_too_long() {
        let long = "ä".repeat(125) + ".jpg";
        for number in [1, 10, 12_345] {
            let other = String::from_utf8(kept_name(long.as_bytes(), number)).unwrap();
            assert!(other.len() <= LONGEST && other.ends_with(&format!("ä ({number}).jpg")), "{other}");
        }
    }

    #[test]
    fn h22_numbered_backups_are_told_from_other_names() {
        assert_eq!(numbered_backup(b"f.~12~"), Some((&b"f"[..], 12)));
        assert_eq!(numbered_backup(b"f.~1~.~2~"), Some((&b"f.~1~"[..], 2)));
        for other in ["f~", "f.~~", "f.~x~", "f.~01~", "f.~-1~", ".~1~", "f~1~", "f.~99999999999999999999999~"] {
            assert_eq!(numbered_backup(other.as_bytes()), None, "{other}");
        }
    }
}
