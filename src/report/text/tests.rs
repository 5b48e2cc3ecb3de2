//! What the numbers read like.

use super::*;

const GIB: u64 = 1 << 30;

#[test]
fn counts_are_grouped() {
    let texts = [0, 7, 999, 1000, 12_345, 1_000_000, u64::MAX].map(count);
    assert_eq!(texts, ["0", "7", "999", "1,000", "12,345", "1,000,000", "18,446,744,073,709,551,615"]);
}

#[test]
fn amounts_have_three_digits_or_so() {
    let texts = [0, 1023, 1024, 1536, 100 << 20, 1023 << 20, GIB * 6 / 5, u64::MAX].map(amount);
    assert_eq!(texts, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "100 MiB", "1023 MiB", "1.1 GiB", "15.9 EiB"]);
}

#[test]
fn h69_an_amount_reads_as_whole_only_when_it_is() {
    assert_eq!(amount_of(0, 2 * GIB), "0.0 of 2.0 GiB");
    assert_eq!(amount_of(2 * GIB - 1, 2 * GIB), "1.9 of 2.0 GiB");
    assert_eq!(amount_of(2 * GIB, 2 * GIB), "2.0 of 2.0 GiB");
    assert_eq!(amount_of(2 * GIB + 1, 2 * GIB + 2), "2.0 of 2.1 GiB");
    assert_eq!(amount_of(2 * GIB + 2, 2 * GIB + 2), "2.1 of 2.1 GiB");
    assert_eq!(amount_of((200 << 20) - 1, 200 << 20), "199 of 200 MiB");
    assert_eq!(amount_of(1, 5), "1 of 5 B");
}

#[test]
fn times_read_as_on_a_clock() {
    let texts = [0, 12, 60, 3599, 3723, 71 * 3600, 73 * 3600].map(|s| clock(Duration::from_secs(s)));
    assert_eq!(texts, ["0:00", "0:12", "1:00", "59:59", "1:02:03", "71:00:00", "4 days"]);
    assert_eq!(clock(Duration::from_millis(1)), "0:01", "h69: what remains takes time");
}

fn copying() -> Snapshot {
    Snapshot {
        moved: 12_345,
        known: 20_000,
        copied: GIB * 5 / 4,
        known_bytes: GIB * 34 / 10,
        listing_done: true,
        sizes_done: true,
        phase: Phase::Copying,
        ..Snapshot::default()
    }
}

fn pace() -> Pace {
    Pace {
        bytes_per_second: 210.0 * f64::from(1 << 20),
        files_per_second: 1234.4,
        flowing: false,
        eta: Some(Duration::from_secs(12)),
    }
}

#[test]
fn the_line_of_a_copy() {
    assert_eq!(
        live_line(&copying(), &pace(), None),
        "copying  12,345 of 20,000 files  1.2 of 3.4 GiB  210 MiB/s  ETA 0:12"
    );
}

#[test]
fn the_line_while_listing_goes_on() {
    let seen = Snapshot { listing_done: false, ..copying() };
    assert_eq!(
        live_line(&seen, &Pace { eta: None, ..pace() }, None),
        "copying  12,345 files of 20,000 so far  1.2 of 3.4 GiB so far  210 MiB/s"
    );
    let nothing_yet = live_line(&Snapshot::default(), &Pace::default(), None);
    assert_eq!(nothing_yet, "moving  0 files");
}

#[test]
fn the_line_of_renames_counts_files() {
    let seen = Snapshot { moved: 3, known: 7, failed: 2, listing_done: true, ..Snapshot::default() };
    assert_eq!(live_line(&seen, &pace(), None), "moving  3 of 7 files  1,234 files/s  ETA 0:12  2 failed");
}

#[test]
fn the_line_of_one_file_shows_its_bytes() {
    let seen = Snapshot { moved: 0, known: 1, sizes_done: false, ..copying() };
    assert_eq!(live_line(&seen, &pace(), None), "copying  1.2 of 3.4 GiB  210 MiB/s  ETA 0:12");
}

#[test]
fn barriers_and_removing_are_named_unless_bytes_still_flow() {
    let barrier = Snapshot { phase: Phase::MakingDurable, ..copying() };
    let still = Pace { eta: None, ..pace() };
    assert_eq!(live_line(&barrier, &still, None), "making durable  12,345 of 20,000 files  1.2 of 3.4 GiB");
    assert!(live_line(&barrier, &Pace { flowing: true, ..pace() }, None).starts_with("copying  "));
    let removing = Snapshot { phase: Phase::Removing, ..copying() };
    assert!(live_line(&removing, &still, None).starts_with("removing  12,345 of 20,000 files"));
}

/// Everything is copied and published, but sources remain: no part of the line may say that it is over.
#[test]
fn h69_the_line_claims_nothing_while_work_remains() {
    let almost = Snapshot { moved: 19_999, copied: copying().known_bytes, phase: Phase::Removing, ..copying() };
    let line = live_line(&almost, &Pace { eta: None, ..pace() }, None);
    assert!(line.starts_with("removing  19,999 of 20,000 files"), "{line}");
    assert!(!line.contains('%') && !line.contains("done") && !line.contains("ETA"), "{line}");
}

#[test]
fn a_staged_directory_is_named_as_fully_as_there_is_room() {
    let staged = Snapshot {
        known: 1,
        listing_done: true,
        phase: Phase::Copying,
        staging: Some("/new/my photos".into()),
        ..Snapshot::default()
    };
    let line = |seen: &Snapshot, width| live_line(seen, &Pace::default(), width);
    let long = "copying  0 B/s  (staging 'my photos'; it appears when whole)";
    assert_eq!(line(&staged, None), long);
    assert_eq!(line(&staged, Some(long.len())), long);
    assert_eq!(line(&staged, Some(long.len() - 1)), "copying  0 B/s  (staging 'my photos')");
    let two = Snapshot { staging_more: 1, ..staged };
    assert_eq!(line(&two, None), "copying  0 B/s  (staging 'my photos' and 1 more; each appears when whole)");
}

#[test]
fn h37_a_staged_directory_cannot_write_to_the_terminal() {
    let staged = Snapshot { staging: Some("a\x1b[2Jb\nc".into()), ..Snapshot::default() };
    assert!(!live_line(&staged, &Pace::default(), None).chars().any(char::is_control));
}

#[test]
fn the_closing_words() {
    let mut summary = Summary { moved: 9994, failed: 6, ..Summary::default() };
    assert_eq!(tally(&summary), "9994 moved, 6 failed");
    summary = Summary { skipped: 2, not_reached: 3, ..summary };
    assert_eq!(tally(&summary), "9994 moved, 6 failed, 2 skipped, 3 not reached");
    let (bytes, elapsed) = (GIB * 5 / 4, Duration::from_millis(3499));
    summary = Summary { moved: 12, renamed: 12, elapsed, ..Summary::default() };
    assert_eq!(account(&summary), "12 moved in 3.4 s");
    summary = Summary { renamed: 10, copied: 2, bytes, ..summary };
    assert_eq!(account(&summary), "12 moved (10 renamed, 2 copied: 1.2 GiB) in 3.4 s");
    summary = Summary { renamed: 0, copied: 12, elapsed: Duration::from_secs(125), ..summary };
    assert_eq!(account(&summary), "12 moved (1.2 GiB copied) in 2:05");
}
