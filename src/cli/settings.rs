//! What the words mean: resolved once, checked against each other, and then handed out in parts.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use clap::Parser;

use crate::error::{MoveError, Quoted};
use crate::exec::Pace;
use crate::item::{Ask, Backup, BackupKind, Conflict, Policy, Way, path_from};
use crate::plan::DestinationKind;
use crate::report::{ProgressMode, Verbosity};
use crate::source::{List, Operand, Sources, classify};
use crate::transfer::SyncMode;

use super::args::{Args, ConflictWord, Jobs, SyncWord};
use super::usage::{Early, Usage};

/// Everything a run needs to know from the user.
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
    pub(super) pace: Pace,
    /// After so many failures no more work is taken.
    pub(super) max_errors: Option<u64>,
    pub(super) dry_run: bool,
    /// Say how each file is copied.
    pub(super) debug: bool,
    pub(super) verbosity: Verbosity,
    pub(super) progress: ProgressMode,
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
pub(super) fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Settings, Early> {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = match args.first().map(|name| Path::new(name).file_name()) {
        Some(Some(name)) if name == "mv" => "mv",
        _ => "pmove",
    };
    match Args::try_parse_from(&args) {
        Ok(args) => resolve(args, program).map_err(|usage| Early::Usage(program, usage)),
        Err(error) => Err(Early::from_clap(program, &error, &args)),
    }
}

