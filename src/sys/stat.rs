//! What the kernel knows of a file: identity, kind, owner, times.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Statx, StatxAttributes, StatxFlags, StatxTimestamp, statx};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::fault::{Op, call};
use super::names::retry_stale;
use super::{Dir, FileKind};

/// Which file it is, under whatever name: device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FileId {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

/// A point in time as the file system keeps it, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Time {
    pub(crate) sec: i64,
    pub(crate) nsec: u32,
}

impl From<StatxTimestamp> for Time {
    fn from(t: StatxTimestamp) -> Self {
        Self { sec: t.tv_sec, nsec: t.tv_nsec }
    }
}

impl Time {
    /// Nanoseconds since the epoch.
    fn nanoseconds(self) -> i128 {
        i128::from(self.sec) * 1_000_000_000 + i128::from(self.nsec)
    }

    /// The time as it is kept in steps of `step` nanoseconds.
    pub(crate) fn truncated(self, step: u32) -> Self {
        let over = u32::try_from(self.nanoseconds().rem_euclid(i128::from(step))).unwrap_or(0);
        // Steps of two seconds reach into the seconds.
        let (sec, nsec) = (i64::from(over / 1_000_000_000), over % 1_000_000_000);
        Self { sec: self.sec - sec, nsec: self.nsec - nsec }
    }
}

/// What `statx` says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) id: FileId,
    pub(crate) kind: FileKind,
    /// Permissions with set-id and sticky bits: the low twelve bits of `st_mode`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) links: u32,
    /// Bytes.
    pub(crate) size: u64,
    /// Units of 512 bytes that are allocated.
    pub(crate) blocks: u64,
    /// Major and minor number of a device file.
    pub(crate) device: (u32, u32),
    pub(crate) atime: Time,
    pub(crate) mtime: Time,
    pub(crate) ctime: Time,
    /// The mount that the name was looked up in; two mounts never rename into each other.
    pub(crate) mount: u64,
    /// Immutable or append-only: such a file can be copied but not removed.
    pub(crate) is_pinned: bool,
    /// The root of a mounted file system.
    pub(crate) is_mount_root: bool,
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::MNT_ID);

impl Stat {
    /// Looks at `name` in `dir`; a symlink itself, not what it points to.
    pub(crate) fn at(dir: &Dir, name: &[u8]) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        retry_stale(|| call(Op::Stat, name, || statx(dir.fd(), name, flags, WANTED))).map(Self::from)
    }

    /// Looks at what is open.
    pub(crate) fn of(fd: impl AsFd) -> Result<Self, Errno> {
        call(Op::Stat, b"", || statx(fd, c"", AtFlags::EMPTY_PATH, WANTED)).map(Self::from)
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// In which steps the file system keeps times, as far as this file's own times tell. Nanoseconds.
    pub(crate) fn resolution(&self) -> u32 {
        const STEPS: [u32; 6] = [2_000_000_000, 1_000_000_000, 10_000_000, 1_000_000, 1_000, 100];
        let fits = |step: &u32| [self.atime, self.mtime, self.ctime].iter().all(|time| time.truncated(*step) == *time);
        STEPS.into_iter().find(fits).unwrap_or(1)
    }

    /// Whether the file has fewer blocks than its size needs, so that looking for holes is worth it.
    pub(crate) fn may_have_holes(&self) -> bool {
        self.blocks.saturating_mul(512) < self.size
    }
}

/// When an inode was made, where the file system keeps that (statx(2)): of two that bear the same number one after the other
/// it differs.
pub(crate) fn birth_of(fd: impl AsFd) -> Result<Option<Time>, Errno> {
    let found = call(Op::Stat, b"", || statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BTIME))?;
    let is_known = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    Ok(is_known.then(|| found.stx_btime.into()))
}

impl From<Statx> for Stat {
    fn from(s: Statx) -> Self {
        let set = s.stx_attributes & s.stx_attributes_mask;
        Self {
            // As in `st_dev`, which is what walkdir and std show.
            id: FileId { dev: rustix::fs::makedev(s.stx_dev_major, s.stx_dev_minor), ino: s.stx_ino },
            kind: rustix::fs::FileType::from_raw_mode(u32::from(s.stx_mode)).into(),
            mode: u32::from(s.stx_mode) & 0o7777,
            uid: s.stx_uid,
            gid: s.stx_gid,
            links: s.stx_nlink,
            size: s.stx_size,
            blocks: s.stx_blocks,
            device: (s.stx_rdev_major, s.stx_rdev_minor),
            atime: s.stx_atime.into(),
            mtime: s.stx_mtime.into(),
            ctime: s.stx_ctime.into(),
            mount: s.stx_mnt_id,
            is_pinned: set.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND),
            is_mount_root: set.contains(StatxAttributes::MOUNT_ROOT),
        }
    }
}
