//! Which words of a command line are options, as mv's users know it: clusters, abbreviations, options between
//! operands. Afterwards every option stands in full with its value, and clap has only values left to judge.
//!
//! Which options there are is clap's to say; what they mean is for `settings.rs`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::{ArgAction, Command};

use crate::error::Quoted;

use super::usage::Usage;

/// The long options of GNU mv, in the order in which it names them. An abbreviation means one of these before it means
/// one of pmove's own.
const LONG_OPTIONS_OF_MV: [&str; 16] = [
    "backup",
    "context",
    "debug",
    "exchange",
    "force",
    "interactive",
    "no-clobber",
    "no-copy",
    "no-target-directory",
    "strip-trailing-slashes",
    "suffix",
    "target-directory",
    "update",
    "verbose",
    "help",
    "version",
];

/// A command line, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// In the order given, each as `--name` or `--name=value`.
    pub(super) options: Vec<OsString>,
    pub(super) operands: Vec<OsString>,
    /// Operands that came after `--`.
    pub(super) literal: Vec<OsString>,
}

/// Where options may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Anywhere before `--`.
    Mixed,
    /// Before the first operand: what `POSIXLY_CORRECT` asks for.
    OptionsFirst,
}

/// The options that there are.
#[derive(Debug)]
pub(super) struct Grammar(Vec<Known>);

#[derive(Debug)]
struct Known {
    long: String,
    short: Option<char>,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    None,
    /// Behind an equals sign only.
    Optional,
    Required,
}

impl Grammar {
    /// `command` has been built, so that it has `--help` and `--version`.
    pub(super) fn of(command: &Command) -> Self {
        let known = command.get_arguments().filter_map(|arg| {
            let value = match arg.get_action() {
                ArgAction::Set | ArgAction::Append => {
                    let is_optional = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
                    if is_optional { Value::Optional } else { Value::Required }
                }
                _ => Value::None,
            };
            Some(Known { long: arg.get_long()?.to_owned(), short: arg.get_short(), value })
        });
        Self(known.collect())
    }

    /// Sorts the words of a command line, the program's name not among them.
    ///
    /// # Errors
    /// The first word that is not understood. Behind a call for help nothing is looked at.
    pub(super) fn sort(&self, words: impl IntoIterator<Item = OsString>, order: Order) -> Result<Words, Usage> {
        let mut words = words.into_iter();
        let mut sorted = Words::default();
        while let Some(word) = words.next() {
            let asks = match word.as_bytes() {
                b"--" => {
                    sorted.literal.extend(words);
                    break;
                }
                [b'-', b'-', ..] => self.long(&word, &mut words, &mut sorted.options)?,
                [b'-', cluster @ ..] if !cluster.is_empty() => self.short(cluster, &mut words, &mut sorted.options)?,
                _ => {
                    sorted.operands.push(word);
                    if order == Order::OptionsFirst {
                        sorted.operands.extend(words);
                        break;
                    }
                    false
                }
            };
            if asks {
                break;
            }
        }
        Ok(sorted)
    }

    /// One long option. Whether it asks for help or the version.
    fn long(
        &self,
        word: &OsStr,
        words: &mut impl Iterator<Item = OsString>,
        options: &mut Vec<OsString>,
    ) -> Result<bool, Usage> {
        let bytes = &word.as_bytes()[2..];
        let (name, value) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
            None => (bytes, None),
        };
        let known = self.find(name, word)?;
        let value = match (known.value, value) {
            (Value::None, Some(_)) => {
                return Err(Usage::hinted(format!("option '--{}' doesn't allow an argument", known.long)));
            }
            (Value::Required, None) => Some(
                words.next().ok_or_else(|| Usage::hinted(format!("option '--{}' requires an argument", known.long)))?,
            ),
            (_, value) => value,
        };
        options.push(known.in_full(value.as_deref()));
        Ok(known.asks())
    }

    /// The option that `name` is, or is short for.
    fn find(&self, name: &[u8], word: &OsStr) -> Result<&Known, Usage> {
        if let Some(exact) = self.0.iter().find(|known| known.long.as_bytes() == name) {
            return Ok(exact);
        }
        let of_mv = LONG_OPTIONS_OF_MV.iter().filter_map(|long| self.0.iter().find(|known| known.long == *long));
        let mut meant: Vec<&Known> = of_mv.filter(|known| known.long.as_bytes().starts_with(name)).collect();
        if meant.is_empty() {
            meant = self.0.iter().filter(|known| known.long.as_bytes().starts_with(name)).collect();
        }
        match meant[..] {
            [] => Err(Usage::hinted(format!("unrecognized option {}", Quoted(word)))),
            [known] => Ok(known),
            _ => {
                let list: Vec<String> = meant.iter().map(|known| format!(" '--{}'", known.long)).collect();
                let word = Quoted(word);
                Err(Usage::hinted(format!("option {word} is ambiguous; possibilities:{}", list.concat())))
            }
        }
    }

    /// The letters behind one dash, the last of which may have its value behind it or in the next word. Whether one
    /// asks for help or the version.
    fn short(
        &self,
        mut cluster: &[u8],
        words: &mut impl Iterator<Item = OsString>,
        options: &mut Vec<OsString>,
    ) -> Result<bool, Usage> {
        while let [letter, rest @ ..] = cluster {
            let letter = char::from(*letter);
            let Some(known) = self.0.iter().find(|known| known.short == Some(letter)) else {
                return Err(Usage::hinted(format!("invalid option -- {}", Quoted(first_character(cluster)))));
            };
            if known.asks() {
                options.push(format!("-{letter}").into());
                return Ok(true);
            }
            if known.value == Value::Required {
                let value = match rest {
                    [] => words.next(),
                    _ => Some(OsStr::from_bytes(rest).to_owned()),
                };
                let value = value.ok_or_else(|| Usage::hinted(format!("option requires an argument -- '{letter}'")))?;
                options.push(known.in_full(Some(&value)));
                return Ok(false);
            }
            options.push(known.in_full(None));
            cluster = rest;
        }
        Ok(false)
    }
}

