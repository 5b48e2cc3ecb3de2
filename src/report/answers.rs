//! Answers to questions, a line each, from standard input.

use std::fs::File;
use std::io::BufReader;
use std::os::fd::AsFd;

use crate::input::{PATIENCE, Piece, read_piece, would_wait};

/// Standard input, as far as answers are read from it.
pub(super) struct Answers(Option<BufReader<File>>);

impl Answers {
    /// Standard input, opened when the first answer is needed: most runs never read any.
    pub(super) fn standard_input() -> Self {
        let file = std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
        Self(file.ok().map(BufReader::new))
    }

    /// Nobody answers.
    #[cfg(debug_assertions)]
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Reads a line, unless the run is to end meanwhile. Yes is a line that begins so; whatever else is read, nothing at all
    /// included, is no.
    pub(super) fn is_yes(&mut self, is_over: impl Fn() -> bool) -> bool {
        let Some(input) = &mut self.0 else { return false };
        let mut line = Vec::new();
        loop {
            while would_wait(input, PATIENCE) {
                if is_over() {
                    return false;
                }
            }
            match read_piece(input, b'\n', &mut line, 1) {
                Ok(Piece::Part) => {}
                Ok(Piece::Rest | Piece::End) => return matches!(line.first(), Some(b'y' | b'Y')),
                Err(_) => return false,
            }
        }
    }
}
