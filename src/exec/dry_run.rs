//! `--dry-run`: says what would be moved where, and what would go wrong as far as a look can tell. Changes nothing.

use crate::error::{MoveError, Quoted, Result};
use crate::item::{Item, Place, Standing, Verdict};
use crate::plan::{Planned, Planner};
use crate::report::Reporter;
use crate::source::Candidate;
use crate::sys::Stat;
use crate::transfer::Context;

/// Says what a run over `candidates` would do. Returns how many of them could not be moved.
pub(crate) fn dry_run(
    context: &Context,
    mut planner: Planner,
    reporter: &mut Reporter,
    candidates: impl Iterator<Item = Result<Candidate>>,
) -> u64 {
    let mut failed = 0;
    for candidate in candidates {
        if context.stop.is_set() {
            break;
        }
        let planned = candidate.map(|candidate| match planner.plan(candidate) {
            Planned::Wait(candidate) => planner.plan_settled(candidate),
            planned => planned,
        });
        let looked = match planned {
            Ok(Planned::Item { source, item, .. } | Planned::Alone { source, item, .. }) => {
                look(context, &planner, &source, &item)
            }
            Ok(Planned::MovedBefore { .. } | Planned::Wait(_)) => Ok(None),
            Ok(Planned::Refused { error, .. }) | Err(error) => Err(error),
        };
        match looked {
            Ok(Some(line)) => reporter.line(&line),
            Ok(None) => {}
            Err(error) => {
                failed += 1;
                reporter.error(&error);
            }
        }
    }
    failed
}

/// What would become of one item; none if it would be skipped.
fn look(context: &Context, planner: &Planner, source: &Place, item: &Item) -> Result<Option<String>> {
    let target = planner.target();
    let (from, to) = (source.path_of(item), target.path(item));
    let stat = Stat::at(&source.dir, &item.name).map_err(|source| MoveError::Stat { path: from.clone(), source })?;
    if item.only_directory && !stat.is_dir() {
        return Err(Box::new(MoveError::Stat { path: from, source: rustix::io::Errno::NOTDIR }));
    }
    if item.standing == Standing::Rival {
        // An earlier source of this run would be there by then.
        return if context.policy.skips_all() { Ok(None) } else { Err(Box::new(MoveError::JustCreated { from, to })) };
    }
    if Stat::at(&target.place.dir, item.target_name()).is_ok()
        && target.judge(context, source, item, &stat)?.verdict == Verdict::Skip
    {
        return Ok(None);
    }
    Ok(Some(format!("would move {} -> {}", Quoted(&from), Quoted(&to))))
}
