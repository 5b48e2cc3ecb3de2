//! What is known of file systems by their type.

use std::os::fd::{AsFd, OwnedFd};

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
const NFS: u64 = 0x6969;
const CIFS: u64 = 0xFF53_4D42;
const SMB2: u64 = 0xFE53_4D42;
const FUSE: u64 = 0x6573_5546;
const NINE_P: u64 = 0x0102_1997;
const CEPH: u64 = 0x00C3_6400;
const LUSTRE: u64 = 0x0BD0_0BD0;
const AFS: u64 = 0x5346_414F;
const KAFS: u64 = 0x6B41_4653;
const FAT: u64 = 0x4D44;
const EXFAT: u64 = 0x2011_BAB0;
const NTFS: u64 = 0x5346_544E;
const NTFS3: u64 = 0x7366_746E;
const VBOX: u64 = 0x786F_4256;
const VMWARE: u64 = 0xBACB_ACBC;

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

/// Whether a server does the work, which may be asked twice because its first answer was lost, and which may send content
/// only when a file is closed.
pub(crate) fn is_remote(dir: &Dir) -> bool {
    matches!(magic(dir.fd()), Ok(NFS | CIFS | SMB2 | FUSE | NINE_P | CEPH | LUSTRE | AFS | KAFS | VBOX | VMWARE))
}

/// Whether taking room for a file beforehand makes it faster to write. ext4 then need not reckon with every page where it may
/// come to lie. xfs is no faster by that, and btrfs would not compress what was taken beforehand.
pub(crate) fn gains_by_reserving(file: &OwnedFd) -> bool {
    matches!(magic(file), Ok(EXT))
}

/// Whether each file in `dir` has an owner and a mode of its own. Some file systems show what they were mounted with.
pub(crate) fn keeps_owners(dir: &Dir) -> bool {
    !matches!(magic(dir.fd()), Ok(FAT | EXFAT | NTFS | NTFS3 | CIFS | SMB2 | FUSE | NINE_P | VBOX | VMWARE))
}

/// Whether renaming and linking in `dir` set a file's ctime, by this machine's clock.
pub(crate) fn has_local_clock(dir: &Dir) -> bool {
    matches!(durability(dir), Durability::Whole | Durability::Never)
}

/// Whether two different files, in these directories, may be one that is seen in two ways. In doubt, yes: a layer of an
/// overlay and the whole, or a server's directory and what it is made from, show one file under different identities.
pub(crate) fn may_be_one_file(a: &Dir, b: &Dir) -> bool {
    if a.stat().mount == b.stat().mount {
        // What a FUSE server shows as two names may be anything.
        return matches!(magic(a.fd()), Ok(FUSE) | Err(_));
    }
    !has_local_clock(a) || !has_local_clock(b)
}

/// What two names have in common if a file system that folds names might take them for one.
pub(crate) fn folded(name: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(name).to_lowercase().into_bytes()
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
