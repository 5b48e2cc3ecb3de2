//! An experiment, and no part of pmove: the same calls for the same files, asked for either by plain threads or
//! through an `io_uring` for each core, so that only the way of asking differs. Nothing is made durable unless
//! `--fsync` says so, and a run that fails leaves a mess.

mod jobs;
mod ring;
mod threads;
mod workers;

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Parser, ValueEnum};

use jobs::{Plan, Sides};

/// Moves all that is in SOURCE into TARGET.
#[derive(Parser)]
struct Args {
    way: Way,
    work: Work,
    /// Threads, or rings with a thread each
    #[arg(short = 'j', long, default_value_t = 2)]
    workers: usize,
    /// Files that each ring has under way
    #[arg(long, default_value_t = 32)]
    depth: u32,
    #[arg(long, value_enum, default_value_t = Descriptors::Ring)]
    descriptors: Descriptors,
    #[arg(long, value_enum, default_value_t = Fsync::None)]
    fsync: Fsync,
    source: PathBuf,
    target: PathBuf,
}

/// How the kernel is asked.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    Threads,
    Ring,
}

/// What is done with each file.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    Rename,
    Copy,
}

/// How a ring's thread makes the calls that only look at, or let go of, an open file: `statx` and `close`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Descriptors {
    Ring,
    /// As system calls: they never wait, so there is nothing to be gained by putting them off
    Plain,
}

/// Whether each copy is on the disk before its source goes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fsync {
    None,
    Each,
}

fn main() -> Result<()> {
    let args = Args::parse();
    // Copies are to have the modes of their sources.
    rustix::process::umask(rustix::fs::Mode::empty());
    let sides = Sides::open(&args.source, &args.target)?;
    let plan = Plan::new(args.work, &args.source, args.workers)?;
    std::thread::scope(|scope| {
        let work = || match args.way {
            Way::Threads => threads::work(&sides, &plan, args.fsync),
            Way::Ring => ring::work(&sides, &plan, &args),
        };
        let all: Vec<_> = (0..args.workers).map(|_| scope.spawn(work)).collect();
        let mut result = Ok(());
        for one in all {
            result = result.and(one.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))));
        }
        result
    })
}