impl Known {
    /// Whether it ends the command line: what follows is not looked at.
    fn asks(&self) -> bool {
        self.long == "help" || self.long == "version"
    }

    fn in_full(&self, value: Option<&OsStr>) -> OsString {
        let mut word = OsString::from(format!("--{}", self.long));
        if let Some(value) = value {
            word.push("=");
            word.push(value);
        }
        word
    }
}

/// The first character, or the first byte of what is none.
fn first_character(bytes: &[u8]) -> &OsStr {
    let length = match bytes.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()) {
        Some(character) => character.len_utf8(),
        None => 1,
    };
    OsStr::from_bytes(&bytes[..length])
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::args::Args;
    use super::*;

    fn grammar() -> Grammar {
        let mut command = Args::command();
        command.build();
        Grammar::of(&command)
    }

    fn sort_in(order: Order, line: &str) -> Result<Words, String> {
        let words = line.split_whitespace().map(OsString::from);
        grammar().sort(words, order).map_err(|usage| usage.message().to_owned())
    }

    fn sorted(line: &str) -> Words {
        sort_in(Order::Mixed, line).expect("a line that can be sorted")
    }

    fn words(options: &[&str], operands: &[&str], literal: &[&str]) -> Words {
        let own = |words: &[&str]| words.iter().map(OsString::from).collect();
        Words { options: own(options), operands: own(operands), literal: own(literal) }
    }

    fn fails(line: &str, message: &str) {
        assert_eq!(sort_in(Order::Mixed, line), Err(message.to_owned()), "{line}");
    }

    #[test]
    fn options_and_operands_mix() {
        assert_eq!(sorted("a -f b --verbose c"), words(&["--force", "--verbose"], &["a", "b", "c"], &[]));
        assert_eq!(sorted("-f -- -v b"), words(&["--force"], &[], &["-v", "b"]));
        assert_eq!(sorted("a -- --"), words(&[], &["a"], &["--"]));
        assert_eq!(sorted("- a"), words(&[], &["-", "a"], &[]));
    }

    #[test]
    fn with_options_first_all_after_an_operand_are_operands() {
        let sorted = |line| sort_in(Order::OptionsFirst, line).expect("a line that can be sorted");
        assert_eq!(sorted("-f a -v -- b"), words(&["--force"], &["a", "-v", "--", "b"], &[]));
        assert_eq!(sorted("-f -- -v b"), words(&["--force"], &[], &["-v", "b"]));
        assert_eq!(sorted("- -v"), words(&[], &["-", "-v"], &[]));
    }

    #[test]
    fn letters_cluster() {
        assert_eq!(sorted("-fTv a"), words(&["--force", "--no-target-directory", "--verbose"], &["a"], &[]));
        assert_eq!(sorted("-vtd a"), words(&["--verbose", "--target-directory=d"], &["a"], &[]));
        assert_eq!(sorted("-vt d a"), words(&["--verbose", "--target-directory=d"], &["a"], &[]));
        assert_eq!(sorted("-S -- a"), words(&["--suffix=--"], &["a"], &[]));
        assert_eq!(sorted("-bSb a"), words(&["--backup", "--suffix=b"], &["a"], &[]));
        // Neither takes a value here: both are letters.
        assert_eq!(sorted("-bu a"), words(&["--backup", "--update"], &["a"], &[]));
    }

    #[test]
    fn values_stand_behind_an_equals_sign_or_in_the_next_word() {
        assert_eq!(sorted("--suffix=.o a"), words(&["--suffix=.o"], &["a"], &[]));
        assert_eq!(sorted("--suffix .o a"), words(&["--suffix=.o"], &["a"], &[]));
        assert_eq!(sorted("--suffix= a"), words(&["--suffix="], &["a"], &[]));
        assert_eq!(sorted("--suffix --force a"), words(&["--suffix=--force"], &["a"], &[]));
        assert_eq!(sorted("--suffix a=b=c"), words(&["--suffix=a=b=c"], &[], &[]));
        // An optional one does not stand in the next word.
        assert_eq!(sorted("--backup simple"), words(&["--backup"], &["simple"], &[]));
        assert_eq!(sorted("--update=none"), words(&["--update=none"], &[], &[]));
    }

    #[test]
    fn mvs_abbreviations_are_not_taken_away() {
        for (short, long) in [
            ("--b=simple", "--backup=simple"),
            ("--target=.", "--target-directory=."),
            ("--t=.", "--target-directory=."),
            ("--int", "--interactive"),
            ("--i", "--interactive"),
            ("--f", "--force"),
            ("--c", "--context"),
            ("--d", "--debug"),
            ("--e", "--exchange"),
            ("--st", "--strip-trailing-slashes"),
            ("--su=x", "--suffix=x"),
            ("--u", "--update"),
            ("--no-cl", "--no-clobber"),
            ("--no-co", "--no-copy"),
            ("--no-t", "--no-target-directory"),
            ("--verb", "--verbose"),
        ] {
            assert_eq!(sorted(short), words(&[long], &[], &[]), "{short}");
        }
        fails("--no", "option '--no' is ambiguous; possibilities: '--no-clobber' '--no-copy' '--no-target-directory'");
        fails("--no-c=x", "option '--no-c=x' is ambiguous; possibilities: '--no-clobber' '--no-copy'");
        fails("--s", "option '--s' is ambiguous; possibilities: '--strip-trailing-slashes' '--suffix'");
        fails("--ver", "option '--ver' is ambiguous; possibilities: '--verbose' '--version'");
    }

    #[test]
    fn no_option_of_our_own_is_an_abbreviation_of_mvs() {
        for known in &grammar().0 {
            let taken = LONG_OPTIONS_OF_MV.iter().find(|long| **long != known.long && long.starts_with(&known.long));
            assert_eq!(taken, None, "--{}", known.long);
        }
        for long in LONG_OPTIONS_OF_MV {
            assert!(grammar().0.iter().any(|known| known.long == long), "--{long}");
        }
    }

    #[test]
    fn our_own_options_may_be_abbreviated_where_mv_has_none() {
        assert_eq!(sorted("--gl=x"), words(&["--glob=x"], &[], &[]));
        assert_eq!(sorted("--files x"), words(&["--files-from=x"], &[], &[]));
        assert_eq!(sorted("--dry"), words(&["--dry-run"], &[], &[]));
        fails("--m", "option '--m' is ambiguous; possibilities: '--mkdir' '--merge' '--max-errors'");
    }

    #[test]
    fn what_is_not_understood_is_told_in_getopts_words() {
        fails("--nosuch=x", "unrecognized option '--nosuch=x'");
        fails("-Q", "invalid option -- 'Q'");
        fails("-vQ", "invalid option -- 'Q'");
        fails("-u=x", "invalid option -- '='");
        fails("-vé", "invalid option -- 'é'");
        fails("-\u{1}", "invalid option -- ''$'\\001'");
        fails("--force=x", "option '--force' doesn't allow an argument");
        fails("--f=", "option '--force' doesn't allow an argument");
        fails("--target", "option '--target-directory' requires an argument");
        fails("-t", "option requires an argument -- 't'");
        fails("-vS", "option requires an argument -- 'S'");
        fails("--help=x", "option '--help' doesn't allow an argument");
    }

    #[test]
    fn behind_a_call_for_help_nothing_is_looked_at() {
        assert_eq!(sorted("a --help --nosuch"), words(&["--help"], &["a"], &[]));
        assert_eq!(sorted("-fh --nosuch"), words(&["--force", "-h"], &[], &[]));
        assert_eq!(sorted("--vers -Q"), words(&["--version"], &[], &[]));
        fails("--nosuch --help", "unrecognized option '--nosuch'");
    }

    #[test]
    fn any_bytes_are_operands_and_values() {
        let word = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let line = [word(b"-S\xff"), word(b"\xfe=\n"), word(b"--suffix=\x80")];
        let sorted = grammar().sort(line, Order::Mixed).unwrap_or_default();
        assert_eq!(sorted.options, [word(b"--suffix=\xff"), word(b"--suffix=\x80")]);
        assert_eq!(sorted.operands, [word(b"\xfe=\n")]);
    }
}
