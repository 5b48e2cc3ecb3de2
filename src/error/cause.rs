//! What the kernel said: in words, and what follows from it.

use std::fmt;

use rustix::io::Errno;

use super::MoveError;

/// An error number in the C library's words, as every other tool prints it.
#[derive(Clone, Copy, Debug)]
pub struct Cause(pub Errno);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(in_words(&std::io::Error::from(self.0).to_string()))
    }
}

/// What std says of an error, without the number that it appends: "No space left on device (os error 28)".
pub(crate) fn in_words(text: &str) -> &str {
    text.split_once(" (os error").map_or(text, |(words, _)| words)
}

/// Whether mv blames the target for it: `cannot overwrite 'b': ...`.
pub(crate) fn is_of_target(error: Errno) -> bool {
    matches!(
        error,
        Errno::DQUOT | Errno::EXIST | Errno::ISDIR | Errno::MLINK | Errno::NOSPC | Errno::TXTBSY | Errno::NOTEMPTY
    )
}

impl MoveError {
    /// What the kernel said, where the kernel said something.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Stat { source, .. }
            | Self::Move { source, .. }
            | Self::Overwrite { source, .. }
            | Self::Backup { source, .. }
            | Self::Exchange { source, .. }
            | Self::InterDevice { source, .. }
            | Self::Open { source, .. }
            | Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Create { source, .. }
            | Self::Preserve { source, .. }
            | Self::Remove { source, .. }
            | Self::NotDurable { source, .. }
            | Self::Target { source, .. }
            | Self::TargetDirectory { source, .. }
            | Self::ReadDirectory { source, .. }
            | Self::Leftovers { source, .. }
            | Self::ReadList { source, .. } => Some(*source),
            _ => None,
        }
    }

    /// Whether going on is pointless, because every further file would fail in the same way:
    /// the target is full, over quota or read-only, or its device has failed.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        let target_side = matches!(
            self,
            Self::Write { .. }
                | Self::Create { .. }
                | Self::Overwrite { .. }
                | Self::Backup { .. }
                | Self::Preserve { .. }
                | Self::Move { .. }
        );
        matches!(self, Self::NotDurable { .. })
            || (target_side && matches!(self.errno(), Some(Errno::NOSPC | Errno::DQUOT | Errno::ROFS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_words_without_a_number() {
        assert_eq!(Cause(Errno::NOSPC).to_string(), "No space left on device");
        assert_eq!(Cause(Errno::XDEV).to_string(), "Invalid cross-device link");
    }

    #[test]
    fn h04_a_full_target_stops_the_run_but_an_unreadable_source_does_not() {
        let full = MoveError::Write { path: "t".into(), source: Errno::NOSPC };
        assert!(full.is_fatal());
        let unreadable = MoveError::Open { path: "s".into(), source: Errno::ACCESS };
        assert!(!unreadable.is_fatal());
    }
}
