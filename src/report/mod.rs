//! What the user sees: messages, the lines of `-v`, the live line and the closing summary.
//!
//! The only room that writes to standard output and standard error. Workers never come here: they add
//! to [`Counters`], which a thread of this room samples; the one coordinating thread owns the
//! [`Reporter`]. No stream that fails, is closed or stands still in the reader's hands makes this panic.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::error::Cause;

mod answers;
#[cfg(feature = "bench-parts")]
pub(crate) mod bench_parts;
mod counters;
mod estimate;
mod lines;
mod live;
mod sink;
mod text;

#[cfg(test)]
mod tests;

pub use counters::{Counters, Phase, Snapshot, Staging};
pub(crate) use lines::how_copied;
pub use lines::{
    copied, created_directory, exchanged, overwrite_question, removed, removed_directory, renamed, replace_question,
    skipped,
};

use answers::Answers;
use live::Live;
use sink::{Messages, Output};

/// How far samples are apart.
const TICK: Duration = Duration::from_millis(100);

/// How much is said beside errors, which are always told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing (`-q`).
    Quiet,
    /// Warnings, and what it came to if something failed.
    #[default]
    Normal,
    /// Also what it came to when all went well (`-v`). The lines for each file come from the caller.
    Verbose,
}

/// When progress is shown (`--progress`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgressMode {
    /// As a live line if standard error is a terminal that can redraw a line, and not with `-q`.
    #[default]
    Auto,
    /// In any case: where a line cannot be redrawn, as a plain line each second.
    Always,
    /// Not at all.
    Never,
}

/// How a [`Reporter`] speaks.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the program calls itself: `pmove` or `mv`.
    pub program: String,
    /// How much is said.
    pub verbosity: Verbosity,
    /// When progress is shown.
    pub progress: ProgressMode,
}

/// What a run came to. Numbers of files, but for `bytes` and `elapsed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// At their targets and no longer at their sources: renamed and copied together.
    pub moved: u64,
    /// Moved by renaming.
    pub renamed: u64,
    /// Moved by copying.
    pub copied: u64,
    /// Left at their sources, as the policy wants it.
    pub skipped: u64,
    /// Those among the skipped about which the user was asked, and said no.
    pub declined: u64,
    /// Left at their sources, or not wholly moved, because something went wrong.
    pub failed: u64,
    /// The bytes that were copied.
    pub bytes: u64,
    /// Left at their sources because the run was stopped before.
    pub not_reached: u64,
    /// How long the run took.
    pub elapsed: Duration,
}

impl Summary {
    fn sources(&self) -> u64 {
        self.moved + self.skipped + self.failed + self.not_reached
    }

    fn all_done(&self) -> bool {
        self.failed == 0 && self.not_reached == 0
    }
}

/// Whether standard output took everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "lost output is a failure of the run"]
pub enum Finished {
    /// Every line was written, as far as the kernel tells.
    Whole,
    /// Lines were lost, which has been reported on standard error.
    OutputLost,
}

/// Speaks for one run.
pub struct Reporter {
    program: String,
    verbosity: Verbosity,
    screen: Arc<Mutex<Screen>>,
    ticker: Option<Ticker>,
    answers: Option<Answers>,
}

impl Reporter {
    /// Begins to speak, and to sample the counters if progress is wanted.
    #[must_use]
    pub fn start(options: Options, counters: Arc<Counters>) -> Self {
        let messages = Messages::new(io::stderr());
        let terminal = console::Term::stderr();
        let can_redraw = terminal.is_term() && !console::is_dumb();
        let live = match options.progress {
            ProgressMode::Always if !can_redraw => Some(Live::plain(messages.clone(), &options.program)),
            ProgressMode::Auto if !can_redraw || options.verbosity == Verbosity::Quiet => None,
            ProgressMode::Never => None,
            ProgressMode::Auto | ProgressMode::Always => {
                Some(Live::drawn(messages.clone(), Box::new(move || terminal.size().1)))
            }
        };
        let output = Output::new(io::stdout(), io::stdout().is_terminal());
        let mut reporter = Self::with_screen(options, Screen { output, messages, live, paused: None });
        reporter.start_ticker(counters);
        reporter
    }

    /// Speaks for a run in the process of a test, which gets to see the messages.
    #[cfg(debug_assertions)]
    pub(crate) fn unseen(options: Options, messages: impl io::Write + Send + 'static) -> Self {
        let output = Output::new(io::sink(), false);
        let screen = Screen { output, messages: Messages::new(messages), live: None, paused: None };
        Self { answers: Some(Answers::none()), ..Self::with_screen(options, screen) }
    }

    fn with_screen(options: Options, screen: Screen) -> Self {
        let Options { program, verbosity, progress: _ } = options;
        Self { program, verbosity, screen: Arc::new(Mutex::new(screen)), ticker: None, answers: None }
    }

    fn start_ticker(&mut self, counters: Arc<Counters>) {
        if lock(&self.screen).live.is_some() {
            self.ticker = Ticker::start(Arc::clone(&self.screen), counters);
            if self.ticker.is_none() {
                // No thread to be had: the move itself can do without the line.
                lock(&self.screen).live = None;
            }
        }
    }

    /// Tells an error: `pmove: MESSAGE` on standard error.
    pub fn error(&mut self, message: &dyn Display) {
        self.tell(format_args!("{message}"));
    }

