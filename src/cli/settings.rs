//! What the words mean: resolved once, checked against each other, and then handed out in parts.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;

use clap::{CommandFactory, FromArgMatches};

use crate::crew::Jobs;
use crate::item::{Policy, Way};
use crate::plan::DestinationKind;
use crate::report::{ProgressMode, Verbosity};
use crate::source::Sources;
use crate::transfer::SyncMode;

use super::args::{Args, SyncWord};
use super::operands::{self, Route};
use super::policy::policy;
use super::usage::Early;
use super::words::{Grammar, Order, Words};

/// Everything a run needs to know from the user.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is what one option says, and goes to where it is meant for")]
pub(super) struct Settings {
    /// What the program calls itself.
    pub(super) program: String,
    pub(super) sources: Sources,
    pub(super) destination: Vec<u8>,
    pub(super) kind: DestinationKind,
    /// The one source, if there is but one and it is no pattern.
    pub(super) only: Option<Vec<u8>>,
    pub(super) policy: Policy,
    pub(super) way: Way,
    /// Keep the path of each source below the destination.
    pub(super) parents: bool,
    /// Make the destination if it is not there.
    pub(super) mkdir: bool,
    pub(super) sync: SyncMode,
    pub(super) jobs: Jobs,
    /// After so many failures no more work is taken.
    pub(super) max_errors: Option<u64>,
    pub(super) dry_run: bool,
    /// Say how each file is copied.
    pub(super) debug: bool,
    pub(super) verbosity: Verbosity,
    pub(super) progress: ProgressMode,
}

/// What else than the command line has a say in what it means, as mv has it.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// `POSIXLY_CORRECT` is set.
    pub(super) posixly_correct: bool,
    /// `VERSION_CONTROL`.
    pub(super) version_control: Option<OsString>,
    /// `SIMPLE_BACKUP_SUFFIX`.
    pub(super) simple_backup_suffix: Option<OsString>,
    /// Somebody may be there to answer.
    pub(super) stdin_is_terminal: bool,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        Self {
            posixly_correct: std::env::var_os("POSIXLY_CORRECT").is_some(),
            version_control: std::env::var_os("VERSION_CONTROL"),
            simple_backup_suffix: std::env::var_os("SIMPLE_BACKUP_SUFFIX"),
            stdin_is_terminal: std::io::stdin().is_terminal(),
        }
    }
}

impl Settings {
    /// Whether somebody will read the paths of what went well.
    pub(super) fn wants_paths(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }
}

/// Reads the command line.
///
/// # Errors
/// What is to be said instead of running: a usage error, help, or the version.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>, surroundings: &Surroundings) -> Result<Settings, Early> {
    let mut args = args.into_iter();
    let program = match args.next().as_deref().map(|name| Path::new(name).file_name()) {
        Some(Some(name)) if name == "mv" => "mv",
        _ => "pmove",
    };
    let mut command = if program == "mv" { super::args::as_mv(Args::command()) } else { Args::command() };
    command.build();
    let order = if surroundings.posixly_correct { Order::OptionsFirst } else { Order::Mixed };
    let usage = |usage| Early::Usage(program, usage);
    let Words { options, operands, literal } = Grammar::of(&command).sort(args, order).map_err(usage)?;
    let matches = command.try_get_matches_from(std::iter::once(program.into()).chain(options));
    let args = matches.and_then(|matches| Args::from_arg_matches(&matches));
    let args = args.map_err(|error| Early::from_clap(program, &error))?;
    resolve(Args { operands, literal, ..args }, program, surroundings).map_err(usage)
}

fn resolve(mut args: Args, program: &str, surroundings: &Surroundings) -> Result<Settings, super::usage::Usage> {
    let is_mv = program == "mv";
    if !is_mv {
        operands::take_dash(&mut args);
    }
    operands::check(&args)?;
    let (policy, way) = policy(&args, surroundings)?;
    let Route { sources, destination, kind, only } = operands::route(&mut args, is_mv)?;
    Ok(Settings {
        program: program.to_owned(),
        sources,
        destination,
        kind,
        only,
        policy,
        way,
        parents: args.parents,
        mkdir: args.mkdir,
        sync: match args.sync {
            SyncWord::Auto => SyncMode::Auto,
            SyncWord::None => SyncMode::None,
        },
        jobs: args.jobs,
        max_errors: args.max_errors,
        dry_run: args.dry_run,
        debug: args.debug,
        verbosity: match (args.verbose || args.debug, args.quiet) {
            (true, _) => Verbosity::Verbose,
            (_, true) => Verbosity::Quiet,
            _ => Verbosity::Normal,
        },
        progress: args.progress,
    })
}
