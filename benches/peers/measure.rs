//! The rounds: each mover once in each, in another order each time, so that what changes on the machine meanwhile meets
//! all alike, and nobody always comes after the same one. Every run has a corpus of its own, a disk with nothing left to write, and a look
//! at what has arrived.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::corpora::{clear, order_of_round};
use crate::disks::Sides;
use crate::interrupt;
use crate::movers::{Ends, Group, Job, Mover};
use crate::runner::{self, Sample};
use crate::works::{Figure, Work};

/// What a mover took for a work.
pub(crate) struct Taken {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    pub(crate) ends: Ends,
    pub(crate) samples: Vec<Sample>,
    /// What went wrong in runs that do not count.
    pub(crate) failures: Vec<String>,
}

/// A mover that has failed so often, and never done its work, is not tried again.
const TRIES: usize = 2;

/// A row of the table.
pub(crate) struct Row {
    pub(crate) work: Work,
    pub(crate) taken: Vec<Taken>,
}

impl Taken {
    fn sorted(&self, what: fn(&Sample) -> f64) -> Vec<f64> {
        let mut values: Vec<_> = self.samples.iter().map(what).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// Of two in the middle, their mean.
    pub(crate) fn median(&self, what: fn(&Sample) -> f64) -> Option<f64> {
        let values = self.sorted(what);
        let upper = values.get(values.len() / 2)?;
        let lower = values.get(values.len().saturating_sub(1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }

    pub(crate) fn least(&self, what: fn(&Sample) -> f64) -> Option<f64> {
        self.sorted(what).first().copied()
    }

    pub(crate) fn most(&self, what: fn(&Sample) -> f64) -> Option<f64> {
        self.sorted(what).last().copied()
    }
}

impl Row {
    /// The seconds that count.
    pub(crate) fn figure(&self, taken: &Taken) -> Option<f64> {
        match self.work.figure {
            Figure::Median => taken.median(|sample| sample.wall),
            Figure::Minimum => taken.least(|sample| sample.wall),
        }
    }

    /// How many times as fast as mv.
    pub(crate) fn to_mv(&self, taken: &Taken) -> Option<f64> {
        let mv = self.taken.iter().find(|other| other.name == "mv")?;
        Some(self.figure(mv)? / self.figure(taken)?)
    }

    /// How many times as long as the lowest floor that leaves its copies in the same state; a rename has but one.
    pub(crate) fn to_floor(&self, taken: &Taken) -> Option<f64> {
        let floors = || self.taken.iter().filter(|other| other.group == Group::Floor);
        let alike = floors().any(|floor| floor.ends == taken.ends);
        let compared = floors().filter(|floor| !alike || floor.ends == taken.ends);
        let lowest = compared.filter_map(|floor| self.figure(floor)).min_by(f64::total_cmp)?;
        Some(self.figure(taken)? / lowest)
    }
}

/// Measures one work with all who do it.
pub(crate) fn row(work: &Work, movers: &[Mover], rounds: usize) -> Result<Row> {
    let movers: Vec<_> = movers.iter().filter(|mover| mover.does(work)).collect();
    let sides = work.layout.make(work.corpus.room())?;
    let mut taken: Vec<_> = movers
        .iter()
        .map(|mover| Taken {
            name: mover.name,
            group: mover.group,
            ends: mover.ends,
            samples: vec![],
            failures: vec![],
        })
        .collect();
    for round in 0..rounds.max(1) {
        for index in order_of_round(round, movers.len()) {
            if taken[index].samples.is_empty() && taken[index].failures.len() >= TRIES {
                continue;
            }
            match once(work, movers[index], &sides) {
                Ok(sample) => taken[index].samples.push(sample),
                Err(error) => {
                    interrupt::check()?;
                    eprintln!("{}: {}: {error:#}", work.name, movers[index].name);
                    taken[index].failures.push(format!("{error:#}"));
                }
            }
        }
        if rounds <= 10 || round % 20 == 19 {
            eprintln!("{}: round {} of {rounds}", work.name, round + 1);
        }
    }
    Ok(Row { work: work.clone(), taken })
}

fn once(work: &Work, mover: &Mover, sides: &Sides) -> Result<Sample> {
    let run = Run { source: sides.source.clone(), target: sides.target.clone() };
    clear(&run.source)?;
    clear(&run.target)?;
    let made = work.corpus.make(&run.source)?;
    fs::create_dir(&run.target)?;
    rustix::fs::sync();
    let job = Job { work, source: &run.source, target: &run.target };
    let command = mover.command(&job).ok_or_else(|| anyhow::anyhow!("not found"))?;
    let sample = runner::run(&command)?;
    work.corpus.check(made, &run.source, &run.target)?;
    Ok(sample)
}

/// What a run has made; removed after it, also when it has failed.
struct Run {
    source: PathBuf,
    target: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        let remove = |path: &Path| {
            if let Err(error) = clear(path) {
                eprintln!("{}: {error:#}", path.display());
            }
        };
        remove(&self.source);
        remove(&self.target);
    }
}
