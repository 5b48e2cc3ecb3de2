//! The reporter against streams in memory.
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::io::{ErrorKind, Write};

use super::*;

mod live;

/// A stream that remembers what it was given, write by write, and can fail.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Tape>>);

#[derive(Default)]
struct Tape {
    writes: Vec<String>,
    /// How many more writes succeed.
    fails_after: Option<usize>,
}

impl Stream {
    fn failing_after(writes: usize) -> Self {
        let stream = Self::default();
        stream.0.lock().unwrap().fails_after = Some(writes);
        stream
    }

    fn writes(&self) -> Vec<String> {
        self.0.lock().unwrap().writes.clone()
    }

    fn text(&self) -> String {
        self.writes().concat()
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut tape = self.0.lock().unwrap();
        match &mut tape.fails_after {
            Some(0) => return Err(io::Error::from(Errno::PIPE)),
            Some(left) => *left -= 1,
            None => {}
        }
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| ErrorKind::InvalidData)?;
        tape.writes.push(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    None,
    Plain,
    Drawn(u16),
}

fn options(program: &str, verbosity: Verbosity) -> Options {
    Options { program: program.to_owned(), verbosity, progress: ProgressMode::Auto }
}

/// A reporter whose two streams are `out` and `err`; `out` is a terminal if the line is drawn.
fn reporter(verbosity: Verbosity, out: &Stream, err: &Stream, form: Form) -> Reporter {
    let messages = Messages::new(err.clone());
    let live = match form {
        Form::None => None,
        Form::Plain => Some(Live::plain(messages.clone(), "pmove")),
        Form::Drawn(width) => Some(Live::drawn(messages.clone(), Box::new(move || width))),
    };
    let output = Output::new(out.clone(), matches!(form, Form::Drawn(_)));
    Reporter::with_screen(options("pmove", verbosity), Screen { output, messages, live, paused: None })
}

fn tick(reporter: &Reporter, seen: &Snapshot, milliseconds: u64) {
    lock(&reporter.screen).tick(seen, Duration::from_millis(milliseconds));
}

fn halfway() -> Snapshot {
    Snapshot { moved: 1, known: 2, listing_done: true, ..Snapshot::default() }
}

const TWO_OF_THREE: Summary = Summary {
    moved: 2,
    renamed: 2,
    declined: 0,
    failed: 1,
    copied: 0,
    skipped: 0,
    bytes: 0,
    not_reached: 0,
    elapsed: Duration::ZERO,
};

const ALL_THREE: Summary = Summary { moved: 3, renamed: 3, failed: 0, ..TWO_OF_THREE };

#[test]
fn nothing_is_said_about_success() {
    let (out, err) = (Stream::default(), Stream::default());
    let finished = reporter(Verbosity::Normal, &out, &err, Form::None).finish(&ALL_THREE);
    assert_eq!((finished, out.text(), err.text()), (Finished::Whole, String::new(), String::new()));
}

#[test]
fn each_message_is_one_write() {
    let (out, err) = (Stream::default(), Stream::default());
    let mut reporter = reporter(Verbosity::Normal, &out, &err, Form::None);
    reporter.error(&"cannot stat 'a'");
    reporter.warning(&"odd");
    assert_eq!(reporter.finish(&TWO_OF_THREE), Finished::Whole);
    assert_eq!(err.writes(), ["pmove: cannot stat 'a'\n", "pmove: warning: odd\n", "pmove: 2 moved, 1 failed\n"]);
}

#[test]
fn quiet_keeps_errors_only() {
    let (out, err) = (Stream::default(), Stream::default());
    let mut reporter = reporter(Verbosity::Quiet, &out, &err, Form::None);
    reporter.error(&"bad");
    reporter.warning(&"odd");
    assert_eq!(reporter.finish(&TWO_OF_THREE), Finished::Whole);
    assert_eq!(err.text(), "pmove: bad\n");
}

#[test]
fn one_source_needs_no_summary() {
    for summary in [Summary { failed: 1, ..Summary::default() }, Summary { moved: 1, ..Summary::default() }] {
        let (out, err) = (Stream::default(), Stream::default());
        let finished = reporter(Verbosity::Verbose, &out, &err, Form::None).finish(&summary);
        assert_eq!((finished, err.text()), (Finished::Whole, String::new()));
    }
}

#[test]
fn a_verbose_summary_stays_out_of_standard_output() {
    let (out, err) = (Stream::default(), Stream::default());
    let mut reporter = reporter(Verbosity::Verbose, &out, &err, Form::None);
    reporter.line(&"renamed 'a' -> 'd/a'");
    assert_eq!(out.text(), "", "buffered");
    assert_eq!(reporter.finish(&ALL_THREE), Finished::Whole);
    assert_eq!(out.writes(), ["renamed 'a' -> 'd/a'\n"]);
    assert_eq!(err.text(), "pmove: 3 moved in 0.0 s\n");
}

#[test]
fn as_mv_there_is_no_summary_at_all() {
    for verbosity in [Verbosity::Normal, Verbosity::Verbose] {
        let err = Stream::default();
        let messages = Messages::new(err.clone());
        let screen = Screen { output: Output::new(Stream::default(), false), messages, live: None, paused: None };
        let mut reporter = Reporter::with_screen(options("mv", verbosity), screen);
        reporter.error(&"cannot stat 'a': No such file or directory");
        assert_eq!(reporter.finish(&TWO_OF_THREE), Finished::Whole);
        assert_eq!(err.text(), "mv: cannot stat 'a': No such file or directory\n");
    }
}

#[test]
fn lines_come_out_before_the_message_that_follows_them() {
    let both = Stream::default();
    let mut reporter = reporter(Verbosity::Verbose, &both, &both, Form::None);
    reporter.line(&"one");
    reporter.error(&"two");
    reporter.line(&"three");
    assert_eq!(reporter.finish(&Summary::default()), Finished::Whole);
    assert_eq!(both.text(), "one\npmove: two\nthree\n");
}

#[test]
fn many_lines_take_few_writes_and_no_more_memory() {
    let (out, err) = (Stream::default(), Stream::default());
    let mut reporter = reporter(Verbosity::Verbose, &out, &err, Form::None);
    for i in 0..10_000 {
        reporter.line(&format_args!("renamed 'f{i}' -> 'd/f{i}'"));
    }
    assert_eq!(reporter.finish(&Summary::default()), Finished::Whole);
    assert!((5..20).contains(&out.writes().len()));
    assert_eq!(out.text().lines().count(), 10_000);
}

#[test]
fn h66_a_reader_that_goes_away_is_reported_once_and_stops_nothing() {
    let (out, err) = (Stream::failing_after(1), Stream::default());
    let mut reporter = reporter(Verbosity::Verbose, &out, &err, Form::None);
    for i in 0..100_000 {
        reporter.line(&format_args!("renamed 'f{i}' -> 'd/f{i}'"));
    }
    assert_eq!(reporter.finish(&TWO_OF_THREE), Finished::OutputLost);
    assert_eq!(out.writes().len(), 1);
    assert_eq!(err.writes(), ["pmove: write error: Broken pipe\n", "pmove: 2 moved, 1 failed in 0.0 s\n"]);
}

#[test]
fn h66_a_closed_standard_error_stops_nothing() {
    for form in [Form::None, Form::Plain, Form::Drawn(80)] {
        let (out, err) = (Stream::default(), Stream::failing_after(0));
        let mut reporter = reporter(Verbosity::Verbose, &out, &err, form);
        reporter.error(&"lost");
        reporter.line(&"kept");
        tick(&reporter, &halfway(), 1000);
        reporter.error(&"lost");
        assert_eq!(reporter.finish(&TWO_OF_THREE), Finished::Whole);
        assert_eq!(out.text(), "kept\n");
    }
}

#[test]
fn a_terminal_gets_its_lines_at_once_or_with_the_next_tick() {
    let (out, err) = (Stream::default(), Stream::default());
    let mut without_ticker = reporter(Verbosity::Verbose, &out, &err, Form::Drawn(80));
    without_ticker.line(&"one");
    assert_eq!(out.text(), "one\n");
    lock(&without_ticker.screen).output.push(&"two");
    tick(&without_ticker, &halfway(), 100);
    assert_eq!(out.text(), "one\ntwo\n");
}
