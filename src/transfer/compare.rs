//! Whether one file is a whole copy of another: by reading both.

use rustix::io::Errno;

use crate::sys::{Dir, FileKind, Stat, Time, open_regular, read_at, read_link};

/// Whether the target is a whole copy of the source: compared, not believed.
///
/// # Errors
/// They cannot be compared, which says neither.
pub(super) fn is_copy(
    from: &Dir,
    name: &[u8],
    was: &Stat,
    to: &Dir,
    new_name: &[u8],
    is: &Stat,
) -> Result<bool, Errno> {
    if was.kind != is.kind || was.size != is.size || !is_same_time(was.mtime, is.mtime) {
        return Ok(false);
    }
    match was.kind {
        FileKind::Regular | FileKind::Symlink => is_identical(from, name, was, to, new_name, is),
        _ => Ok(was.device == is.device),
    }
}

/// Whether two files have the same content, whatever their times, owners and modes are. Only regular files and
/// symlinks have any.
///
/// # Errors
/// They cannot be compared, which says neither.
pub(super) fn is_identical(
    from: &Dir,
    name: &[u8],
    was: &Stat,
    to: &Dir,
    new_name: &[u8],
    is: &Stat,
) -> Result<bool, Errno> {
    match (was.kind, is.kind) {
        (FileKind::Regular, FileKind::Regular) if was.size == is.size => has_same_content(from, name, to, new_name),
        (FileKind::Symlink, FileKind::Symlink) => Ok(read_link(from, name)? == read_link(to, new_name)?),
        _ => Ok(false),
    }
}

/// Whether `kept` is `time` as a file system keeps it that is not exact to the nanosecond: ext4 with small inodes keeps
/// seconds, FAT every other one, NTFS steps of 100 ns.
fn is_same_time(time: Time, kept: Time) -> bool {
    let nanoseconds = |time: Time| i128::from(time.sec) * 1_000_000_000 + i128::from(time.nsec);
    let (time, kept) = (nanoseconds(time), nanoseconds(kept));
    [1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000]
        .iter()
        .any(|step| time - time.rem_euclid(*step) == kept)
}

fn has_same_content(from: &Dir, name: &[u8], to: &Dir, new_name: &[u8]) -> Result<bool, Errno> {
    let (left, right) = (open_regular(from, name)?, open_regular(to, new_name)?);
    let (mut a, mut b) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    let mut offset = 0;
    loop {
        let count = read_at(&left, &mut a, offset)?;
        if count == 0 {
            return Ok(read_at(&right, &mut b[..1], offset)? == 0);
        }
        let mut filled = 0;
        while filled < count {
            match read_at(&right, &mut b[filled..count], offset + filled as u64)? {
                0 => return Ok(false),
                more => filled += more,
            }
        }
        if a[..count] != b[..count] {
            return Ok(false);
        }
        offset += count as u64;
    }
}
