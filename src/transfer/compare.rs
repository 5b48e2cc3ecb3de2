//! Whether one file is a whole copy of another: by reading both.

use rustix::io::Errno;

use crate::sys::{Dir, FileKind, Stat, open_regular, read_at, read_link};

/// Whether the target is a whole copy of the source: compared, not believed.
pub(super) fn is_copy(from: &Dir, name: &[u8], was: &Stat, to: &Dir, new_name: &[u8], is: &Stat) -> bool {
    if was.kind != is.kind || was.size != is.size || was.mtime != is.mtime {
        return false;
    }
    match was.kind {
        FileKind::Regular => has_same_content(from, name, to, new_name).unwrap_or(false),
        FileKind::Symlink => read_link(from, name).is_ok_and(|content| read_link(to, new_name) == Ok(content)),
        _ => was.device == is.device,
    }
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
