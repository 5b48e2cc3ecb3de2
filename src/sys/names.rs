//! Making, renaming and removing names of files.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::dir::create_private_dir;
use super::fault::{Op, call, renaming};
use super::{Dir, FileKind, Stat};

/// How a rename that must not replace anything ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoReplace {
    /// Done.
    Renamed,
    /// Something has that name.
    Exists,
}

/// Renames without ever replacing: the kernel decides, in the same step.
///
/// Where a file system does not know `RENAME_NOREPLACE` (EINVAL or ENOSYS: NFS, some FUSE), a file is linked
/// to its new name and unlinked from the old one, which keeps the guarantee; a directory is renamed over an
/// empty one that we make, which keeps it too (ENOTEMPTY if somebody filled it).
///
/// # Errors
/// EXDEV when the two directories are on different file systems; EINVAL when a directory would end up in
/// itself; whatever else `renameat2(2)` says.
pub(crate) fn rename_noreplace(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> Result<NoReplace, Errno> {
    let rename = || rustix::fs::renameat_with(from.fd(), name, to.fd(), new, RenameFlags::NOREPLACE);
    match renaming(Op::RenameNoReplace, name, new, rename) {
        Ok(()) => Ok(NoReplace::Renamed),
        Err(Errno::EXIST) => Ok(NoReplace::Exists),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rename_noreplace_without_flag(from, name, to, new),
        Err(error) => Err(error),
    }
}

fn rename_noreplace_without_flag(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> Result<NoReplace, Errno> {
    let stat = Stat::at(from, name)?;
    if stat.kind == FileKind::Directory {
        if is_below(to, stat.id)? {
            return Err(Errno::INVAL);
        }
        match create_private_dir(to, new) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(NoReplace::Exists),
            Err(error) => return Err(error),
        }
        return match rename_replacing(from, name, to, new) {
            Ok(()) => Ok(NoReplace::Renamed),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(NoReplace::Exists),
            Err(error) => {
                // Ours and empty, or somebody filled it: then it is theirs, and rmdir leaves it alone.
                unlink_dir(to, new).ok();
                Err(error)
            }
        };
    }
    match link(from, name, to, new) {
        Ok(()) => unlink(from, name).map(|()| NoReplace::Renamed).inspect_err(|_| {
            // The source could not be let go: take the second name back, so that nothing has changed.
            unlink(to, new).ok();
        }),
        Err(Errno::EXIST) => Ok(NoReplace::Exists),
        // No hard links either (FAT, some FUSE): a look and then a rename is all that such a file system offers.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => match Stat::at(to, new) {
            Ok(_) => Ok(NoReplace::Exists),
            Err(Errno::NOENT) => rename_replacing(from, name, to, new).map(|()| NoReplace::Renamed),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Renames, and replaces what may be replaced, in one step.
pub(crate) fn rename_replacing(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> Result<(), Errno> {
    renaming(Op::Rename, name, new, || rustix::fs::renameat(from.fd(), name, to.fd(), new))
}

/// Whether `dir` is the directory `ancestor` or lies below it, as far as `..` tells (bind mounts hide it).
pub(crate) fn is_below(dir: &Dir, ancestor: super::FileId) -> Result<bool, Errno> {
    if dir.id() == ancestor {
        return Ok(true);
    }
    let mut here = dir.open_parent()?;
    let mut below = dir.id();
    while here.id() != below {
        if here.id() == ancestor {
            return Ok(true);
        }
        below = here.id();
        here = here.open_parent()?;
    }
    Ok(false)
}

/// Opens a regular file for reading. Whoever calls has seen that it is one: opening a device or a FIFO can
/// have effects of its own.
pub(crate) fn open_regular(dir: &Dir, name: &[u8]) -> Result<OwnedFd, Errno> {
    // NONBLOCK and NOCTTY: should a FIFO or a terminal have taken the name since, nothing hangs.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    call(Op::OpenFile, name, || rustix::fs::openat(dir.fd(), name, flags, Mode::empty()))
}

/// Makes a regular file without a name in `dir`. It vanishes unless it is published.
///
/// # Errors
/// EOPNOTSUPP or EISDIR where the file system cannot do that.
pub(crate) fn create_unnamed(dir: &Dir, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(mode);
    call(Op::CreateUnnamed, b"", || rustix::fs::openat(dir.fd(), c".", flags, mode))
}

/// Makes a regular file under a name that must be free.
pub(crate) fn create_named(dir: &Dir, name: &[u8], mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    call(Op::Create, name, || rustix::fs::openat(dir.fd(), name, flags, Mode::from_raw_mode(mode)))
}

/// Gives an unnamed file its name, which must be free: EEXIST otherwise.
///
/// # Errors
/// ENOENT where /proc is not mounted.
pub(crate) fn publish_unnamed(file: &OwnedFd, dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    // The /proc way works for everybody; AT_EMPTY_PATH needs a capability (linkat(2)).
    let mut path = [0_u8; 32];
    let len = {
        use std::io::Write as _;
        let mut rest = &mut path[..];
        write!(rest, "/proc/self/fd/{}", file.as_raw_fd()).map_err(|_| Errno::NAMETOOLONG)?;
        32 - rest.len()
    };
    let publish = || rustix::fs::linkat(CWD, &path[..len], dir.fd(), name, AtFlags::SYMLINK_FOLLOW);
    call(Op::Publish, name, publish)
}

/// Removes a name that is not a directory.
pub(crate) fn unlink(dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    call(Op::Unlink, name, || rustix::fs::unlinkat(dir.fd(), name, AtFlags::empty()))
}

/// Removes an empty directory.
pub(crate) fn unlink_dir(dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    call(Op::RemoveDir, name, || rustix::fs::unlinkat(dir.fd(), name, AtFlags::REMOVEDIR))
}

/// Gives a file one more name.
pub(crate) fn link(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> Result<(), Errno> {
    renaming(Op::Link, name, new, || rustix::fs::linkat(from.fd(), name, to.fd(), new, AtFlags::empty()))
}
