//! Who has done the work: how many threads the kernel has made for what a ring cannot do on the spot, and what
//! processor time was theirs.

use std::fs;
use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

/// Prints the number of `io-wq` threads, and their processor time in seconds. They stay for some seconds when idle,
/// so that at the end of a short run all of them are there.
pub(crate) fn tell() -> Result<()> {
    let (mut threads, mut nanoseconds) = (0, 0);
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.starts_with("iou-wrk") {
            threads += 1;
            let times = fs::read_to_string(task.join("schedstat"))?;
            nanoseconds += times.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
    }
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds / 1_000_000 % 1000);
    Ok(writeln!(io::stdout(), "{threads} {seconds}.{rest:03}")?)
}
