//! Numbers in words: amounts, rates, times, the live line and the closing summary.
//!
//! Pure functions from values to text. Nothing here rounds up what has been done.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Summary;
use super::counters::{Phase, Snapshot};
use super::estimate::Pace;
use crate::error::Quoted;

#[cfg(test)]
mod tests;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `12,345`
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 file`, `12,345 files`
fn files(n: u64) -> String {
    format!("{} {}", count(n), plural(n))
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "file" } else { "files" }
}

#[derive(Clone, Copy)]
enum Rounding {
    Down,
    Up,
}

/// The largest unit of which there is at least one.
fn unit_of(bytes: u64) -> usize {
    (1..UNITS.len()).rev().find(|&unit| bytes >> (10 * unit) > 0).unwrap_or(0)
}

/// The number of `unit`s, with one decimal below a hundred of them.
fn in_unit(bytes: u64, unit: usize, rounding: Rounding) -> String {
    if unit == 0 {
        return bytes.to_string();
    }
    let size = 1_u128 << (10 * unit);
    let divide = |n: u128| match rounding {
        Rounding::Down => n / size,
        Rounding::Up => n.div_ceil(size),
    };
    let tenths = divide(u128::from(bytes) * 10);
    if tenths < 1000 { format!("{}.{}", tenths / 10, tenths % 10) } else { divide(bytes.into()).to_string() }
}

/// `1.2 GiB`
pub(super) fn amount(bytes: u64) -> String {
    let unit = unit_of(bytes);
    format!("{} {}", in_unit(bytes, unit, Rounding::Down), UNITS[unit])
}

/// `1.2 of 3.4 GiB`. What is done is rounded down and the total up, so that both read the same only when
/// all is done.
fn amount_of(done: u64, total: u64) -> String {
    let unit = unit_of(total);
    let whole = in_unit(total, unit, Rounding::Up);
    let part = if done == total { whole.clone() } else { in_unit(done, unit, Rounding::Down) };
    format!("{part} of {whole} {}", UNITS[unit])
}

/// `0:12`, `1:02:03`, `4 days`. Rounded up: work that remains never takes no time.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    if hours >= 72 {
        format!("{} days", hours.div_ceil(24))
    } else if hours > 0 {
        format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60)
    } else {
        format!("{minutes}:{:02}", seconds % 60)
    }
}

/// A rate, which is never negative, as a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float beyond u64 becomes its maximum, which is as good as any other number there"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

/// One line on how far a run has come, for a terminal of `width` columns (without an end if none is given).
pub(super) fn live_line(seen: &Snapshot, pace: &Pace, width: Option<usize>) -> String {
    // Batches overlap: one is at its barrier while others copy. As long as bytes flow, they are waited for.
    let phase = if pace.flowing { Phase::Copying } else { seen.phase };
    let mut parts = vec![
        match phase {
            Phase::Moving => "moving",
            Phase::Copying => "copying",
            Phase::MakingDurable => "making durable",
            Phase::Removing => "removing",
        }
        .to_owned(),
    ];
    parts.extend(files_part(seen));
    parts.extend(bytes_part(seen));
    parts.extend(match phase {
        Phase::Copying => Some(format!("{}/s", amount(whole(pace.bytes_per_second)))),
        Phase::Moving | Phase::Removing => {
            Some(whole(pace.files_per_second)).filter(|&n| n > 0).map(|n| format!("{}/s", files(n)))
        }
        Phase::MakingDurable => None,
    });
    parts.extend(pace.eta.map(|eta| format!("ETA {}", clock(eta))));
    if seen.failed > 0 {
        parts.push(format!("{} failed", count(seen.failed)));
    }
    let line = parts.join("  ");
    match &seen.staging {
        Some(directory) => with_staging(line, directory, seen.staging_more, width),
        None => line,
    }
}

fn files_part(seen: &Snapshot) -> Option<String> {
    match seen.total_files() {
        // A single file is either there or not; its bytes say more.
        Some(1) => None,
        Some(total) => Some(format!("{} of {}", count(seen.moved), files(total))),
        None if seen.known > seen.settled() => Some(format!("{} of {} so far", files(seen.moved), count(seen.known))),
        None => Some(files(seen.moved)),
    }
}

fn bytes_part(seen: &Snapshot) -> Option<String> {
    match seen.total_bytes() {
        Some(0) => None,
        Some(total) => Some(amount_of(seen.copied, total)),
        None if seen.known_bytes > seen.copied => Some(format!("{} so far", amount_of(seen.copied, seen.known_bytes))),
        None if seen.copied > 0 => Some(amount(seen.copied)),
        None => None,
    }
}

/// Says why DEST looks empty, at length if there is room for it. What exceeds the width is cut off later.
fn with_staging(mut line: String, directory: &Path, more: usize, width: Option<usize>) -> String {
    let name = Quoted(directory.file_name().unwrap_or(directory.as_os_str())).to_string();
    let (what, when) = match more {
        0 => (name, "it appears when whole"),
        _ => (format!("{name} and {more} more"), "each appears when whole"),
    };
    let long = format!("  (staging {what}; {when})");
    let room = width.map(|width| width.saturating_sub(console::measure_text_width(&line)));
    if room.is_none_or(|room| console::measure_text_width(&long) <= room) {
        line.push_str(&long);
    } else {
        // Writing to a String cannot fail.
        write!(line, "  (staging {what})").ok();
    }
    line
}

/// What a failed run of several sources ends with: `9994 moved, 6 failed`. Without separators, for scripts.
pub(super) fn tally(summary: &Summary) -> String {
    let mut text = format!("{} moved", summary.moved);
    for (n, what) in [(summary.failed, "failed"), (summary.skipped, "skipped"), (summary.not_reached, "not reached")] {
        if n > 0 {
            // Writing to a String cannot fail.
            write!(text, ", {n} {what}").ok();
        }
    }
    text
}

/// The tally of a verbose run, with how it was done: `12 moved (10 renamed, 2 copied: 1.2 GiB) in 3.4 s`.
pub(super) fn account(summary: &Summary) -> String {
    let bytes = amount(summary.bytes);
    let how = match (summary.renamed, summary.copied) {
        (_, 0) => String::new(),
        (0, _) => format!(" ({bytes} copied)"),
        (renamed, copied) => format!(" ({renamed} renamed, {copied} copied: {bytes})"),
    };
    let time = if summary.elapsed < Duration::from_mins(1) {
        let tenths = summary.elapsed.as_millis() / 100;
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        clock(summary.elapsed)
    };
    format!("{}{how} in {time}", tally(summary))
}
