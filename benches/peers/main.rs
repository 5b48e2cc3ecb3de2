//! The yardstick: pmove beside the movers that people use, and beside floors, on file systems of its own.
//! `benches/README.md` says how to run it and what each mover is.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark reports on the terminal")]

mod corpora;
mod disks;
mod floors;
mod interrupt;
mod measure;
mod movers;
mod options;
mod plot;
mod runner;
mod table;
mod works;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use clap::Parser as _;
use movers::{Group, Mover};
use options::{Options, Part, Size};
use works::Work;

/// Where the picture goes.
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers.svg");

fn main() -> ExitCode {
    // `cargo test --all-targets` starts this without `--bench`, and wants to see it end well.
    let parts = ["floor", "run", "help"];
    let asked = env::args().any(|arg| arg == "--bench") || env::args().nth(1).is_some_and(|arg| parts.contains(&&*arg));
    if !asked {
        println!("nothing is measured: start it with cargo bench --bench peers");
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let result = match &options.part {
        Some(Part::Floor(floor)) => floors::run(floor),
        Some(Part::Run { command }) => runner::child(command),
        None => bench(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let myself = env::current_exe()?;
    let results = results(&myself)?;
    let movers = options.movers(movers::all(&results, &myself))?;
    let works = options.works(works::all())?;
    if options.list {
        list(&works, &movers);
        return Ok(());
    }
    ensure!(rustix::process::geteuid().is_root(), "needs root, to make and mount file systems (--list does not)");
    for mover in movers.iter().filter(|mover| mover.program.is_none()) {
        println!("Left out, because it is not there: {} (benches/peers/install fetches it)", mover.name);
    }
    interrupt::listen()?;
    disks::apart()?;
    let mut rows = Vec::new();
    for work in &works {
        let missing: Vec<_> = work.layout.needs().into_iter().filter(|name| disks::program(name).is_none()).collect();
        if !missing.is_empty() {
            println!("Left out: {}: there is no {}", work.title, missing.join(", "));
            continue;
        }
        let row = measure::row(work, &movers, options.rounds(work))?;
        println!("{}", table::markdown(&row));
        rows.push(row);
        // Written after each work: the whole takes long, and what is measured is measured.
        let name = if options.size() == Size::Whole { "results" } else { "partial" };
        write(&results.join(name).with_extension("json"), &format!("{:#}\n", table::json(&rows)))?;
        write(&results.join(name).with_extension("svg"), &plot::svg(&rows))?;
    }
    if options.size() == Size::Whole {
        write(Path::new(PICTURE), &plot::svg(&rows))?;
    }
    let failed = |taken: &measure::Taken| !taken.failures.is_empty() && taken.group != Group::Peer;
    ensure!(!rows.iter().any(|row| row.taken.iter().any(failed)), "pmove or a floor has failed");
    Ok(())
}

fn list(works: &[Work], movers: &[Mover]) {
    println!("Works:");
    for work in works {
        println!("  {:16} {}", work.name, work.title);
    }
    println!("Movers:");
    for mover in movers {
        println!("  {}{}", mover.name, if mover.program.is_some() { "" } else { " (not there)" });
    }
}

/// The directory for what is fetched and found, beside what cargo builds.
fn results(myself: &Path) -> Result<PathBuf> {
    let target = myself.ancestors().nth(3).context("not where cargo builds")?;
    let directory = target.join("peers");
    fs::create_dir_all(&directory).with_context(|| format!("{}", directory.display()))?;
    Ok(directory)
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("{}", path.display()))
}
