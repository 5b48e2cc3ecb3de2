//! The live line: one line on the terminal, redrawn in place, or now and then a plain line in a log.
//!
//! Drawing, clearing and cutting to the terminal's width are indicatif's. What it writes goes through
//! [`Canvas`], frame by frame, so that a redraw is one write to the same stream as every message.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::counters::Snapshot;
use super::estimate::Estimator;
use super::sink::Messages;
use super::text;

/// A move that is over by then shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);
/// How far plain lines are apart.
const PLAIN_INTERVAL: Duration = Duration::from_secs(1);
/// Redraws a second.
const HERTZ: u8 = 10;

/// The terminal's width in columns, asked for before each redraw.
pub(super) type Width = Box<dyn Fn() -> u16 + Send>;

/// The live line.
pub(super) struct Live {
    estimator: Estimator,
    form: Form,
}

enum Form {
    /// Redrawn in place.
    Drawn(Drawn),
    /// For what is no terminal, or one that cannot move its cursor: lines, one below the other.
    Plain { prefix: String, messages: Messages, next: Duration },
}

impl Live {
    /// A line that is redrawn in place on a terminal.
    pub(super) fn drawn(messages: Messages, width: Width) -> Self {
        Self::new(Form::Drawn(Drawn::new(messages, width)))
    }

    /// Plain lines that begin with `program`.
    pub(super) fn plain(messages: Messages, program: &str) -> Self {
        Self::new(Form::Plain { prefix: format!("{program}: "), messages, next: PLAIN_INTERVAL })
    }

    fn new(form: Form) -> Self {
        Self { estimator: Estimator::new(), form }
    }

    /// Takes a sample, and shows it if it is time to show something.
    pub(super) fn tick(&mut self, seen: &Snapshot, elapsed: Duration) {
        let pace = self.estimator.sample(seen, elapsed);
        match &mut self.form {
            Form::Drawn(drawn) if elapsed >= PATIENCE => {
                let width = drawn.measure();
                drawn.show(text::live_line(seen, &pace, Some(width)));
            }
            Form::Plain { prefix, messages, next } if elapsed >= *next => {
                *next = elapsed + PLAIN_INTERVAL;
                messages.write(format!("{prefix}{}\n", text::live_line(seen, &pace, None)).as_bytes());
            }
            Form::Drawn(_) | Form::Plain { .. } => {}
        }
    }

    /// Clears the line, lets something else be written, and draws the line again.
    pub(super) fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.form {
            Form::Drawn(drawn) if drawn.is_shown => {
                drawn.measure();
                drawn.bar.suspend(write)
            }
            Form::Drawn(_) | Form::Plain { .. } => write(),
        }
    }

    /// Clears the line for good.
    pub(super) fn clear(self) {
        if let Form::Drawn(drawn) = self.form {
            drawn.bar.finish_and_clear();
        }
    }
}

struct Drawn {
    bar: ProgressBar,
    /// Whether there is anything to clear: indicatif would draw an empty line otherwise.
    is_shown: bool,
    width: Width,
    /// What the canvas believes. Fixed from one redraw to the next, because indicatif asks several times
    /// while it draws, and a terminal that becomes narrower in between breaks its arithmetic.
    columns: Arc<AtomicU16>,
}

impl Drawn {
    fn new(messages: Messages, width: Width) -> Self {
        let columns = Arc::new(AtomicU16::new(0));
        let canvas = Canvas { columns: Arc::clone(&columns), frame: Mutex::default(), messages };
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(canvas), HERTZ);
        let bar = ProgressBar::with_draw_target(None, target);
        // The template is constant and right, as the tests show; a wrong one would only lose the line's looks.
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        Self { bar, is_shown: false, width, columns }
    }

    /// Takes over the terminal's present width and returns how many columns a line may have: not the last
    /// one, because some terminals wrap as soon as it is written.
    fn measure(&self) -> usize {
        let columns = (self.width)().saturating_sub(1).max(1);
        self.columns.store(columns, Ordering::Relaxed);
        columns.into()
    }

    fn show(&mut self, line: String) {
        self.is_shown = true;
        self.bar.set_message(line);
    }
}

/// A terminal for indicatif: gathers a frame and hands it on as one write.
///
/// The line is never more than one line high, so that moving up and down is never asked for in earnest.
struct Canvas {
    columns: Arc<AtomicU16>,
    frame: Mutex<String>,
    messages: Messages,
}

impl Canvas {
    fn add(&self, text: impl fmt::Display) -> io::Result<()> {
        use fmt::Write as _;
        let mut frame = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        write!(frame, "{text}").map_err(io::Error::other)
    }

    fn steer(&self, n: usize, direction: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.add(format_args!("\x1b[{n}{direction}")) }
    }
}

impl fmt::Debug for Canvas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canvas").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        self.columns.load(Ordering::Relaxed)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.steer(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.steer(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.steer(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.steer(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.add(format_args!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.add(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let mut frame = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        // indicatif fills the line up with spaces; when the terminal becomes narrower, those would wrap and
        // leave a line behind.
        let text = frame.trim_end_matches(' ');
        if !text.is_empty() {
            self.messages.write(text.as_bytes());
        }
        frame.clear();
        Ok(())
    }
}
