//! What is said instead of running: usage errors in mv's words, help, the version.

use std::io::Write;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::Quoted;

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

    /// Two options that make no sense together.
    pub(super) fn cannot_combine(one: &str, other: &str) -> Self {
        Self::hinted(format!("cannot combine {one} with {other}"))
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
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
    pub(super) fn from_clap(program: &'static str, error: &clap::Error) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self::Asked(program, error.render().to_string()),
            _ => Self::Usage(program, in_mvs_words(error)),
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

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Usage(_, usage) => usage.message(),
            Self::Asked(_, text) => text,
        }
    }
}

/// What clap has against a value: which options there are, and which have values, `words.rs` has seen to.
fn in_mvs_words(error: &clap::Error) -> Usage {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => word.clone(),
        _ => String::new(),
    };
    let argument = word(ContextKind::InvalidArg);
    // clap names an option with its value: "--jobs <N|auto>".
    let option = argument.split_whitespace().next().unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let valid = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(words)) => {
                    let list: Vec<String> = words.iter().map(|word| format!("\n  - '{word}'")).collect();
                    format!("\nValid arguments are:{}", list.concat())
                }
                _ => std::error::Error::source(error).map(|why| format!(": {why}")).unwrap_or_default(),
            };
            let value = word(ContextKind::InvalidValue);
            Usage::hinted(format!("invalid argument {} for '{option}'{valid}", Quoted(&value)))
        }
        _ => Usage::hinted(error.to_string().trim_start_matches("error: ").trim_end().to_owned()),
    }
}
