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

#[cfg(test)]
mod tests {
    use super::super::settings::{Settings, Surroundings, parse};

    fn parsed(line: &str) -> Result<Settings, String> {
        let words = line.split_whitespace().map(Into::into);
        parse(words, &Surroundings::default()).map_err(|early| early.message().to_owned())
    }

    fn fails(line: &str, message: &str) {
        assert_eq!(parsed(line).map(drop), Err(message.to_owned()), "{line}");
    }

    #[test]
    fn too_few_or_too_many_operands_are_told_in_mvs_words() {
        fails("mv", "missing file operand");
        fails("mv -t d", "missing file operand");
        fails("mv -T -t d", "missing file operand");
        fails("mv a", "missing destination file operand after 'a'");
        fails("mv -- -f", "missing destination file operand after '-f'");
        fails("mv -T a b c d", "extra operand 'c'");
        fails("mv -T a -- b c", "extra operand 'c'");
        fails("mv -t d -t d a", "multiple target directories specified");
        fails("mv -T -t d a", "cannot combine --target-directory (-t) and --no-target-directory (-T)");
    }

    #[test]
    fn patterns_and_lists_are_sources_too() {
        fails("pmove -g x*", "missing destination file operand");
        fails("pmove -T -g x* d", "--no-target-directory (-T) takes exactly one source");
        fails("pmove -T x* d", "--no-target-directory (-T) takes exactly one source");
        fails("pmove -0 a d", "--null needs a list: --files-from FILE, or - DEST");
        fails("pmove -T --parents a d", "cannot combine --parents with --no-target-directory (-T)");
        let settings = parsed("pmove -t d -g x*").expect("a line that can be followed");
        assert!(settings.only.is_none() && settings.sources.operands.is_empty());
    }

    #[test]
    fn h64_nobody_is_asked_while_the_list_is_on_standard_input() {
        let message = "cannot ask anything: the list is on standard input, where the answers would be";
        fails("pmove -i - d", message);
        fails("pmove --on-conflict ask --files-from - d", message);
        // The last word counts, and as mv a dash is a name.
        assert!(parsed("pmove -if - d").is_ok());
        assert!(parsed("mv -i - d").is_ok());
    }

    #[test]
    fn slashes_are_taken_off_sources_and_not_off_dest() {
        let settings = parsed("mv --strip-trailing-slashes a// d/").expect("a line that can be followed");
        assert_eq!(settings.only.as_deref(), Some(&b"a"[..]));
        assert_eq!(settings.destination, b"d/");
        let candidates: Vec<_> = settings.sources.into_stream().flatten().map(|found| found.path).collect();
        assert_eq!(candidates, [Box::from(&b"a"[..])]);
        let settings = parsed("mv a// d/").expect("a line that can be followed");
        assert_eq!(settings.only.as_deref(), Some(&b"a//"[..]));
    }
}
