//! Runs the command inside a test's process, as often as the test likes: signals, standard streams and the exit code
//! of the process stay out of it. In no release build.

use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::report::Reporter;

use super::settings::{self, Surroundings};
use super::signals::Signals;
use super::{Ending, run};

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// Whether the exit status would have been 0.
    pub is_done: bool,
    /// What would have been on standard error.
    pub messages: String,
}

#[derive(Clone, Default)]
struct Messages(Arc<Mutex<Vec<u8>>>);

impl io::Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs the command. `args` as for [`super::main`].
///
/// # Errors
/// A command line that cannot be followed.
pub fn rehearse(args: impl IntoIterator<Item = OsString>) -> Result<Rehearsed, String> {
    // Nothing of the test's own environment has a say, and nobody is there to answer.
    let settings = settings::parse(args, &Surroundings::default()).map_err(|early| format!("{early:?}"))?;
    let messages = Messages::default();
    let sink = messages.clone();
    let ending = run(settings, &Signals::ignore(), |options, _| Reporter::unseen(options, sink));
    let messages = messages.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Rehearsed { is_done: ending == Ending::Done, messages: String::from_utf8_lossy(&messages).into_owned() })
}
