//! One run of one mover, in a process of its own, because the processor time and the peak memory of children are
//! told only for all of a process's children together.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::interrupt;

/// What one run took.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Seconds from the start of the mover to its end
    pub(crate) wall: f64,
    /// Seconds of processor time, user and system, of all its processes
    pub(crate) cpu: f64,
    /// The most memory that one of its processes had resident, in MiB
    pub(crate) peak: f64,
}

/// Runs a command, through another process of this program.
pub(crate) fn run(command: &Command) -> Result<Sample> {
    let complaints = tempfile::NamedTempFile::new()?;
    let mut runner = Command::new(std::env::current_exe()?)
        .args(["run", "--"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(complaints.reopen()?)
        // A group of its own: a signal from the terminal comes to us, and we end all of it.
        .process_group(0)
        .spawn()?;
    let group = Pid::from_child(&runner);
    // Looked at often enough to end at a signal; the time is taken by the other process, not here.
    while runner.try_wait()?.is_none() {
        if interrupt::asked() {
            kill_process_group(group, Signal::KILL)?;
            runner.wait()?;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    interrupt::check()?;
    let output = runner.wait_with_output()?;
    if !output.status.success() {
        let said = std::fs::read_to_string(complaints.path())?;
        bail!("{}: {}", output.status, said.lines().take(3).collect::<Vec<_>>().join("; "));
    }
    let told: Value = serde_json::from_slice(&output.stdout).context("the runner's answer")?;
    let number = |key| told[key].as_f64().with_context(|| format!("no {key}"));
    Ok(Sample { wall: number("wall")?, cpu: number("cpu")?, peak: number("peak")? })
}

/// The other process: runs the mover and prints what it took.
pub(crate) fn child(words: &[OsString]) -> Result<()> {
    let (program, arguments) = words.split_first().context("nothing to run")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("{}", program.display()))?;
    let wall = begun.elapsed().as_secs_f64();
    ensure!(status.success(), "{status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let cpu = Duration::from_micros(micros.try_into()?).as_secs_f64();
    let peak = f64::from(i32::try_from(usage.max_rss())?) / 1024.0;
    writeln!(std::io::stdout(), "{}", json!({ "wall": wall, "cpu": cpu, "peak": peak }))?;
    Ok(())
}
