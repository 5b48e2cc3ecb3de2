//! What is told: a Markdown table for each work, and all samples as JSON.

use serde_json::{Value, json};

use crate::measure::{Row, Taken};
use crate::movers::Ends;
use crate::works::Figure;

/// Seconds with three digits that mean something.
pub(crate) fn seconds(value: f64) -> String {
    if value < 0.1 { format!("{:.2} ms", value * 1000.0) } else { format!("{value:.2} s") }
}

/// The table of a work.
pub(crate) fn markdown(row: &Row) -> String {
    let counts = if row.work.figure == Figure::Median { "medians" } else { "minima" };
    let mut table = format!(
        "### {}\n\nRatios are of {counts}.\n\n\
         | mover | median | min | CPU s | peak MiB | times as fast as mv | times the floor |\n|---|--:|--:|--:|--:|--:|--:|\n",
        row.work.title
    );
    for taken in &row.taken {
        table.push_str(&line(row, taken));
    }
    for taken in row.taken.iter().filter(|taken| !taken.failures.is_empty()) {
        let (failed, runs) = (taken.failures.len(), taken.failures.len() + taken.samples.len());
        table.extend([format!("\n{}: {failed} of {runs} runs failed: {}\n", taken.name, taken.failures[0])]);
    }
    table
}

fn line(row: &Row, taken: &Taken) -> String {
    let or_none =
        |value: Option<f64>, digits: usize| value.map_or("—".to_owned(), |value| format!("{value:.digits$}"));
    let time = |value: Option<f64>| value.map_or("—".to_owned(), seconds);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        taken.name.replace('|', "\\|"),
        time(taken.median(|sample| sample.wall)),
        time(taken.least(|sample| sample.wall)),
        or_none(taken.median(|sample| sample.cpu), 2),
        or_none(taken.most(|sample| sample.peak), 1),
        or_none(row.to_mv(taken), 2),
        or_none(row.to_floor(taken), 2),
    )
}

/// All that was measured.
pub(crate) fn json(rows: &[Row]) -> Value {
    let machine = rustix::system::uname();
    json!({
        "kernel": machine.release().to_string_lossy(),
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "works": rows.iter().map(work).collect::<Vec<_>>(),
    })
}

fn work(row: &Row) -> Value {
    json!({
        "name": row.work.name,
        "title": row.work.title,
        "figure": if row.work.figure == Figure::Median { "median" } else { "minimum" },
        "movers": row.taken.iter().map(|taken| mover(row, taken)).collect::<Vec<_>>(),
    })
}

fn mover(row: &Row, taken: &Taken) -> Value {
    let samples: Vec<_> = taken
        .samples
        .iter()
        .map(|sample| json!({ "wall": sample.wall, "cpu": sample.cpu, "peak_mib": sample.peak }))
        .collect();
    json!({
        "name": taken.name,
        "durable": taken.ends == Ends::Durable,
        "figure": row.figure(taken),
        "times_as_fast_as_mv": row.to_mv(taken),
        "times_the_floor": row.to_floor(taken),
        "failures": taken.failures,
        "samples": samples,
    })
}
