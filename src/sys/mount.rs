//! What is known of file systems by their type.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::Dir;
use super::fault::{Op, call};

/// How data on a file system becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// `syncfs` writes everything back and reports errors: ext2/3/4, xfs, btrfs, f2fs.
    Whole,
    /// Each file and each directory has to be synced: NFS, FUSE, overlay (whose `syncfs` has said yes while
    /// the content was lost), and whatever we don't know.
    Each,
    /// Nothing survives a power cut, so nothing is asked for: tmpfs, ramfs.
    Never,
}

// linux/magic.h
const EXT: u64 = 0xEF53;
const XFS: u64 = 0x5846_5342;
const BTRFS: u64 = 0x9123_683E;
const F2FS: u64 = 0xF2F5_2010;
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58F6;

/// `FS_CASEFOLD_FL` (linux/fs.h).
const CASEFOLD: u32 = 0x4000_0000;

fn magic(fd: impl AsFd) -> Result<u64, Errno> {
    // The type is a signed word whose width differs between machines; its low 32 bits are the number.
    #[allow(clippy::cast_sign_loss)]
    call(Op::StatFs, b"", || rustix::fs::fstatfs(fd)).map(|fs| fs.f_type as u64 & 0xFFFF_FFFF)
}

/// How data in `dir` becomes durable.
pub(crate) fn durability(dir: &Dir) -> Durability {
    match magic(dir.fd()) {
        Ok(EXT | XFS | BTRFS | F2FS) => Durability::Whole,
        Ok(TMPFS | RAMFS) => Durability::Never,
        // Not knowing costs time, never data.
        _ => Durability::Each,
    }
}

/// Whether renaming and linking in `dir` set a file's ctime, by this machine's clock.
pub(crate) fn has_local_clock(dir: &Dir) -> bool {
    matches!(durability(dir), Durability::Whole | Durability::Never)
}

/// Whether two different names can be one name in `dir`. In doubt, yes.
pub(crate) fn folds_case(dir: &Dir) -> bool {
    match magic(dir.fd()) {
        Ok(XFS | BTRFS) => false,
        Ok(EXT | F2FS | TMPFS | RAMFS) => {
            // FS_IOC_GETFLAGS needs a real descriptor, not a bare handle.
            let Ok(fd) = dir.readable() else { return true };
            match call(Op::Flags, b"", || rustix::fs::ioctl_getflags(&fd)) {
                Ok(flags) => flags.bits() & CASEFOLD != 0,
                // ramfs, and tmpfs before 6.13, have no flags and no folding.
                Err(_) => false,
            }
        }
        _ => true,
    }
}
