//! The yardstick: pmove beside the movers that people use, and beside floors, on file systems of its own.
//! `benches/README.md` says how to run it and what each mover is.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark reports on the terminal")]

mod floors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Times pmove beside other movers and beside floors, interleaved
#[derive(Parser)]
#[command(name = "peers")]
struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    /// Given by `cargo bench`; without it nothing is measured, as `cargo test --all-targets` expects
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the benchmark starts itself for.
#[derive(Subcommand)]
enum Part {
    /// Makes only the calls that cannot be done without
    #[command(subcommand)]
    Floor(floors::Floor),
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match options.part {
        Some(Part::Floor(floor)) => floors::run(&floor),
        None => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}
