//! The command line, and what it makes of works and movers.

use std::ffi::OsString;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::floors;
use crate::movers::Mover;
use crate::works::Work;

/// Times pmove beside other movers and beside floors, interleaved
#[derive(Parser)]
#[command(name = "peers")]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
    /// Only these works, by their short names
    #[arg(long, value_name = "WORK", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these movers, and those needed to compare with: what a name begins with is enough
    #[arg(long, value_name = "MOVER", value_delimiter = ',')]
    movers: Vec<String>,
    /// Rounds; some works have more
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A tenth of everything, rounds too, two at least: to see that all works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Name the works and the movers, and whether those are there
    #[arg(long)]
    pub(crate) list: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the benchmark starts itself for.
#[derive(Subcommand)]
pub(crate) enum Part {
    /// Makes only the calls that cannot be done without
    #[command(subcommand)]
    Floor(floors::Floor),
    /// Runs a command and prints what it took
    #[command(hide = true)]
    Run {
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Every work in its size: what a picture is drawn of
    Whole,
    /// Less than that
    Partial,
}

impl Options {
    pub(crate) fn size(&self) -> Size {
        let whole = !self.quick && self.only.is_empty() && self.movers.is_empty();
        if whole { Size::Whole } else { Size::Partial }
    }

    /// The rounds of a work.
    pub(crate) fn rounds(&self, work: &Work) -> usize {
        if self.quick { 2.max(work.rounds / 10) } else { self.rounds.max(work.rounds) }
    }

    /// The works asked for.
    pub(crate) fn works(&self, all: Vec<Work>) -> Result<Vec<Work>> {
        for name in &self.only {
            ensure!(all.iter().any(|work| work.name == name), "there is no work {name}; --list names them");
        }
        let asked = |work: &Work| self.only.is_empty() || self.only.iter().any(|name| name == work.name);
        let chosen = all.into_iter().filter(asked);
        Ok(chosen.map(|work| if self.quick { work.tenth() } else { work }).collect())
    }

    /// The movers asked for.
    pub(crate) fn movers(&self, all: Vec<Mover>) -> Result<Vec<Mover>> {
        for name in &self.movers {
            ensure!(
                all.iter().any(|mover| mover.name.starts_with(name)),
                "there is no mover {name}; --list names them"
            );
        }
        let wanted = |mover: &Mover| {
            let asked = self.movers.iter().any(|name| mover.name.starts_with(name));
            self.movers.is_empty() || asked || mover.name == "mv" || mover.name.starts_with("floor")
        };
        Ok(all.into_iter().filter(wanted).collect())
    }
}
