//! A command line, as the model understands it and as the program gets it.

use std::fmt;
use std::path::Path;

use super::world::{Roots, Side};
use crate::common::run::Pmove;

/// A path as the user writes it.
#[derive(Clone)]
pub struct Word {
    /// None for a path that begins where the program works; else an absolute one.
    pub side: Option<Side>,
    /// `./` at its beginning.
    pub has_dot: bool,
    pub names: Vec<&'static str>,
    /// At its end.
    pub slashes: usize,
}

impl Word {
    pub fn text(&self) -> String {
        let names = self.names.join("/");
        let slashes = "/".repeat(self.slashes);
        match (self.side, self.has_dot) {
            (Some(side), _) if names.is_empty() => format!("{}{slashes}", side.mark()),
            (Some(side), _) => format!("{}/{names}{slashes}", side.mark()),
            (None, true) => format!("./{names}{slashes}"),
            (None, false) => format!("{names}{slashes}"),
        }
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}

/// What is to be moved.
#[derive(Clone, Debug)]
pub enum Sources {
    /// Operands, in which there may be patterns, then patterns of `-g`.
    Words {
        operands: Vec<Word>,
        patterns: Vec<&'static str>,
        is_literal: bool,
        allow_empty: bool,
    },
    List {
        words: Vec<Word>,
        null: bool,
        how: ListFrom,
    },
}

/// Where a list is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFrom {
    /// `pmove - DEST`
    Dash,
    /// `--files-from -`
    Input,
    /// `--files-from FILE`
    File,
}

/// How DEST is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestKind {
    Operand,
    /// `-t`
    Directory,
    /// `-T`
    Name,
}

/// What is to be done with targets that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Default,
    Force,
    NoClobber,
    /// The last one wins.
    ForceNoClobber,
    NoClobberForce,
    Fail,
    KeepBoth,
    SimpleBackup,
    NumberedBackup,
}

impl Policy {
    pub fn skips(self) -> bool {
        matches!(self, Self::NoClobber | Self::ForceNoClobber)
    }

    /// Whether what stands at a target stays, under this name or another.
    pub fn keeps_targets(self) -> bool {
        !matches!(self, Self::Default | Self::Force | Self::NoClobberForce)
    }

    /// Whether files get other names than the plain ones.
    pub fn gives_other_names(self) -> bool {
        matches!(self, Self::KeepBoth | Self::SimpleBackup | Self::NumberedBackup)
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Default => &[],
            Self::Force => &["-f"],
            Self::NoClobber => &["-n"],
            Self::ForceNoClobber => &["-fn"],
            Self::NoClobberForce => &["--no-clobber", "--force"],
            Self::Fail => &["--on-conflict=fail"],
            Self::KeepBoth => &["--on-conflict=keep-both"],
            Self::SimpleBackup => &["--backup=simple"],
            Self::NumberedBackup => &["--backup=numbered"],
        }
    }
}

/// A whole command line.
#[derive(Clone, Debug)]
pub struct Command {
    pub sources: Sources,
    pub dest: Word,
    pub kind: DestKind,
    pub policy: Policy,
    pub jobs: u8,
    pub syncs: bool,
    /// Works elsewhere and takes sources relative to the tree by `-C`.
    pub has_base: bool,
}

impl Command {
    /// What stands before a relative source.
    pub fn base(&self) -> &'static str {
        if self.has_base { "{S}/" } else { "" }
    }

    /// The one source, if DEST may be its new name.
    pub fn only(&self) -> Option<&Word> {
        match &self.sources {
            Sources::Words { operands, patterns, .. } if patterns.is_empty() && operands.len() == 1 => operands.first(),
            _ => None,
        }
    }

    /// Whether an operand is a pattern where nothing has its name.
    pub fn has_operand_like_a_pattern(&self) -> bool {
        match &self.sources {
            Sources::Words { operands, is_literal: false, .. } => operands.iter().any(|word| word.text().contains('*')),
            _ => false,
        }
    }

    /// The program, ready to be run, with some more `options`. `list` is a path outside of both trees, for a list.
    pub fn pmove(&self, roots: &Roots, list: &Path, options: &[&str]) -> Pmove {
        let mut pmove = Pmove::new().args(["-j", &self.jobs.to_string()]).args(self.policy.options()).args(options);
        if !self.syncs {
            pmove = pmove.arg("--sync=none");
        }
        pmove = if self.has_base {
            pmove.cwd(list.parent().expect("in a directory")).args(["-C", &roots.0[0]])
        } else {
            pmove.cwd(&roots.0[0])
        };
        let dest = roots.fill_in(&self.dest.text());
        match self.kind {
            DestKind::Operand => {}
            DestKind::Directory => pmove = pmove.args(["-t", &dest]),
            DestKind::Name => pmove = pmove.arg("-T"),
        }
        pmove = match &self.sources {
            Sources::Words { operands, patterns, is_literal, allow_empty } => {
                for pattern in patterns {
                    pmove = pmove.args(["-g", &roots.fill_in(pattern)]);
                }
                if *allow_empty {
                    pmove = pmove.arg("--allow-empty");
                }
                // After `--` nothing is an option or a pattern.
                if *is_literal {
                    pmove = pmove.arg("--");
                }
                pmove.args(operands.iter().map(|word| roots.fill_in(&word.text())))
            }
            Sources::List { words, null, how } => {
                let separator = if *null { "\0" } else { "\n" };
                let names: Vec<String> = words.iter().map(|word| roots.fill_in(&word.text())).collect();
                let text = names.join(separator);
                if *null {
                    pmove = pmove.arg("-0");
                }
                match how {
                    ListFrom::Dash if self.kind == DestKind::Operand => pmove.arg("-").stdin(text),
                    ListFrom::Dash | ListFrom::Input => pmove.args(["--files-from", "-"]).stdin(text),
                    ListFrom::File => {
                        std::fs::write(list, text).expect("writing the list");
                        pmove.arg("--files-from").arg(list)
                    }
                }
            }
        };
        if self.kind == DestKind::Directory { pmove } else { pmove.arg(dest) }
    }
}
