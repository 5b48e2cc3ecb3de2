//! Barriers: what has been written is durable, or an error is remembered for good.
//!
//! This is the only place that can make a [`Durable`], the proof that publishing and retiring consume.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

use super::fault::{Op, call};
use super::mount::durability;
use super::{Dir, Durability, Stat};

/// Proof that what it was made for has reached the device (or that the user, or the kind of file system,
/// made asking pointless). It can only come from a [`Barrier`].
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct Durable(());

/// The barrier of one target file system, for one run.
///
/// A write-back error is reported once per descriptor, and only to descriptors opened before it happened.
/// So the descriptor is opened before the first write, it is the only one that is asked, and the first error
/// latches: from then on every call fails.
#[derive(Debug)]
pub(crate) struct Barrier {
    durability: Durability,
    fd: Option<OwnedFd>,
    /// The first error's number, or 0.
    latched: AtomicI32,
}

impl Barrier {
    /// Opens the barrier of `dir`'s file system. Must be called before the first write there.
    pub(crate) fn open(dir: &Dir) -> Self {
        let mut durability = durability(dir);
        // A directory that may be written but not read gives no descriptor that syncfs takes.
        let fd = dir.readable().ok();
        if fd.is_none() && durability == Durability::Whole {
            durability = Durability::Each;
        }
        Self { durability, fd, latched: AtomicI32::new(0) }
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// Makes everything on the file system durable: both data and names.
    pub(crate) fn sync_all(&self) -> Result<Durable, Errno> {
        self.check()?;
        let result = match (&self.fd, self.durability) {
            (_, Durability::Never) => Ok(()),
            (Some(fd), Durability::Whole) => sync_whole(fd),
            // Whoever asks for everything at once where that cannot be had has taken a wrong turn.
            _ => Err(Errno::OPNOTSUPP),
        };
        self.proof(result)
    }

    /// Makes the content of these files durable, one by one.
    pub(crate) fn sync_files<'a>(&self, files: impl IntoIterator<Item = &'a OwnedFd>) -> Result<Durable, Errno> {
        self.check()?;
        let mut result = Ok(());
        if self.durability != Durability::Never {
            for file in files {
                result = result.and(sync_one(file));
            }
        }
        self.proof(result)
    }

    /// Makes the names in these directories durable.
    pub(crate) fn sync_dirs<'a>(&self, dirs: impl IntoIterator<Item = &'a Dir>) -> Result<Durable, Errno> {
        self.check()?;
        let mut result = Ok(());
        if self.durability != Durability::Never {
            for dir in dirs {
                result = result.and(self.sync_dir(dir));
            }
        }
        self.proof(result)
    }

    fn sync_dir(&self, dir: &Dir) -> Result<(), Errno> {
        match (dir.readable(), &self.fd) {
            (Ok(fd), _) => match sync_names(&fd) {
                // Some file systems (CIFS, FUSE servers) have no fsync for directories; there is no other way.
                Err(Errno::INVAL) => Ok(()),
                result => result,
            },
            // It may be written, but not read: then everything is synced instead.
            (Err(Errno::ACCESS), Some(fd)) if self.durability == Durability::Whole => sync_whole(fd),
            (Err(error), _) => Err(error),
        }
    }

    /// For `--sync none`: the user does not ask for durability.
    pub(crate) fn waived(&self) -> Result<Durable, Errno> {
        self.check().map(|()| Durable(()))
    }

    /// Whether an error has latched.
    pub(crate) fn check(&self) -> Result<(), Errno> {
        match self.latched.load(Ordering::Acquire) {
            0 => Ok(()),
            number => Err(Errno::from_raw_os_error(number)),
        }
    }

    fn proof(&self, result: Result<(), Errno>) -> Result<Durable, Errno> {
        match result {
            // Another thread's error may have latched while this call ran: it counts for us as well.
            Ok(()) => self.check().map(|()| Durable(())),
            Err(error) => {
                // Only the first error is kept: it is the cause.
                self.latched.compare_exchange(0, error.raw_os_error(), Ordering::AcqRel, Ordering::Acquire).ok();
                Err(error)
            }
        }
    }
}

/// Makes it durable that names have gone from `dirs`, as far as that can be asked for.
///
/// No proof comes of it, since nothing of P1 depends on it: what a power cut brings back is a source.
pub(crate) fn sync_removals<'a>(dirs: impl IntoIterator<Item = &'a Dir>) -> Result<(), Errno> {
    let mut dirs: Vec<&Dir> = dirs.into_iter().collect();
    dirs.sort_by_key(|dir| dir.id().dev);
    let mut result = Ok(());
    for dirs in dirs.chunk_by(|one, other| one.id().dev == other.id().dev) {
        result = result.and(match durability(dirs[0]) {
            Durability::Never => Ok(()),
            // Many of them: at once.
            Durability::Whole if dirs.len() > SINGLY => sync_removals_in(dirs[0], sync_whole),
            Durability::Whole | Durability::Each => {
                dirs.iter().map(|dir| sync_removals_in(dir, sync_names)).fold(Ok(()), Result::and)
            }
        });
    }
    result
}

/// So many directories are synced one by one.
const SINGLY: usize = 8;

fn sync_removals_in(dir: &Dir, sync: impl Fn(&OwnedFd) -> Result<(), Errno>) -> Result<(), Errno> {
    match dir.readable().and_then(|fd| sync(&fd)) {
        // It cannot be read, or is gone itself; this file system has no fsync for directories, or has become read-only.
        Err(Errno::ACCESS | Errno::NOENT | Errno::INVAL | Errno::ROFS) => Ok(()),
        synced => synced,
    }
}

fn sync_one(fd: &OwnedFd) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| call(Op::Sync, b"", || rustix::fs::fsync(fd)))
}

/// Makes the names in a directory durable.
///
/// An xfs that has shut down, because its disk failed, throws away what was not in its log, and then says of a directory
/// that there is nothing to be written (Linux 6.18). But it answers no question about any file any more.
fn sync_names(dir: &OwnedFd) -> Result<(), Errno> {
    sync_one(dir)?;
    Stat::of(dir).map(drop)
}

fn sync_whole(fd: &OwnedFd) -> Result<(), Errno> {
    call(Op::SyncAll, b"", || rustix::fs::syncfs(fd))
}
