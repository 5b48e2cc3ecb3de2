//! Which words are sources and which is DEST.

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::error::{MoveError, Quoted};
use crate::item::path_from;
use crate::plan::DestinationKind;
use crate::source::{List, Operand, Sources, classify};

use super::args::Args;
use super::usage::Usage;

/// What is to be moved, and where to.
pub(super) struct Route {
    pub(super) sources: Sources,
    pub(super) destination: Vec<u8>,
    pub(super) kind: DestinationKind,
    /// The one source, if there is but one and it is no pattern.
    pub(super) only: Option<Vec<u8>>,
}

/// Takes `- DEST`, exactly these two operands, for a list on standard input.
pub(super) fn take_dash(args: &mut Args) {
    if args.literal.is_empty() && args.files_from.is_none() && args.operands.len() == 2 && args.operands[0] == "-" {
        args.operands.remove(0);
        args.files_from = Some("-".into());
    }
}

/// Checks how many operands there are, and of what kind.
///
/// # Errors
/// Too few, too many, or what makes no sense with them.
pub(super) fn check(args: &Args) -> Result<(), Usage> {
    let given = args.operands.len() + args.literal.len();
    let has_other_sources = args.files_from.is_some() || !args.glob.is_empty();
    let has_directory = !args.target_directory.is_empty();
    let needed = usize::from(!has_directory) + usize::from(!has_other_sources);
    if given < needed {
        let only = args.operands.iter().chain(&args.literal).next();
        return Err(Usage::hinted(match only {
            Some(only) => format!("missing destination file operand after {}", Quoted(only)),
            None if has_other_sources => "missing destination file operand".to_owned(),
            None => "missing file operand".to_owned(),
        }));
    }
    if args.target_directory.len() > 1 {
        return Err(Usage::plain("multiple target directories specified"));
    }
    if args.no_target_directory {
        if has_directory {
            return Err(Usage::plain("cannot combine --target-directory (-t) and --no-target-directory (-T)"));
        }
        if has_other_sources {
            return Err(Usage::plain("--no-target-directory (-T) takes exactly one source"));
        }
        if let Some(third) = args.operands.iter().chain(&args.literal).nth(2) {
            return Err(Usage::hinted(format!("extra operand {}", Quoted(third))));
        }
        if args.parents {
            return Err(Usage::cannot_combine("--parents", "--no-target-directory (-T)"));
        }
    }
    if args.null && args.files_from.is_none() {
        return Err(Usage::hinted("--null needs a list: --files-from FILE, or - DEST"));
    }
    Ok(())
}

/// Sorts the operands. `is_mv`: none of them is a pattern.
///
/// # Errors
/// A list that cannot be read, or a pattern where there must be one name.
pub(super) fn route(args: &mut Args, is_mv: bool) -> Result<Route, Usage> {
    let (mut operands, mut literal) = (std::mem::take(&mut args.operands), std::mem::take(&mut args.literal));
    let directory = args.target_directory.pop();
    let kind = match (&directory, args.no_target_directory) {
        (Some(_), _) => DestinationKind::Directory,
        (None, true) => DestinationKind::Name,
        (None, false) => DestinationKind::Operand,
    };
    // That there is one has been checked.
    let destination = directory.or_else(|| literal.pop()).or_else(|| operands.pop()).unwrap_or_default();
    let base = args.base.as_deref();
    let strips = args.strip_trailing_slashes;
    let operands: Vec<Operand> = operands
        .into_iter()
        .map(|operand| if is_mv { Operand::Literal(operand) } else { classify(operand, base) })
        .chain(literal.into_iter().map(Operand::Literal))
        .collect();
    let only = match &operands[..] {
        [Operand::Literal(only)] if args.files_from.is_none() && args.glob.is_empty() => {
            Some(under(base, if strips { stripped(only) } else { only }))
        }
        _ => None,
    };
    if kind == DestinationKind::Name && only.is_none() {
        return Err(Usage::plain("--no-target-directory (-T) takes exactly one source"));
    }
    let list = args.files_from.take().map(|name| open_list(&name, args.null)).transpose()?;
    let sources = Sources {
        operands,
        globs: std::mem::take(&mut args.glob),
        list,
        base: args.base.take(),
        allow_empty: args.allow_empty,
        one_file_system: args.one_file_system,
        strip_slashes: strips,
        skip: None,
    };
    Ok(Route { sources, destination: destination.into_vec(), kind, only })
}

fn stripped(name: &OsStr) -> &OsStr {
    OsStr::from_bytes(crate::source::without_slashes(name.as_bytes()))
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
