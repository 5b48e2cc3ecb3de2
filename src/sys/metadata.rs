//! Owner, extended attributes, ACLs, mode and times of what is open.
//!
//! P7's order is the caller's business: owner, inherited ACL away, attributes, mode, times. A change of
//! owner takes set-id bits and capabilities away, so it must come first; times must come last.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::fault::{Op, call};
use super::{Dir, Stat, Time};

const ACCESS_ACL: &CStr = c"system.posix_acl_access";
const DEFAULT_ACL: &CStr = c"system.posix_acl_default";

/// What became of the extended attributes of one file.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    /// Those that the target cannot hold, and why. A warning, not a failure, as with mv.
    pub(crate) refused: Vec<(CString, Errno)>,
    /// The permissions of the owning group, where an ACL was refused: its mask must not become the group's.
    pub(crate) group_without_acl: Option<u32>,
    /// The mode had to be changed, or was changed by an ACL, on the way.
    pub(crate) touched_mode: bool,
}

/// Gives what is open to another owner (or leaves it with its own) and group.
pub(crate) fn give_owner(fd: impl AsFd, uid: Option<u32>, gid: u32) -> Result<(), Errno> {
    call(Op::GiveOwner, b"", || rustix::fs::fchown(fd, uid.map(Uid::from_raw), Some(Gid::from_raw(gid))))
}

/// Sets the mode, set-id and sticky bits included.
pub(crate) fn give_mode(fd: impl AsFd, mode: u32) -> Result<(), Errno> {
    call(Op::GiveMode, b"", || rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)))
}

/// Sets the mode of a directory that is held open by a bare handle.
pub(crate) fn give_mode_held(dir: &Dir, mode: u32) -> Result<(), Errno> {
    let path = format!("/proc/self/fd/{}", dir.fd().as_raw_fd());
    call(Op::GiveMode, b"/proc", || rustix::fs::chmod(path, Mode::from_raw_mode(mode)))
}

/// Sets access and modification time, to the nanosecond.
pub(crate) fn give_times(fd: impl AsFd, like: &Stat) -> Result<(), Errno> {
    call(Op::GiveTimes, b"", || rustix::fs::futimens(fd, &timestamps(like)))
}

fn timestamps(like: &Stat) -> Timestamps {
    let timespec = |t: Time| Timespec { tv_sec: t.sec, tv_nsec: t.nsec.into() };
    Timestamps { last_access: timespec(like.atime), last_modification: timespec(like.mtime) }
}

