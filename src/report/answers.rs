//! Answers to questions, a line each, from standard input.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

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
        while would_wait(input) {
            if is_over() {
                return false;
            }
        }
        let mut line = Vec::new();
        input.read_until(b'\n', &mut line).is_ok() && matches!(line.first(), Some(b'y' | b'Y'))
    }
}

/// Waits for input, a while. Whether there is none yet.
fn would_wait(input: &BufReader<File>) -> bool {
    let mut file = [PollFd::new(input.get_ref(), PollFlags::IN)];
    let patience = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    // What cannot be polled is read without more ado.
    input.buffer().is_empty() && matches!(poll(&mut file, Some(&patience)), Ok(0) | Err(Errno::INTR))
}
