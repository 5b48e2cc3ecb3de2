//! What the kernel said, in words.

use std::fmt;

use rustix::io::Errno;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_words_without_a_number() {
        assert_eq!(Cause(Errno::NOSPC).to_string(), "No space left on device");
        assert_eq!(Cause(Errno::XDEV).to_string(), "Invalid cross-device link");
    }
}
