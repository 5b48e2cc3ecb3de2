//! Making, renaming and removing names of files.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::Dir;
use super::fault::{Op, call, renaming};

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
/// # Errors
/// EXDEV when the two directories are on different file systems; EINVAL when a directory would end up in
/// itself, and ENOSYS, EINVAL or EOPNOTSUPP where the file system does not know `RENAME_NOREPLACE` (NFS, some FUSE);
/// whatever else `renameat2(2)` says.
pub(crate) fn rename_noreplace(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> Result<NoReplace, Errno> {
    let rename = || rustix::fs::renameat_with(from.fd(), name, to.fd(), new, RenameFlags::NOREPLACE);
    match retry_stale(|| renaming(Op::RenameNoReplace, name, new, rename)) {
        Ok(()) => Ok(NoReplace::Renamed),
        Err(Errno::EXIST) => Ok(NoReplace::Exists),
        Err(error) => Err(error),
    }
}

/// Looks once more where a server has forgotten what it gave out (ESTALE). The kernel asks twice of its own accord; NFS
/// and ZFS have needed one time more.
pub(super) fn retry_stale<T>(call: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    match call() {
        Err(Errno::STALE) => call(),
        result => result,
    }
}

/// Renames, and replaces what may be replaced, in one step.
pub(crate) fn rename_replacing(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> Result<(), Errno> {
    retry_stale(|| renaming(Op::Rename, name, new, || rustix::fs::renameat(from.fd(), name, to.fd(), new)))
}

/// Lets two names change places, in one step.
///
/// # Errors
/// ENOENT if either is missing; EINVAL, ENOSYS or EOPNOTSUPP where the file system cannot do that.
pub(crate) fn exchange(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> Result<(), Errno> {
    let exchange = || rustix::fs::renameat_with(from.fd(), name, to.fd(), new, RenameFlags::EXCHANGE);
    retry_stale(|| renaming(Op::Exchange, name, new, exchange))
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
    retry_stale(|| call(Op::OpenFile, name, || rustix::fs::openat(dir.fd(), name, flags, Mode::empty())))
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

/// How unnamed files get their names here: what was learnt of it.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    needs_proc: AtomicBool,
}

/// Gives an unnamed file its name, which must be free: EEXIST otherwise.
///
/// # Errors
/// ENOENT where /proc is not mounted.
pub(crate) fn publish_unnamed(by: &Naming, file: &OwnedFd, dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    if !by.needs_proc.load(Ordering::Relaxed) {
        let publish = || rustix::fs::linkat(file, c"", dir.fd(), name, AtFlags::EMPTY_PATH);
        match call(Op::Publish, name, publish) {
            // Also where `dir` is gone: asking again says so again.
            Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => {}
            published => return published,
        }
        publish_through_proc(file, dir, name)?;
        by.needs_proc.store(true, Ordering::Relaxed);
        return Ok(());
    }
    publish_through_proc(file, dir, name)
}

/// The way that works for everybody: `AT_EMPTY_PATH` needs a capability before Linux 6.10 (linkat(2)).
fn publish_through_proc(file: &OwnedFd, dir: &Dir, name: &[u8]) -> Result<(), Errno> {
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
