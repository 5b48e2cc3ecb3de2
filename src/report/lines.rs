//! The lines of `-v`, in mv's words.

use std::path::Path;

use crate::error::Quoted;

/// Moved by one rename.
#[must_use]
pub fn renamed(from: &Path, to: &Path) -> String {
    format!("renamed {} -> {}", Quoted(from), Quoted(to))
}

/// Copied, and removed from its old place.
#[must_use]
pub fn copied(from: &Path, to: &Path) -> [String; 2] {
    [format!("copied {} -> {}", Quoted(from), Quoted(to)), format!("removed {}", Quoted(from))]
}
