//! Which operands are patterns.
//!
//! The shell has normally expanded a pattern already; what arrives here with a `*` in it is either a file
//! that bears this name, which always wins, or a pattern that the shell was told to leave alone.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

/// An operand, once it is known whether it names a file or is a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A name, taken as it is: everything after `--`, and everything when called as `mv`.
    Literal(OsString),
    /// A pattern, to be expanded.
    Pattern(OsString),
}

/// Whether the operand could be a pattern: it holds a `*`.
///
/// `?`, `[` and `{` alone don't make one: `IMG[1].jpg` that has vanished must never move `IMG1.jpg`.
#[must_use]
fn is_pattern_shaped(operand: &OsStr) -> bool {
    operand.as_bytes().contains(&b'*')
}

/// Decides what an operand is. Only an operand that is shaped like a pattern is looked
/// up, below `base` if it is relative.
///
/// A name whose lookup fails for any other reason than that nothing is there stays literal, so that the
/// move itself names the reason.
#[must_use]
pub fn classify(operand: OsString, base: Option<&Path>) -> Operand {
    if !is_pattern_shaped(&operand) {
        return Operand::Literal(operand);
    }
    let found = match base {
        Some(base) => base.join(&operand).symlink_metadata(),
        None => Path::new(&operand).symlink_metadata(),
    };
    match found {
        Err(error) if names_nothing(&error) => Operand::Pattern(operand),
        _ => Operand::Literal(operand),
    }
}

/// Whether a lookup failed because nothing bears the name.
pub(super) fn names_nothing(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        // A pattern may be longer than any name: `{a,b,…}*`.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG)
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn kind(operand: &str, base: &Path) -> Operand {
        classify(operand.into(), Some(base))
    }

    #[test]
    fn h61_existing_literal_name_wins() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("*.csv"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling*")).unwrap();
        assert_eq!(kind("*.csv", dir.path()), Operand::Literal("*.csv".into()));
        assert_eq!(kind("dangling*", dir.path()), Operand::Literal("dangling*".into()));
        assert_eq!(kind("*.txt", dir.path()), Operand::Pattern("*.txt".into()));
        assert_eq!(kind("*.csv/*", dir.path()), Operand::Pattern("*.csv/*".into()));
    }

    #[test]
    fn h61_without_a_star_nothing_is_a_pattern() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["IMG[1].jpg", "a?", "{a,b}", "", "plain"] {
            assert_eq!(kind(name, dir.path()), Operand::Literal(name.into()));
        }
    }

    #[test]
    fn an_absolute_operand_is_not_below_the_base() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a*");
        fs::write(&file, "").unwrap();
        let operand = file.clone().into_os_string();
        assert_eq!(classify(operand, Some(Path::new("/nowhere"))), Operand::Literal(file.into()));
    }

    #[test]
    fn a_pattern_may_be_longer_than_a_name() {
        let long = format!("{}*", "x".repeat(5000));
        assert_eq!(classify(long.clone().into(), None), Operand::Pattern(long.into()));
    }
}
