//! Where the bytes go: standard error, one whole line in one write, and standard output, buffered.
//!
//! A stream that fails never stops a move. What standard error loses cannot be told to anybody; what
//! standard output loses is remembered, and told at the end.

use std::fmt::Display;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// How much of standard output is gathered before it is written.
const BUFFER: usize = 32 * 1024;

/// Standard error, shared by messages and the live line.
#[derive(Clone)]
pub(super) struct Messages(Arc<Mutex<dyn Write + Send>>);

impl Messages {
    pub(super) fn new(stream: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// Writes all of it in one piece, so that lines of several processes do not mix.
    pub(super) fn write(&self, bytes: &[u8]) {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed or full standard error cannot be complained about anywhere, and the move is worth more
        // than its messages: the exit status still tells.
        stream.write_all(bytes).and_then(|()| stream.flush()).ok();
    }
}

/// Standard output.
pub(super) struct Output {
    stream: Box<dyn Write + Send>,
    pub(super) is_terminal: bool,
    buffer: Vec<u8>,
    failure: Option<io::Error>,
}

impl Output {
    pub(super) fn new(stream: impl Write + Send + 'static, is_terminal: bool) -> Self {
        Self { stream: Box::new(stream), is_terminal, buffer: Vec::new(), failure: None }
    }

    /// Takes a line, and returns whether it is time to flush. After a failure lines are dropped: whoever
    /// read them is gone, or has no room for them.
    pub(super) fn push(&mut self, line: &dyn Display) -> bool {
        if self.failure.is_none() {
            // Writing to a Vec cannot fail.
            writeln!(self.buffer, "{line}").ok();
        }
        self.buffer.len() >= BUFFER
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.buffer.is_empty()
    }

    pub(super) fn flush(&mut self) {
        let mut bytes = mem::take(&mut self.buffer);
        if !bytes.is_empty()
            && let Err(failure) = self.stream.write_all(&bytes).and_then(|()| self.stream.flush())
        {
            self.failure = Some(failure);
        }
        // The buffer is kept for its capacity.
        bytes.clear();
        self.buffer = bytes;
    }

    /// Why lines were lost, if any were.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }
}
