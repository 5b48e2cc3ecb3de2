//! What is said instead of running: usage errors in mv's words, help, the version.

use std::ffi::OsString;
use std::io::Write;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Ending;

/// A command line that cannot be followed.
#[derive(Debug)]
pub(super) struct Usage {
    message: String,
    /// It ends with a hint at `--help`.
    hint: bool,
}

impl Usage {
    pub(super) fn plain(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: false }
    }

    pub(super) fn hinted(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: true }
    }
}

/// What is said instead of running.
#[derive(Debug)]
pub(super) enum Early {
    Usage(&'static str, Usage),
    /// Help or version, as clap has laid it out.
    Asked(&'static str, String),
}

impl Early {
    /// `args`: the command line, the program's name first.
    pub(super) fn from_clap(program: &'static str, error: &clap::Error, args: &[OsString]) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self::Asked(program, error.render().to_string()),
            _ => Self::Usage(program, in_mvs_words(error, args)),
        }
    }

    /// Says it. How the process is to end.
    pub(super) fn say(self) -> Ending {
        match self {
            Self::Usage(program, Usage { message, hint }) => {
                let hint = if hint { format!("Try '{program} --help' for more information.\n") } else { String::new() };
                // Where even this cannot be said, the exit code says it.
                std::io::stderr().write_all(format!("{program}: {message}\n{hint}").as_bytes()).ok();
                Ending::Incomplete
            }
            Self::Asked(program, text) => {
                let mut out = std::io::stdout();
                match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                    Ok(()) => Ending::Done,
                    Err(error) => {
                        let errno = rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
                        let message = format!("{program}: write error: {}\n", crate::error::Cause(errno));
                        std::io::stderr().write_all(message.as_bytes()).ok();
                        Ending::Incomplete
                    }
                }
            }
        }
    }
}

fn in_mvs_words(error: &clap::Error, args: &[OsString]) -> Usage {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => word.clone(),
        _ => String::new(),
    };
    let argument = word(ContextKind::InvalidArg);
    // clap names an option with its value: "--jobs <N|auto>".
    let option = argument.split_whitespace().next().unwrap_or_default().to_owned();
    match error.kind() {
        ErrorKind::UnknownArgument => match option.strip_prefix("--") {
            Some(_) => {
                // As it was written, with what stands behind its equals sign.
                let mut written = args.iter().filter_map(|arg| arg.to_str());
                let whole = written.find(|arg| arg.split('=').next() == Some(&option));
                Usage::hinted(format!("unrecognized option '{}'", whole.unwrap_or(&option)))
            }
            None => Usage::hinted(format!("invalid option -- '{}'", option.trim_start_matches('-'))),
        },
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = word(ContextKind::InvalidValue);
            if value.is_empty() && error.kind() == ErrorKind::InvalidValue {
                // It can only be missing at the end.
                let last = args.last().and_then(|arg| arg.to_str()).unwrap_or_default();
                return Usage::hinted(match last.chars().last() {
                    Some(letter) if !last.starts_with("--") => format!("option requires an argument -- '{letter}'"),
                    _ => format!("option '{option}' requires an argument"),
                });
            }
            let valid = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(words)) => {
                    let list: Vec<String> = words.iter().map(|word| format!("\n  - '{word}'")).collect();
                    format!("\nValid arguments are:{}", list.concat())
                }
                _ => std::error::Error::source(error).map(|why| format!(": {why}")).unwrap_or_default(),
            };
            Usage::hinted(format!("invalid argument '{value}' for '{option}'{valid}"))
        }
        ErrorKind::TooManyValues => Usage::hinted(format!("option '{option}' doesn't allow an argument")),
        _ => Usage::hinted(error.to_string().trim_start_matches("error: ").trim_end().to_owned()),
    }
}
