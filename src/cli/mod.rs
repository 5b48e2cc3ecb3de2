//! The command line: words to settings, settings to a run, a run to an exit code.

mod args;
mod operands;
mod policy;
#[cfg(debug_assertions)]
mod rehearsal;
mod settings;
mod signals;
mod usage;
mod word;
mod words;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use crate::exec::{Coordinator, dry_run};
use crate::plan::{MakeDir, Planner, resolve_destination};
use crate::report::{Counters, Finished, Options, Reporter, Summary};
use crate::transfer::{Context, Stop};

#[cfg(debug_assertions)]
#[doc(hidden)]
pub use rehearsal::{Rehearsed, rehearse};
use settings::{Settings, Surroundings};
use signals::Signals;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All that was asked for is done.
    Done,
    /// Something was not.
    Incomplete,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::SUCCESS,
            Ending::Incomplete => Self::FAILURE,
        }
    }
}

/// Runs the command. `args` as the system gives them, the program's own name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let settings = match settings::parse(args, &Surroundings::of_process()) {
        Ok(settings) => settings,
        Err(early) => return early.say().into(),
    };
    let signals = Signals::watch();
    let ending = run(settings, &signals, Reporter::start);
    // After a signal the process has cleaned up, and now ends the way the signal would have ended it, so that a
    // shell's loop ends, too.
    signals.die_of_it();
    ending.into()
}

fn run(settings: Settings, signals: &Signals, speak: impl FnOnce(Options, Arc<Counters>) -> Reporter) -> Ending {
    let begun = Instant::now();
    let counters = Arc::new(Counters::default());
    let options =
        Options { program: settings.program.clone(), verbosity: settings.verbosity, progress: settings.progress };
    let mut reporter = speak(options, Arc::clone(&counters));
    let summary = match move_all(settings, signals, &counters, &mut reporter) {
        Ok(summary) => Summary { elapsed: begun.elapsed(), ..summary },
        Err(error) => {
            // Its sources are told by the error itself: the chain would repeat them.
            reporter.error(&error);
            Summary { failed: 1, elapsed: begun.elapsed(), ..Summary::default() }
        }
    };
    let output = reporter.finish(&summary);
    if output == Finished::Whole && summary.failed == 0 && summary.declined == 0 && summary.not_reached == 0 {
        Ending::Done
    } else {
        Ending::Incomplete
    }
}

fn move_all(
    settings: Settings,
    signals: &Signals,
    counters: &Arc<Counters>,
    reporter: &mut Reporter,
) -> anyhow::Result<Summary> {
    let umask = crate::sys::clear_umask();
    let stop = Stop::new(signals.flag(), signals.second());
    let wants_paths = settings.wants_paths();
    let context = Context::new((settings.policy, settings.way), settings.sync, wants_paths, Arc::clone(counters), stop);
    let context =
        Arc::new(context.with_jobs(settings.jobs).with_max_errors(settings.max_errors).with_debug(settings.debug));
    let mkdir = match (settings.mkdir, settings.dry_run) {
        (false, _) => MakeDir::No,
        (true, true) => MakeDir::Pretend,
        (true, false) => MakeDir::Yes(0o777 & !umask),
    };
    let destination =
        resolve_destination(&settings.destination, settings.kind, settings.only.as_deref(), mkdir, settings.way)?;
    let target = destination.target.place.dir.id();
    context.sync_made(&destination.made_in).map_err(std::io::Error::from)?;
    let mut planner = Planner::new(destination, context.open_dirs / 2);
    if settings.parents {
        let base = settings.sources.base.as_ref().map(|base| base.as_os_str().as_bytes());
        planner = planner.keeping(base.unwrap_or_default());
    }
    let mut sources = settings.sources;
    sources.skip = Some((target.dev, target.ino));
    let candidates = sources.into_stream();
    if settings.dry_run {
        let failed = dry_run(&context, planner, reporter, candidates);
        // What would be moved was not: there is nothing to sum up.
        return Ok(Summary { failed, ..Summary::default() });
    }
    Coordinator::new(context, planner, reporter).run(candidates)
}