    /// Tells a warning: `pmove: warning: MESSAGE` on standard error, unless quiet.
    pub fn warning(&mut self, message: &dyn Display) {
        if self.verbosity != Verbosity::Quiet {
            self.tell(format_args!("warning: {message}"));
        }
    }

    /// Asks a question on standard error, `pmove: QUESTION`, and reads the answer, a line of standard input. Yes or no; no
    /// if the run is over before there is one.
    pub fn ask(&mut self, question: &dyn Display, is_over: impl Fn() -> bool) -> bool {
        let question = format!("{}: {question}", self.program);
        {
            let mut screen = lock(&self.screen);
            screen.flush();
            // The line would be drawn over the question.
            screen.pause();
            screen.messages.write(question.as_bytes());
        }
        let is_yes = self.answers.get_or_insert_with(Answers::standard_input).is_yes(is_over);
        lock(&self.screen).go_on();
        is_yes
    }

    /// One line on standard output (`-v`, `--dry-run`). It is buffered, but never stays behind a message
    /// on standard error, and on a terminal it shows within a tenth of a second.
    pub fn line(&mut self, line: &dyn Display) {
        let mut screen = lock(&self.screen);
        let full = screen.output.push(line);
        // Without a ticker nobody else would flush for a reader who is watching.
        if full || (screen.output.is_terminal && self.ticker.is_none()) {
            screen.flush();
        }
    }

    /// Clears the live line, writes out what is buffered, and tells what the run came to: if something
    /// failed, or with `-v`, and if there was more than one source. `mv` tells nothing of the kind, so as
    /// `mv` this does not either; and it is always on standard error, so that a script which reads the
    /// lines of `-v` finds only those.
    ///
    /// To be called before dying by a signal, too.
    pub fn finish(mut self, summary: &Summary) -> Finished {
        if let Some(ticker) = self.ticker.take() {
            ticker.stop();
        }
        let lost = {
            let mut screen = lock(&self.screen);
            if let Some(live) = screen.live.take() {
                live.clear();
            }
            screen.flush();
            screen.output.failure().map(write_error)
        };
        if let Some(message) = &lost {
            self.error(message);
        }
        if summary.sources() > 1 && self.program != "mv" {
            match self.verbosity {
                Verbosity::Verbose => self.error(&text::account(summary)),
                Verbosity::Normal if !summary.all_done() => self.error(&text::tally(summary)),
                Verbosity::Normal | Verbosity::Quiet => {}
            }
        }
        if lost.is_some() { Finished::OutputLost } else { Finished::Whole }
    }

    fn tell(&mut self, message: fmt::Arguments<'_>) {
        let line = format!("{}: {message}\n", self.program);
        lock(&self.screen).tell(&line);
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("program", &self.program)
            .field("verbosity", &self.verbosity)
            .finish_non_exhaustive()
    }
}

/// `write error: CAUSE`, as mv has it.
fn write_error(failure: &io::Error) -> String {
    match Errno::from_io_error(failure) {
        Some(errno) => format!("write error: {}", Cause(errno)),
        None => format!("write error: {failure}"),
    }
}

/// Both streams and the live line, which share a terminal and so must take turns.
struct Screen {
    output: Output,
    messages: Messages,
    live: Option<Live>,
    /// The live line, while a question stands where it would be.
    paused: Option<Live>,
}

impl Screen {
    fn pause(&mut self) {
        if let Some(live) = self.live.take() {
            live.suspend(|| {});
            self.paused = Some(live);
        }
    }

    fn go_on(&mut self) {
        if let Some(live) = self.paused.take() {
            self.live = Some(live);
        }
    }

    /// Writes a message, after the lines that were said before it.
    fn tell(&mut self, line: &str) {
        self.flush();
        self.around_live(|screen| screen.messages.write(line.as_bytes()));
    }

    fn flush(&mut self) {
        if self.output.is_terminal && self.output.is_pending() {
            self.around_live(|screen| screen.output.flush());
        } else {
            self.output.flush();
        }
    }

    fn tick(&mut self, seen: &Snapshot, elapsed: Duration) {
        if self.output.is_terminal {
            self.flush();
        }
        if let Some(live) = &mut self.live {
            live.tick(seen, elapsed);
        }
    }

    /// Lets something be written where the live line is.
    fn around_live(&mut self, write: impl FnOnce(&mut Self)) {
        match self.live.take() {
            Some(live) => {
                live.suspend(|| write(self));
                self.live = Some(live);
            }
            None => write(self),
        }
    }
}

/// What one thread does with the screen is whole before another sees it, or is only a matter of looks.
fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that samples the counters.
struct Ticker {
    thread: JoinHandle<()>,
    /// Nothing is ever sent: dropping it wakes the thread up, and ends it.
    alive: mpsc::Sender<()>,
}

impl Ticker {
    fn start(screen: Arc<Mutex<Screen>>, counters: Arc<Counters>) -> Option<Self> {
        let (alive, ended) = mpsc::channel();
        let start = Instant::now();
        let sample = move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                lock(&screen).tick(&counters.snapshot(), start.elapsed());
            }
        };
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(sample).ok()?;
        Some(Self { thread, alive })
    }

    fn stop(self) {
        drop(self.alive);
        // A panic in it has spoilt no more than the line's looks.
        self.thread.join().ok();
    }
}
