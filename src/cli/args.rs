//! The command line as it is written: one definition, from which parsing, help and completions come.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Command, Parser, ValueEnum};

use crate::crew::Jobs;

/// Moves files: renames where the kernel can, copies where it must, on all cores, and never loses one.
#[derive(Debug, Parser)]
#[command(
    name = "pmove",
    version,
    disable_help_subcommand = true,
    args_override_self = true,
    max_term_width = 100,
    override_usage = "pmove [OPTIONS] SOURCE... DEST\n       pmove [OPTIONS] -t DIR SOURCE...\n       pmove [OPTIONS] --files-from FILE DEST\n       ... | pmove [OPTIONS] - DEST",
    after_help = AFTER_HELP
)]
#[allow(clippy::doc_markdown, reason = "these comments are the help text")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch that the user may write; settings.rs gives them meaning"
)]
pub(super) struct Args {
    /// What to move, and where to
    ///
    /// A SOURCE that names nothing and holds a * is a pattern that pmove expands itself, however many files match.
    #[arg(value_name = "SOURCE... DEST")]
    pub(super) operands: Vec<OsString>,

    /// Operands that are never patterns: those after --
    #[arg(skip)]
    pub(super) literal: Vec<OsString>,

    /// Move every SOURCE into DIR, which must be a directory, unless --mkdir makes it
    #[arg(short = 't', long, value_name = "DIR", help_heading = "Target", action = ArgAction::Append)]
    pub(super) target_directory: Vec<OsString>,

    /// Take DEST for the new name of the one SOURCE, even if it is a directory
    #[arg(short = 'T', long, help_heading = "Target")]
    pub(super) no_target_directory: bool,

    /// Keep the path of each SOURCE below DEST
    #[arg(long, help_heading = "Target")]
    pub(super) parents: bool,

    /// Make DEST, with what is missing on the way, as a directory; with -T, the directory that it is to be in
    #[arg(long, help_heading = "Target")]
    pub(super) mkdir: bool,

    /// Merge a directory into an existing one, file by file; an existing file is a failure unless a conflict option is given
    #[arg(long, help_heading = "Target")]
    pub(super) merge: bool,

    /// Take slashes off the end of each SOURCE
    #[arg(long, help_heading = "Sources")]
    pub(super) strip_trailing_slashes: bool,

    /// Replace existing targets, and ask nothing; the last of -i, -f and -n counts
    #[arg(short = 'f', long, help_heading = "Conflicts", overrides_with_all = ["no_clobber", "interactive"])]
    pub(super) force: bool,

    /// Ask before replacing an existing target; no is a failure
    #[arg(short = 'i', long, help_heading = "Conflicts", overrides_with_all = ["no_clobber", "force"])]
    pub(super) interactive: bool,

    /// Leave existing targets, and the sources that would replace them, alone
    #[arg(short = 'n', long, help_heading = "Conflicts", overrides_with_all = ["force", "interactive"])]
    pub(super) no_clobber: bool,

    /// Which existing targets to replace: older (also without a word), all, none, or none-fail (a failure where there is one)
    #[arg(short = 'u', long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "older", help_heading = "Conflicts")]
    pub(super) update: Option<OsString>,

    /// What to do about an existing target, in one word
    #[arg(long, value_name = "WORD", help_heading = "Conflicts")]
    pub(super) on_conflict: Option<ConflictWord>,

    /// Keep what is replaced, as NAME~ or NAME.~1~; CONTROL is numbered, simple, existing (numbered if there are such) or none
    ///
    /// Without a word, $VERSION_CONTROL has it, else it is existing.
    #[arg(short = 'b', long, value_name = "CONTROL", num_args = 0..=1, require_equals = true, default_missing_value = "", help_heading = "Conflicts")]
    pub(super) backup: Vec<OsString>,

    /// What a simple backup's name ends with, instead of $SIMPLE_BACKUP_SUFFIX or ~; implies --backup
    #[arg(short = 'S', long, value_name = "SUFFIX", help_heading = "Conflicts")]
    pub(super) suffix: Option<OsString>,

    /// Let each SOURCE and its target, which must exist, change places, in one step
    #[arg(long, help_heading = "Running")]
    pub(super) exchange: bool,

    /// Rename only: what would have to be copied is an error
    #[arg(long, help_heading = "Running")]
    pub(super) no_copy: bool,

    /// Say how each file is copied; implies -v
    #[arg(long, help_heading = "Output", overrides_with = "quiet")]
    pub(super) debug: bool,

