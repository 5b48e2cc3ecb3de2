//! `--dry-run`: says what would be moved where, and what would go wrong as far as a look can tell. Changes nothing.

use std::path::PathBuf;

use crate::error::{MoveError, Quoted, Result};
use crate::item::{Below, Item, Place, Standing, Verdict, path_from};
use crate::plan::{Planned, Planner};
use crate::report::Reporter;
use crate::source::Candidate;
use crate::sys::{Listing, Stat};
use crate::transfer::{Context, Target, is_hidden_name};

/// Says what a run over `candidates` would do. Returns how many of them could not be moved.
pub(crate) fn dry_run(
    context: &Context,
    planner: Planner,
    reporter: &mut Reporter,
    candidates: impl Iterator<Item = Result<Candidate>>,
) -> u64 {
    let mut run = DryRun { context, planner, reporter, failed: 0 };
    for candidate in candidates {
        if context.stop.is_set() {
            break;
        }
        let planned = candidate.map(|candidate| match run.planner.plan(candidate) {
            Planned::Wait(candidate) => run.planner.plan_settled(candidate),
            planned => planned,
        });
        match planned {
            Ok(Planned::Item { source, below, item } | Planned::Alone { source, below, item }) => {
                run.item(&source, below.as_deref(), &item);
            }
            Ok(Planned::MovedBefore { .. } | Planned::Wait(_)) => {}
            Ok(Planned::Refused { error, .. }) | Err(error) => run.fail(&error),
        }
    }
    run.failed
}

struct DryRun<'a> {
    context: &'a Context,
    planner: Planner,
    reporter: &'a mut Reporter,
    failed: u64,
}

/// What would become of one item.
enum Look {
    Move,
    Skip,
    /// What is in it would be merged into the directory that is there.
    Merge,
}

impl DryRun<'_> {
    fn fail(&mut self, error: &MoveError) {
        self.failed += 1;
        self.reporter.error(error);
    }

    fn say(&mut self, from: &PathBuf, to: &PathBuf) {
        self.reporter.line(&format!("would move {} -> {}", Quoted(from), Quoted(to)));
    }

    fn item(&mut self, source: &Place, below: Option<&Below>, item: &Item) {
        let dest = self.planner.target();
        let path = below.map(|below| &*below.path).unwrap_or_default();
        if path.is_empty() && !self.planner.is_target_missing() {
            let dest = std::sync::Arc::clone(dest);
            return self.within(source, &dest, item);
        }
        let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
        let prefix = [dest.place.prefix(), path, slash].concat();
        let target = if self.planner.is_target_missing() { None } else { dest.place.dir.open_far(path).ok() };
        match target.map(|dir| Target::new(Place::new(dir, &prefix))) {
            Some(target) => {
                let standing = self.planner.reserve(&target, source, item);
                self.within(source, &target, &Item { standing, ..item.clone() });
            }
            // It would be made first: nothing is in the way.
            None => match look_at_source(source, item) {
                Ok(_) => self.say(&source.path_of(item), &path_from([&prefix, item.target_name()].concat())),
                Err(error) => self.fail(&error),
            },
        }
    }

    fn within(&mut self, source: &Place, target: &Target, item: &Item) {
        match look(self.context, source, target, item) {
            Ok(Look::Move) => self.say(&source.path_of(item), &target.path(item)),
            Ok(Look::Skip) => {}
            Ok(Look::Merge) => {
                let opened = source.dir.open_child(&item.name).and_then(|dir| {
                    let entries = Listing::all(&dir)?;
                    Ok((dir, target.place.dir.open_child(item.target_name())?, entries))
                });
                match opened {
                    Ok((dir, into, entries)) => {
                        let source = Place::new(dir, &source.prefix_below(&item.name));
                        let target = Target::new(Place::new(into, &target.place.prefix_below(item.target_name())));
                        self.entries(&source, &target, item, entries);
                    }
                    Err(error) => self.fail(&MoveError::ReadDirectory { path: source.path_of(item), source: error }),
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn entries(&mut self, source: &Place, target: &Target, like: &Item, entries: Vec<crate::sys::Entry>) {
        for entry in entries.into_iter().filter(|entry| !is_hidden_name(&entry.name)) {
            let item = Item { name: entry.name, new_name: None, only_directory: false, hint: None, ..like.clone() };
            let standing = self.planner.reserve(target, source, &item);
            self.within(source, target, &Item { standing, ..item });
        }
    }
}

fn look_at_source(source: &Place, item: &Item) -> Result<Stat> {
    let path = source.path_of(item);
    let stat = Stat::at(&source.dir, &item.name).map_err(|source| MoveError::Stat { path: path.clone(), source })?;
    if item.only_directory && !stat.is_dir() {
        return Err(Box::new(MoveError::Stat { path, source: rustix::io::Errno::NOTDIR }));
    }
    Ok(stat)
}

fn look(context: &Context, source: &Place, target: &Target, item: &Item) -> Result<Look> {
    let stat = look_at_source(source, item)?;
    if item.standing == Standing::Rival && !context.policy.merge {
        // An earlier source of this run would be there by then.
        let (from, to) = (source.path_of(item), target.path(item));
        return if context.policy.skips_all() {
            Ok(Look::Skip)
        } else {
            Err(Box::new(MoveError::JustCreated { from, to }))
        };
    }
    if Stat::at(&target.place.dir, item.target_name()).is_err() {
        return Ok(Look::Move);
    }
    Ok(match target.judge(context, source, item, &stat)?.verdict {
        Verdict::Skip => Look::Skip,
        Verdict::Merge => Look::Merge,
        _ => Look::Move,
    })
}
