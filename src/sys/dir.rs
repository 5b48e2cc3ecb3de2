//! A directory that is held open, and what can be made in it besides regular files.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::fault::{Op, call};
use super::names::retry_stale;
use super::{FileId, FileKind, Stat};

/// The flags with which a directory is held: a bare handle, which needs search permission only.
const HOLD: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A kernel path may have 4096 bytes (`PATH_MAX`); a longer way is gone in several steps.
const STEP: usize = 4000;

/// A directory held open. Names are looked up below it, so that nobody can swap it for another.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    stat: Stat,
}

impl Dir {
    /// Opens a directory as the user named it: symlinks are followed, also in the last place.
    pub(crate) fn open_named(path: &[u8]) -> Result<Self, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        Self::held(call(Op::OpenDir, path, || rustix::fs::openat(CWD, path, HOLD, Mode::empty()))?)
    }

    /// Whether a symlink is on the way of a path that the user named, as far as can be told.
    pub(crate) fn is_through_link(path: &[u8]) -> bool {
        let path = if path.is_empty() { b"." } else { path };
        let open = || rustix::fs::openat2(CWD, path, HOLD, Mode::empty(), ResolveFlags::NO_SYMLINKS);
        call(Op::OpenDir, path, open).is_err_and(|error| error == Errno::LOOP)
    }

    /// Opens the directory at `path`, relative to this one, refusing every symlink on the way and any way out.
    pub(crate) fn open_beneath(&self, path: &[u8]) -> Result<Self, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            let open = || rustix::fs::openat2(&self.fd, path, HOLD, Mode::empty(), resolve);
            match call(Op::OpenDir, path, open) {
                // EAGAIN: a rename elsewhere raced with the walk (openat2(2)).
                Err(Errno::INTR | Errno::AGAIN) => {}
                opened => return Self::held(opened?),
            }
        }
    }

    /// As [`Dir::open_named`], for a path that may be longer than the kernel takes in one call. Symlinks are followed in
    /// its beginning only.
    pub(crate) fn open_named_far(path: &[u8]) -> Result<Self, Errno> {
        if path.len() <= STEP {
            return Self::open_named(path);
        }
        let end = path[..STEP].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
        Self::open_named(&path[..end])?.open_far(&path[end + 1..])
    }

    /// As [`Dir::open_beneath`], for a path that may be longer than the kernel takes in one call.
    pub(crate) fn open_far(&self, path: &[u8]) -> Result<Self, Errno> {
        let mut here: Option<Self> = None;
        let mut rest = path;
        while rest.len() > STEP {
            let end = rest[..STEP].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            here = Some(here.as_ref().unwrap_or(self).open_beneath(&rest[..end])?);
            rest = &rest[end + 1..];
        }
        rest = &rest[rest.iter().position(|&byte| byte != b'/').unwrap_or(rest.len())..];
        here.as_ref().unwrap_or(self).open_beneath(if rest.is_empty() { b"." } else { rest })
    }

    /// Opens the directory `name` in this one; a symlink is refused with ENOTDIR.
    pub(crate) fn open_child(&self, name: &[u8]) -> Result<Self, Errno> {
        let open = || rustix::fs::openat(&self.fd, name, HOLD | OFlags::NOFOLLOW, Mode::empty());
        Self::held(retry_stale(|| call(Op::OpenDir, name, open))?)
    }

    /// Opens the directory that holds this one.
    pub(crate) fn open_parent(&self) -> Result<Self, Errno> {
        Self::held(call(Op::OpenDir, b"..", || rustix::fs::openat(&self.fd, c"..", HOLD, Mode::empty()))?)
    }

    fn held(fd: OwnedFd) -> Result<Self, Errno> {
        let stat = Stat::of(&fd)?;
        Ok(Self { fd, stat })
    }

    /// A second handle on this directory.
    pub(crate) fn try_clone(&self) -> Result<Self, Errno> {
        let fd = call(Op::Dup, b"", || rustix::io::fcntl_dupfd_cloexec(&self.fd, 0))?;
        Ok(Self { fd, stat: self.stat })
    }

    /// Where the directory is now, from the root: for the eyes of a later run, which checks what it finds there.
    pub(crate) fn absolute_path(&self) -> Vec<u8> {
        absolute_path(&self.fd)
    }

    /// A readable descriptor of this directory, for listing, locking and syncing.
    pub(crate) fn readable(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        call(Op::OpenDir, b".", || rustix::fs::openat(&self.fd, c".", flags, Mode::empty()))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn id(&self) -> FileId {
        self.stat.id
    }

    /// What the directory was when it was opened.
    pub(crate) fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Whether we may remove names from this directory, as far as its permissions tell.
    pub(crate) fn allows_removal(&self) -> Result<(), Errno> {
        if self.stat.is_pinned {
            return Err(Errno::PERM);
        }
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        call(Op::Access, b".", || rustix::fs::accessat(&self.fd, c".", access, rustix::fs::AtFlags::EACCESS))
    }
}