    /// Accepted, and without effect
    #[arg(short = 'Z', long, help_heading = "Running")]
    pub(super) context: bool,

    /// Move what matches PATTERN; may be given several times
    #[arg(short = 'g', long, value_name = "PATTERN", help_heading = "Sources")]
    pub(super) glob: Vec<OsString>,

    /// Move what is listed in FILE, one name a line; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Sources")]
    pub(super) files_from: Option<PathBuf>,

    /// Names in the list end with a NUL byte, not with a newline
    #[arg(short = '0', long, help_heading = "Sources")]
    pub(super) null: bool,

    /// Take sources, patterns and the names in lists relative to DIR
    #[arg(short = 'C', long, value_name = "DIR", help_heading = "Sources")]
    pub(super) base: Option<PathBuf>,

    /// A pattern without a match is no error
    #[arg(long, help_heading = "Sources")]
    pub(super) allow_empty: bool,

    /// Patterns stay on the file system that they begin on
    #[arg(short = 'x', long, help_heading = "Sources")]
    pub(super) one_file_system: bool,

    /// Work on N files at once (1 to 1024), or on as many as are of use; $PMOVE_JOBS sets another default
    #[arg(short = 'j', long, value_name = "N|auto", default_value = "auto", value_parser = parse_jobs, env = "PMOVE_JOBS", hide_env = true, help_heading = "Running")]
    pub(super) jobs: Jobs,

    /// When to make copies durable: before their sources are removed, or not at all, as mv
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Running")]
    pub(super) sync: SyncWord,

    /// Take no more work after N failures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Running")]
    pub(super) max_errors: Option<u64>,

    /// Say what would be moved, and move nothing
    #[arg(long, help_heading = "Running")]
    pub(super) dry_run: bool,

    /// Say what is moved
    #[arg(short = 'v', long, help_heading = "Output", overrides_with = "quiet")]
    pub(super) verbose: bool,

    /// Say nothing but errors
    #[arg(short = 'q', long, help_heading = "Output", overrides_with_all = ["verbose", "debug"])]
    pub(super) quiet: bool,

    /// When to show progress
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = progress_words(), help_heading = "Output")]
    pub(super) progress: crate::report::ProgressMode,
}

/// The same options for who calls it `mv`: in its name, and without what it then does not do.
pub(super) fn as_mv(command: Command) -> Command {
    command
        .name("mv")
        .version(concat!("(pmove) ", env!("CARGO_PKG_VERSION")))
        .override_usage("mv [OPTIONS] SOURCE... DEST\n       mv [OPTIONS] -t DIR SOURCE...")
        .after_help(EXIT_STATUS)
}

const EXIT_STATUS: &str = "Exit status: 0 if everything asked for is done, 1 if something is not.";

const AFTER_HELP: &str = "\
Exit status: 0 if everything asked for is done, 1 if something is not.

Examples:
  pmove *.csv archive/                     as mv, on all cores
  pmove 'in/**/*.csv' archive/             a pattern for pmove: no limit on how many match
  find . -mtime +30 -print0 | pmove -0 - /mnt/old/
  pmove -n -t /mnt/backup photos music     leave what is there alone";

fn parse_jobs(word: &str) -> Result<Jobs, String> {
    if word == "auto" {
        return Ok(Jobs::Auto);
    }
    // More threads than this have never been of use, and the kernel may refuse them.
    match word.parse::<NonZeroUsize>() {
        Ok(jobs) if jobs.get() <= 1024 => Ok(Jobs::Exactly(jobs)),
        _ => Err("a number from 1 to 1024, or 'auto'".to_owned()),
    }
}

/// The words of `--on-conflict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConflictWord {
    /// Replace it, as -f
    Overwrite,
    /// Leave both alone, and say nothing, as -n
    Skip,
    /// Leave both alone, as a failure, as --update=none-fail
    Fail,
    /// Replace it if it is older, as -u
    ReplaceOlder,
    /// Give the source the first free name of the kind 'name (1).ext'
    KeepBoth,
    /// Remove the source if the target has the same content
    DropIdentical,
    /// Ask, as -i
    Ask,
}

/// The words of `--sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SyncWord {
    /// Nothing is removed before its copy is durable
    Auto,
    /// As mv does it
    None,
}

fn progress_words() -> impl TypedValueParser<Value = crate::report::ProgressMode> {
    PossibleValuesParser::new(["auto", "always", "never"]).map(|word| match word.as_str() {
        "always" => crate::report::ProgressMode::Always,
        "never" => crate::report::ProgressMode::Never,
        _ => crate::report::ProgressMode::Auto,
    })
}
