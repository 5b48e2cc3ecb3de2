//! Renaming without replacing where the file system has no flag for it, and looking whether a rename was done that is
//! said to have failed.

use rustix::io::Errno;

use super::dir::create_private_dir;
use super::{
    Dir, FileId, NoReplace, Stat, is_below, is_remote, link, rename_noreplace, rename_replacing, unlink, unlink_dir,
};

/// How carrying a name over ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// Done.
    Done,
    /// Something has the new name.
    Exists,
    /// The source was replaced meanwhile, and stays. The target is what it was before.
    Swapped,
}

/// Whether an error of [`rename_noreplace`] can mean that the flag is not known.
pub(crate) fn may_lack_flag(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// Renames what `stat` describes without ever replacing, and without the flag: a file is linked to its new name and
/// unlinked from the old one; a directory is renamed over an empty one that we make (ENOTEMPTY if somebody filled it).
pub(crate) fn carry(from: &Dir, name: &[u8], stat: &Stat, to: &Dir, new: &[u8]) -> Result<Carried, Errno> {
    if stat.is_dir() {
        return carry_directory(from, name, stat, to, new);
    }
    match link(from, name, to, new) {
        Ok(()) => {}
        Err(Errno::XDEV) => return Err(Errno::XDEV),
        // Said to have failed, but done: a server that was asked twice, because its first answer was lost, has found its
        // own work in the way. (Elsewhere it would be another run's, which may take it back.)
        Err(_) if is_remote(to) && Stat::at(to, new).is_ok_and(|now| now.id == stat.id && now.links > stat.links) => {}
        Err(Errno::EXIST) => return Ok(Carried::Exists),
        // No hard links either (some FUSE). The new name was free a moment ago, or this had been EEXIST (linkat(2) looks
        // first): a look and then a rename is all that such a file system offers.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            return done(rename_replacing(from, name, to, new), (from, name), (to, new), stat.id);
        }
        Err(error) => return Err(error),
    }
    let removed = match Stat::at(from, name) {
        Ok(now) if now.id == stat.id => unlink(from, name),
        Ok(_) => return Ok(Carried::Swapped),
        Err(error) => Err(error),
    };
    let Err(error) = removed else { return Ok(Carried::Done) };
    match Stat::at(from, name) {
        // It is gone, whoever removed it, and whatever was said.
        Err(Errno::NOENT) => Ok(Carried::Done),
        // The source could not be let go: the second name is taken back, so that nothing has changed. Only now that the
        // first one has been seen: it would be the last one else. (And not where another run may take the second name for
        // its own work, and remove the first.)
        Ok(now) if now.id == stat.id => {
            if !is_remote(to) {
                unlink(to, new).ok();
            }
            Err(error)
        }
        _ => Err(error),
    }
}

/// Gives the file `id`, one of our own, another name by a link, and takes the old one away. None where there are no links.
///
/// For a rename from one directory to another the kernel holds a lock of the whole file system until the server has
/// answered, so that there is only one at a time. For a link it holds that of one directory.
pub(crate) fn rename_by_link(
    (from, name): (&Dir, &[u8]),
    (to, new): (&Dir, &[u8]),
    id: FileId,
) -> Result<Option<NoReplace>, Errno> {
    match link(from, name, to, new) {
        Ok(()) => {}
        // A server that was asked twice.
        Err(_) if Stat::at(to, new).is_ok_and(|now| now.id == id) => {}
        Err(Errno::EXIST) => return Ok(Some(NoReplace::Exists)),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => return Ok(None),
        Err(error) => return Err(error),
    }
    // Should this fail, the old name is cleared with everything else that is hidden.
    unlink(from, name).ok();
    Ok(Some(NoReplace::Renamed))
}

fn carry_directory(from: &Dir, name: &[u8], stat: &Stat, to: &Dir, new: &[u8]) -> Result<Carried, Errno> {
    if is_below(to, stat.id)? {
        return Err(Errno::INVAL);
    }
    match create_private_dir(to, new) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(Carried::Exists),
        Err(error) => return Err(error),
    }
    match rename_replacing(from, name, to, new) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Carried::Exists),
        renamed => done(renamed, (from, name), (to, new), stat.id).inspect_err(|_| {
            // Ours and empty, or somebody filled it: then it is theirs, and rmdir leaves it alone.
            unlink_dir(to, new).ok();
        }),
    }
}

fn done(
    renamed: Result<(), Errno>,
    (from, name): (&Dir, &[u8]),
    (to, new): (&Dir, &[u8]),
    id: FileId,
) -> Result<Carried, Errno> {
    match renamed {
        Err(error) if !has_arrived(from, name, to, new, id) => Err(error),
        _ => Ok(Carried::Done),
    }
}

/// Whether the file `id` is at its target, and not at its source any more: a server that was asked twice, because its
/// first answer was lost, says that it failed.
pub(crate) fn has_arrived(from: &Dir, name: &[u8], to: &Dir, new: &[u8], id: FileId) -> bool {
    Stat::at(to, new).is_ok_and(|now| now.id == id) && Stat::at(from, name) == Err(Errno::NOENT)
}

/// Renames without ever replacing, by whatever way there is.
pub(crate) fn rename_somehow(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> Result<NoReplace, Errno> {
    match rename_noreplace(from, name, to, new) {
        Err(error) if may_lack_flag(error) => rename_without_flag(from, name, to, new),
        renamed => renamed,
    }
}

/// The same where the flag is known not to be there.
pub(crate) fn rename_without_flag(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> Result<NoReplace, Errno> {
    let stat = Stat::at(from, name)?;
    match carry(from, name, &stat, to, new)? {
        Carried::Done => Ok(NoReplace::Renamed),
        Carried::Exists => Ok(NoReplace::Exists),
        Carried::Swapped => Err(Errno::BUSY),
    }
}