fn resolve(args: Args, program: &'static str) -> Result<Settings, Usage> {
    let mut args = args;
    let (mut operands, mut literal) = (std::mem::take(&mut args.operands), std::mem::take(&mut args.literal));
    let (target_directory, no_target_directory) =
        (std::mem::take(&mut args.target_directory), args.no_target_directory);
    let files_from = args.files_from.take();
    let is_mv = program == "mv";
    let (directory, more) = split_first(target_directory);
    if more {
        return Err(Usage::plain("multiple target directories specified"));
    }
    if directory.is_some() && no_target_directory {
        return Err(Usage::plain("cannot combine --target-directory (-t) and --no-target-directory (-T)"));
    }
    // "- DEST", exactly these two operands.
    let mut list = files_from;
    if !is_mv && literal.is_empty() && operands.len() == 2 && operands[0] == "-" && list.is_none() {
        operands.remove(0);
        list = Some("-".into());
    }
    if args.null && list.is_none() {
        return Err(Usage::hinted("--null needs a list: --files-from FILE, or - DEST"));
    }
    let has_other_sources = list.is_some() || !args.glob.is_empty();
    let destination = match &directory {
        Some(directory) => directory.clone(),
        None => take_destination(&mut operands, &mut literal, has_other_sources)?,
    };
    if directory.is_some() && operands.is_empty() && literal.is_empty() && !has_other_sources {
        return Err(Usage::hinted("missing file operand"));
    }
    let base = args.base.as_deref();
    let sources: Vec<Operand> = operands
        .into_iter()
        .map(|operand| if is_mv { Operand::Literal(operand) } else { classify(operand, base) })
        .chain(literal.into_iter().map(Operand::Literal))
        .collect();
    let only = match (&sources[..], has_other_sources) {
        ([Operand::Literal(only)], false) => Some(under(base, only)),
        _ => None,
    };
    if no_target_directory && only.is_none() {
        return Err(match sources.get(1) {
            Some(Operand::Literal(_)) if !has_other_sources => {
                let third = match sources.get(2) {
                    Some(Operand::Literal(third) | Operand::Pattern(third)) => third,
                    None => &destination,
                };
                Usage::hinted(format!("extra operand {}", Quoted(third)))
            }
            _ => Usage::plain("--no-target-directory (-T) takes exactly one source"),
        });
    }
    let list = list.map(|name| open_list(&name, args.null)).transpose()?;
    let policy = policy(&args);
    Ok(Settings {
        program: program.to_owned(),
        only,
        destination: destination.into_vec(),
        kind: match (directory.is_some(), no_target_directory) {
            (true, _) => DestinationKind::Directory,
            (_, true) => DestinationKind::Name,
            _ => DestinationKind::Operand,
        },
        sources: Sources {
            operands: sources,
            globs: args.glob,
            list,
            base: args.base,
            allow_empty: args.allow_empty,
            one_file_system: args.one_file_system,
            skip: None,
        },
        policy,
        way: match (args.exchange, args.no_copy) {
            (true, _) => Way::Exchange,
            (_, true) => Way::Rename,
            _ => Way::Any,
        },
        parents: args.parents,
        mkdir: args.mkdir,
        sync: match args.sync {
            SyncWord::Auto => SyncMode::Auto,
            SyncWord::None => SyncMode::None,
        },
        pace: Pace {
            jobs: match args.jobs {
                Jobs::Exactly(jobs) => jobs,
                Jobs::Auto => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            },
        },
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

/// What is to be done about targets that exist.
fn policy(args: &Args) -> Policy {
    let conflict = match (args.on_conflict, args.update.as_deref()) {
        (Some(ConflictWord::Skip), _) => Conflict::Skip,
        (Some(ConflictWord::Fail), _) => Conflict::Fail,
        (Some(ConflictWord::ReplaceOlder), _) => Conflict::ReplaceOlder,
        (Some(ConflictWord::KeepBoth), _) => Conflict::KeepBoth,
        (Some(ConflictWord::DropIdentical), _) => Conflict::DropIdentical,
        (Some(ConflictWord::Overwrite | ConflictWord::Ask), _) => Conflict::Overwrite,
        (None, _) if args.no_clobber => Conflict::Skip,
        (None, Some("older")) => Conflict::ReplaceOlder,
        (None, Some("none")) => Conflict::Skip,
        (None, Some("none-fail")) => Conflict::Fail,
        _ if args.update_older => Conflict::ReplaceOlder,
        _ if args.merge && !args.force => Conflict::Fail,
        _ => Conflict::Overwrite,
    };
    let asks = args.interactive || args.on_conflict == Some(ConflictWord::Ask);
    let has_backup = args.backup_existing || args.backup.is_some() || args.suffix.is_some();
    let suffix = args.suffix.as_ref().map_or(&b"~"[..], |suffix| suffix.as_bytes());
    Policy {
        conflict,
        ask: if asks { Ask::Always } else { Ask::Never },
        backup: has_backup.then(|| Backup {
            kind: match args.backup.as_deref() {
                Some("simple" | "never") => BackupKind::Simple,
                Some("numbered" | "t") => BackupKind::Numbered,
                _ => BackupKind::Existing,
            },
            suffix: suffix.into(),
        }),
        merge: args.merge,
    }
}

fn split_first(words: Vec<OsString>) -> (Option<OsString>, bool) {
    let mut words = words.into_iter();
    let first = words.next();
    (first, words.next().is_some())
}

/// Takes the last operand: DEST.
fn take_destination(
    operands: &mut Vec<OsString>,
    literal: &mut Vec<OsString>,
    has_other_sources: bool,
) -> Result<OsString, Usage> {
    let given = operands.len() + literal.len();
    match literal.pop().or_else(|| operands.pop()) {
        Some(destination) if given > 1 || has_other_sources => Ok(destination),
        Some(only) => Err(Usage::hinted(format!("missing destination file operand after {}", Quoted(&only)))),
        None if has_other_sources => Err(Usage::hinted("missing destination file operand")),
        None => Err(Usage::hinted("missing file operand")),
    }
}

/// A source as it is reached from the working directory.
fn under(base: Option<&Path>, source: &OsStr) -> Vec<u8> {
    match base {
        Some(base) if !source.is_empty() && !source.as_bytes().starts_with(b"/") => {
            base.join(source).into_os_string().into_vec()
        }
        _ => source.as_bytes().to_vec(),
    }
}

fn open_list(name: &Path, null: bool) -> Result<List, Usage> {
    // Not std's own handle on standard input: whether there is something to read cannot be asked through its buffer.
    let file = if name == Path::new("-") {
        std::io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(name)
    };
    let file = file.map_err(|error| {
        let source = rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
        let path = path_from(name.as_os_str().as_bytes().to_vec());
        Usage::plain(MoveError::ReadList { path, source }.to_string())
    })?;
    let input = Box::new(BufReader::with_capacity(64 << 10, file));
    Ok(List { name: name.to_owned(), input, separator: if null { 0 } else { b'\n' } })
}
