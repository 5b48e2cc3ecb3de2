//! When the live line shows, and how it makes room for everything else.

use super::*;

#[test]
fn h69_a_short_move_shows_no_line() {
    let (out, err) = (Stream::default(), Stream::default());
    let reporter = reporter(Verbosity::Normal, &out, &err, Form::Drawn(80));
    for milliseconds in [100, 200, 300, 400, 499] {
        tick(&reporter, &halfway(), milliseconds);
    }
    assert_eq!(reporter.finish(&ALL_THREE), Finished::Whole);
    assert_eq!(err.text(), "");
}

#[test]
fn the_line_is_drawn_in_place_and_cleared_in_the_end() {
    let (out, err) = (Stream::default(), Stream::default());
    let reporter = reporter(Verbosity::Normal, &out, &err, Form::Drawn(80));
    tick(&reporter, &halfway(), 500);
    tick(&reporter, &Snapshot { known: 3, ..halfway() }, 600);
    assert_eq!(reporter.finish(&ALL_THREE), Finished::Whole);
    let writes = err.writes();
    assert_eq!(writes[0], "moving  1 of 2 files  2 files/s  ETA 0:01");
    assert_eq!(writes[1], "\r\x1b[2Kmoving  1 of 3 files  2 files/s  ETA 0:02");
    assert_eq!(writes[2..], ["\r\x1b[2K"]);
}

#[test]
fn messages_and_lines_take_the_place_of_the_live_line_for_a_moment() {
    let both = Stream::default();
    let mut reporter = reporter(Verbosity::Normal, &both, &both, Form::Drawn(80));
    reporter.error(&"early");
    tick(&reporter, &halfway(), 500);
    reporter.error(&"late");
    let line = "moving  1 of 2 files  2 files/s  ETA 0:01";
    let (clear, redrawn) = ("\r\x1b[2K".to_owned(), line.to_owned());
    let mut expected = vec!["pmove: early\n".to_owned(), line.to_owned()];
    expected.extend([clear.clone(), "pmove: late\n".to_owned(), redrawn.clone()]);
    assert_eq!(both.writes(), expected);
    lock(&reporter.screen).output.push(&"renamed");
    lock(&reporter.screen).flush();
    expected.extend([clear, "renamed\n".to_owned(), redrawn]);
    assert_eq!(both.writes(), expected);
}

/// The last column stays free, and the wide characters of a name count as two.
#[test]
fn the_line_never_wraps() {
    let seen = Snapshot { staging: Some("写真写真写真写真".into()), ..halfway() };
    for width in 1..120 {
        let (out, err) = (Stream::default(), Stream::default());
        let mut reporter = reporter(Verbosity::Normal, &out, &err, Form::Drawn(width));
        tick(&reporter, &seen, 500);
        reporter.error(&"in between");
        for frame in err.writes().iter().filter(|frame| !frame.ends_with('\n')) {
            let columns = console::measure_text_width(frame.trim_start_matches("\r\x1b[2K"));
            assert!(columns < usize::from(width.max(2)), "{columns} of {width}: {frame:?}");
        }
    }
}

#[test]
fn the_line_follows_the_width_of_the_terminal() {
    let err = Stream::default();
    let messages = Messages::new(err.clone());
    let widths = Mutex::new(vec![8_u16, 80, 3]);
    let width = move || widths.lock().unwrap().pop().unwrap();
    let mut live = Live::drawn(messages, Box::new(width));
    for milliseconds in [500, 600, 700] {
        live.tick(&halfway(), Duration::from_millis(milliseconds));
    }
    let frames = err.writes();
    assert_eq!(frames[0], "mo");
    assert!(frames[1].ends_with("ETA 0:01"));
    assert_eq!(frames[2], "\r\x1b[2Kmoving");
}

#[test]
fn h69_a_log_gets_plain_lines_a_second_apart() {
    let (out, err) = (Stream::default(), Stream::default());
    let mut reporter = reporter(Verbosity::Normal, &out, &err, Form::Plain);
    for tenths in 1..=31 {
        tick(&reporter, &halfway(), tenths * 100);
    }
    reporter.error(&"bad");
    assert_eq!(reporter.finish(&ALL_THREE), Finished::Whole);
    let writes = err.writes();
    assert_eq!(writes.len(), 4, "{writes:?}");
    assert!(writes[..3].iter().all(|line| line.starts_with("pmove: moving  1 of 2 files") && line.ends_with('\n')));
    assert_eq!(writes[3], "pmove: bad\n");
    assert!(!err.text().contains('\x1b') && !err.text().contains('\r'));
}

#[test]
fn the_ticker_samples_until_it_is_stopped() {
    let (out, err) = (Stream::default(), Stream::default());
    let mut reporter = reporter(Verbosity::Normal, &out, &err, Form::Drawn(80));
    let counters = Arc::new(Counters::default());
    reporter.start_ticker(Arc::clone(&counters));
    counters.known(5);
    counters.listing_done();
    let patience = Instant::now();
    while err.text().is_empty() && patience.elapsed() < Duration::from_secs(20) {
        thread::sleep(TICK);
    }
    assert_eq!(reporter.finish(&ALL_THREE), Finished::Whole);
    assert!(err.text().starts_with("moving  0 of 5 files"), "{}", err.text());
    assert!(err.text().ends_with("\r\x1b[2K"));
    assert_eq!(Arc::strong_count(&counters), 1, "the thread has been joined");
}

#[test]
fn h69_nothing_is_sampled_where_nothing_is_shown() {
    let (out, err) = (Stream::default(), Stream::default());
    let mut reporter = reporter(Verbosity::Normal, &out, &err, Form::None);
    reporter.start_ticker(Arc::default());
    assert!(reporter.ticker.is_none());
}