/// Takes away the ACLs that a directory has inherited from its parent, so that nothing made in it inherits any.
/// While a file has an inherited ACL, its mode's group bits are that ACL's mask, and setting them lets a named
/// user in.
pub(crate) fn remove_inherited_acl(fd: impl AsFd) -> Result<(), Errno> {
    for name in [ACCESS_ACL, DEFAULT_ACL] {
        match call(Op::RemoveAttribute, name.to_bytes(), || rustix::fs::fremovexattr(&fd, name)) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            // A default ACL on what is not a directory.
            Err(Errno::ACCESS) if name == DEFAULT_ACL => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Copies all extended attributes, ACLs among them. One that is refused does not keep the others back.
///
/// # Errors
/// Only where the source's cannot be read.
pub(crate) fn copy_attributes(from: &OwnedFd, to: &OwnedFd) -> Result<Attributes, Errno> {
    let list = match call(Op::ListAttributes, b"", || grow(|buffer| rustix::fs::flistxattr(from, buffer))) {
        Ok(list) => list,
        Err(Errno::OPNOTSUPP) => return Ok(Attributes::default()),
        Err(error) => return Err(error),
    };
    copy_each(
        &list,
        |name| grow(|buffer| rustix::fs::fgetxattr(from, name, buffer)),
        |name, value| rustix::fs::fsetxattr(to, name, value, XattrFlags::empty()),
    )
}

/// Copies the extended attributes of a symlink itself, or of a special file, neither of which can be opened.
pub(crate) fn copy_link_attributes(from: (&Dir, &[u8]), to: (&Dir, &[u8])) -> Result<Attributes, Errno> {
    // By way of the held directory: only the last name is looked up, and the l-calls don't follow it.
    let path = |(dir, name): (&Dir, &[u8])| {
        let mut path = format!("/proc/self/fd/{}/", dir.fd().as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    };
    let (from, to) = (path(from), path(to));
    let list = match call(Op::ListAttributes, b"", || grow(|buffer| rustix::fs::llistxattr(&*from, buffer))) {
        Ok(list) => list,
        // ENOENT: /proc is not mounted.
        Err(Errno::OPNOTSUPP | Errno::NOENT) => return Ok(Attributes::default()),
        Err(error) => return Err(error),
    };
    copy_each(
        &list,
        |name| grow(|buffer| rustix::fs::lgetxattr(&*from, name, buffer)),
        |name, value| rustix::fs::lsetxattr(&*to, name, value, XattrFlags::empty()),
    )
}

fn copy_each(
    list: &[u8],
    get: impl Fn(&CStr) -> Result<Vec<u8>, Errno>,
    set: impl Fn(&CStr, &[u8]) -> Result<(), Errno>,
) -> Result<Attributes, Errno> {
    let mut attributes = Attributes::default();
    for name in list.split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        // xfs shows root the ACLs a second time, in its own format.
        if name.to_bytes().starts_with(b"trusted.SGI_ACL_") {
            continue;
        }
        let value = match call(Op::GetAttribute, name.to_bytes(), || get(name)) {
            Ok(value) => value,
            // Taken away since the list was made, or not for us to read (security.*, trusted.*).
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => continue,
            Err(error) => return Err(error),
        };
        attributes.touched_mode |= name == ACCESS_ACL;
        if let Err(error) = call(Op::SetAttribute, name.to_bytes(), || set(name, &value)) {
            // Not something that it cannot hold, but something that is wrong.
            if matches!(error, Errno::IO | Errno::DQUOT | Errno::ROFS | Errno::NOMEM) {
                return Err(error);
            }
            if name == ACCESS_ACL {
                attributes.group_without_acl = owning_group(&value);
            }
            attributes.refused.push((name.to_owned(), error));
        }
    }
    Ok(attributes)
}

/// The permission bits (0 to 7) that the ACL in `value` really gives to the owning group.
///
/// The layout is that of `linux/posix_acl_xattr.h`: a 4-byte version, then entries of tag (2 bytes),
/// permissions (2) and id (4), all little-endian.
fn owning_group(value: &[u8]) -> Option<u32> {
    const GROUP_OBJ: u16 = 0x04;
    const MASK: u16 = 0x10;
    let mut group = None;
    let mut mask = 7;
    for entry in value.get(4..)?.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let bits = u16::from_le_bytes([entry[2], entry[3]]);
        match tag {
            GROUP_OBJ => group = Some(bits),
            MASK => mask = bits,
            _ => {}
        }
    }
    group.map(|bits| u32::from(bits & mask & 7))
}

/// Calls `read` with a buffer that grows until the answer fits.
fn grow(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0_u8; 512];
    match read(&mut small) {
        Ok(len) => return Ok(small[..len].to_vec()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    // Neither a list nor a value can be longer than XATTR_SIZE_MAX, 64 KiB (limits.h).
    let mut large = vec![0; 64 * 1024];
    let len = read(&mut large)?;
    large.truncate(len);
    Ok(large)
}

/// Gives owner and times to a symlink or a special file by its name. `owner` false: times only.
pub(crate) fn link_owner_and_times(dir: &Dir, name: &[u8], like: &Stat, owner: bool) -> Result<(), Errno> {
    if owner {
        let (uid, gid) = (Uid::from_raw(like.uid), Gid::from_raw(like.gid));
        let give = || rustix::fs::chownat(dir.fd(), name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        match call(Op::GiveOwner, name, give) {
            // As mv: silently kept by its new owner. EACCES is a server's word for EPERM, since the directory is ours.
            Ok(()) | Err(Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error),
        }
    }
    let times = timestamps(like);
    call(Op::GiveTimes, name, || rustix::fs::utimensat(dir.fd(), name, &times, AtFlags::SYMLINK_NOFOLLOW))
}

/// Sets the mode of a special file by its name. Only for files in a directory that nobody else can reach:
/// `fchmodat` follows symlinks.
pub(crate) fn special_mode(dir: &Dir, name: &[u8], mode: u32) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(mode);
    call(Op::GiveMode, name, || rustix::fs::chmodat(dir.fd(), name, mode, AtFlags::empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_a_refused_acl_leaves_the_group_what_it_really_had() {
        // user::rwx, user:1000:rwx, group::r--, mask::rwx, other::---
        let mut acl = 2_u32.to_le_bytes().to_vec();
        for (tag, bits, id) in
            [(1_u16, 7_u16, u32::MAX), (2, 7, 1000), (4, 4, u32::MAX), (0x10, 7, u32::MAX), (0x20, 0, u32::MAX)]
        {
            acl.extend(tag.to_le_bytes());
            acl.extend(bits.to_le_bytes());
            acl.extend(id.to_le_bytes());
        }
        assert_eq!(owning_group(&acl), Some(4));
        assert_eq!(owning_group(&[]), None);
    }
}