/// Whether mv would take `name` in `dir` for writable: symlinks are, and to root everything is.
pub(crate) fn is_writable(dir: &Dir, name: &[u8], stat: &Stat) -> bool {
    let access = || rustix::fs::accessat(dir.fd(), name, rustix::fs::Access::WRITE_OK, rustix::fs::AtFlags::EACCESS);
    stat.kind == FileKind::Symlink
        || super::effective_user() == 0
        || !matches!(call(Op::Access, name, access), Err(Errno::ACCESS | Errno::PERM | Errno::ROFS))
}

/// Makes the directory `name`, for its owner only.
///
/// # Errors
/// EEXIST if the name is taken by anything at all, also by a symlink to nowhere.
pub(crate) fn create_private_dir(dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    call(Op::MakeDir, name, || rustix::fs::mkdirat(dir.fd(), name, Mode::from_raw_mode(0o700)))
}

/// Makes the directory `name` with these permissions.
///
/// # Errors
/// As for [`create_private_dir`].
pub(crate) fn create_dir(dir: &Dir, name: &[u8], mode: u32) -> Result<(), Errno> {
    call(Op::MakeDir, name, || rustix::fs::mkdirat(dir.fd(), name, Mode::from_raw_mode(mode)))
}

/// Makes the symlink `name` with the content `content`.
pub(crate) fn create_symlink(content: &[u8], dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    call(Op::MakeLink, name, || rustix::fs::symlinkat(content, dir.fd(), name))
}

/// What the symlink `name` leads to, and where that is, from the root (empty if that cannot be told). Nothing is opened
/// for reading: an `O_PATH` descriptor has no effect on a FIFO or a device.
pub(crate) fn follow(dir: &Dir, name: &[u8]) -> Result<(Stat, Vec<u8>), Errno> {
    let open = || rustix::fs::openat(dir.fd(), name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let file = call(Op::OpenFile, name, open)?;
    Ok((Stat::of(&file)?, absolute_path(&file)))
}

fn absolute_path(fd: &OwnedFd) -> Vec<u8> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let path = call(Op::ReadLink, b"/proc", || rustix::fs::readlink(link, Vec::new()));
    path.map(std::ffi::CString::into_bytes).unwrap_or_default()
}

/// What the symlink `name` holds.
pub(crate) fn read_link(dir: &Dir, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let content = call(Op::ReadLink, name, || rustix::fs::readlinkat(dir.fd(), name, Vec::new()))?;
    Ok(content.into_bytes())
}

/// Makes a FIFO, a socket or a device file like the one that `like` describes, for its owner only.
pub(crate) fn create_special(like: &Stat, dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    let kind = match like.kind {
        FileKind::Fifo => FileType::Fifo,
        FileKind::Socket => FileType::Socket,
        FileKind::CharDevice => FileType::CharacterDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
        _ => return Err(Errno::INVAL),
    };
    let (major, minor) = like.device;
    let device = rustix::fs::makedev(major, minor);
    let mode = Mode::from_raw_mode(0o600);
    call(Op::MakeNode, name, || rustix::fs::mknodat(dir.fd(), OsStr::from_bytes(name), kind, mode, device))
}

/// Takes the lock of what is open, if nobody else holds it. It is let go with the descriptor.
///
/// # Errors
/// EWOULDBLOCK if another process holds it.
pub(crate) fn lock(fd: impl AsFd) -> Result<(), Errno> {
    call(Op::Lock, b"", || rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive))
}

/// Takes the lock of what is open together with others who do so, or says at once (EAGAIN) that somebody has it alone.
pub(crate) fn lock_shared(fd: impl AsFd) -> Result<(), Errno> {
    call(Op::Lock, b"", || rustix::fs::flock(fd, FlockOperation::NonBlockingLockShared))
}

/// Takes the lock of what is open, and waits for whoever holds it.
pub(crate) fn lock_and_wait(fd: impl AsFd) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| call(Op::Lock, b"", || rustix::fs::flock(&fd, FlockOperation::LockExclusive)))
}
