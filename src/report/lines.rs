//! The lines of `-v`, in mv's words.

use std::path::Path;

use crate::error::Quoted;
use crate::item::How;

/// Moved by one rename.
#[must_use]
pub fn renamed(from: &Path, to: &Path, backup: Option<&Path>) -> String {
    format!("renamed {} -> {}{}", Quoted(from), Quoted(to), backed_up(backup))
}

/// Copied; its removal is told by [`removed`].
#[must_use]
pub fn copied(from: &Path, to: &Path, backup: Option<&Path>) -> String {
    format!("copied {} -> {}{}", Quoted(from), Quoted(to), backed_up(backup))
}

/// Removed from its old place.
#[must_use]
pub fn removed(from: &Path) -> String {
    format!("removed {}", Quoted(from))
}

/// A directory was made, to hold copies.
#[must_use]
pub fn created_directory(path: &Path) -> String {
    format!("created directory {}", Quoted(path))
}

/// An emptied directory was removed.
#[must_use]
pub fn removed_directory(path: &Path) -> String {
    format!("removed directory {}", Quoted(path))
}

/// Two names have changed places.
#[must_use]
pub fn exchanged(from: &Path, to: &Path) -> String {
    format!("exchanged {} <-> {}", Quoted(from), Quoted(to))
}

/// How a file was copied (`--debug`).
#[must_use]
pub(crate) fn how_copied(how: How) -> String {
    let tried = |result: Option<bool>| match result {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unsupported",
    };
    let holes = if how.holes { "SEEK_HOLE" } else { "no" };
    format!("copy offload: {}, reflink: {}, sparse detection: {holes}", tried(how.offload), tried(how.reflink))
}

/// Left where it is (`--debug`).
#[must_use]
pub fn skipped(to: &Path) -> String {
    format!("skipped {}", Quoted(to))
}

fn backed_up(backup: Option<&Path>) -> String {
    backup.map(|path| format!(" (backup: {})", Quoted(path))).unwrap_or_default()
}

/// Asks whether to replace a target.
#[must_use]
pub fn overwrite_question(to: &Path) -> String {
    format!("overwrite {}? ", Quoted(to))
}

/// Asks whether to replace a target that is not writable. `mode`: its permission, set-id and sticky bits.
#[must_use]
pub fn replace_question(to: &Path, mode: u32) -> String {
    format!("replace {}, overriding mode {mode:04o} ({})? ", Quoted(to), permissions(mode))
}

/// Permissions as `ls -l` shows them: `rwxr-sr-t`.
fn permissions(mode: u32) -> String {
    let class = |shift: u32, special: u32, letter: char| {
        let bits = mode >> shift;
        let execute = match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        };
        [if bits & 4 != 0 { 'r' } else { '-' }, if bits & 2 != 0 { 'w' } else { '-' }, execute]
    };
    [class(6, 0o4000, 's'), class(3, 0o2000, 's'), class(0, 0o1000, 't')].concat().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_look_as_ls_shows_them() {
        for (mode, shown) in [
            (0, "---------"),
            (0o644, "rw-r--r--"),
            (0o4755, "rwsr-xr-x"),
            (0o2640, "rw-r-S---"),
            (0o1777, "rwxrwxrwt"),
            (0o1776, "rwxrwxrwT"),
        ] {
            assert_eq!(permissions(mode), shown);
        }
    }
}
