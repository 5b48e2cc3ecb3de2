//! Why a row may differ from GNU mv 9.1.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::row::{Outcome, Row};

/// A reason, and the rows that differ for it: names in which `*` stands for anything.
struct Reason {
    why: &'static str,
    rows: &'static [&'static str],
}

const REASONS: &[Reason] = &[
    Reason {
        why: "Options of mv 9.11, which 9.1 does not have",
        rows: &[
            "* | mv --n a b",
            "* | mv --no* a b",
            "* | mv --d* a b",
            "* | mv --e* a b",
            "* | mv --=x a b",
            "* | mv --update=x a b",
        ],
    },
    Reason {
        why: "Options of pmove's own (README: Differences, Words)",
        rows: &["* | mv -h a b", "* | mv -V a b", "* | mv -j 2 a b", "* | mv --base a b"],
    },
    Reason {
        why: "Help and version are pmove's own",
        rows: &["* | mv --help", "* | mv --version a b", "* | mv a --vers"],
    },
    Reason {
        why: "What was typed is quoted as names are, whatever bytes it has (README: Differences, Told otherwise)",
        rows: &["* | mv -\\x*", "* | mv --a\\x0ab a b", "* | mv --backup=it's a b", "* | mv -bv it's TO"],
    },
    Reason {
        why: "What cannot be removed is refused at once: ., .. and / (README: Differences, Safer)",
        rows: &[
            "* | mv / TO",
            "* | mv // TO",
            "* | mv --strip-trailing-slashes / TO",
            "* | mv -n . TO",
            "* | mv . TO*",
            "* | mv -T . TO/new",
            "* | mv .. TO",
            "other * | mv *. TO",
            "other * | mv --st d/./ TO",
        ],
    },
    Reason {
        why: "What cannot be removed is refused at once: a symlink with a slash behind it (README: Differences, Safer)",
        rows: &["* | S=D s=l:S* | mv s/ TO/t", "other | s=l:TO/t TO/*t=* | mv s/ TO/t", "other | * | mv ld/ TO*"],
    },
    Reason {
        why: "A slash behind a new name wants a directory, on another device too: as mv has it on one",
        rows: &["other * | mv -v s TO/t/", "other * | mv a TO/new/"],
    },
    Reason {
        why: "A target is named without the slash that was behind it (README: Differences, Told otherwise)",
        rows: &["same | s=d | mv -v s TO/t/", "same | s=D | mv -v s TO/t/"],
    },
    Reason {
        why: "--strip-trailing-slashes is for sources, and strips before anything is tried (README: Differences, Words)",
        rows: &[
            "* | mv --strip-trailing-slashes a TO/new/",
            "same * | mv --strip-trailing-slashes a/// TO/new",
            "same * | mv --strip-trailing-slashes ld/ TO/new",
        ],
    },
    Reason {
        why: "A slash behind what is no directory is an error, with -n too (README: Differences, Safer)",
        rows: &["same * | mv -n a/ b TO"],
    },
    Reason {
        why: "A backup that cannot be made is found out once the copy is staged, which changes DEST's time",
        rows: &["other | a=f TO/a=f TO/a~=d | mv -b* a TO", "other | d=D TO/d=D TO/d~=D | mv -b*"],
    },
    Reason {
        why: "Of two sources with one name the second is refused (README: Differences, Safer)",
        rows: &["* | mv a/d b/d TO", "* | mv b/d a/d TO", "* | mv -b a/d b/d TO", "* | mv -i a/f b/f TO <y,y"],
    },
    Reason {
        why: "A backup does not replace another name of the source (README: Differences, Safer)",
        rows: &["* | mv --backup=simple h a"],
    },
    Reason {
        why: "The command line is judged before files are looked at (README: Differences, Words)",
        rows: &["* | mv --backup=foo a b c"],
    },
    Reason {
        why: "Only what has been done is told (README: Differences, Told otherwise)",
        rows: &["other * | mv -v a TO/r/new"],
    },
];

/// What mv 9.11 does where the 9.1 that is installed does something else: a question that is answered with no is a failure,
/// what would replace a directory is named, and a target that the kernel will not have replaced is not "moved to".
pub(crate) fn as_of_today(row: &Row, mut outcome: Outcome) -> Outcome {
    let mut answers = row.answers().into_iter();
    let questions = outcome.stderr.matches("? ").count();
    let declined = (0..questions).filter(|_| !answers.next().is_some_and(|answer| answer.starts_with(['y', 'Y'])));
    if declined.count() > 0 {
        outcome.code = Some(1);
    }
    let lines = outcome.stderr.split_inclusive('\n');
    let lines: Vec<String> = lines.map(|line| not_empty(name_the_source(row, line))).collect();
    outcome.stderr = lines.concat().replace(
        "options --backup and --no-clobber are mutually exclusive",
        "cannot combine --backup with --exchange, -n, or --update=none-fail",
    );
    unordered(row, outcome)
}

fn name_the_source(row: &Row, line: &str) -> String {
    let target = line.split_once("mv: cannot overwrite directory '").map(|(_, rest)| rest);
    let Some(target) = target.and_then(|rest| rest.strip_suffix("' with non-directory\n")) else {
        return line.to_owned();
    };
    let sources = row.sources();
    let base = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let source = sources.iter().find(|source| base(source) == base(target)).unwrap_or(&sources[0]);
    let source = if row.line.contains("--strip") { source.trim_end_matches('/') } else { source };
    line.replace("non-directory\n", &format!("non-directory '{source}'\n"))
}

fn not_empty(line: String) -> String {
    let names = line.strip_prefix("mv: cannot move ").and_then(|rest| rest.strip_suffix(": Directory not empty\n"));
    match names.and_then(|names| names.split_once(" to ")) {
        Some((_, target)) => format!("mv: cannot overwrite {target}: Directory not empty\n"),
        None => line,
    }
}

/// In which order the entries of one directory are copied is nobody's promise.
pub(crate) fn unordered(row: &Row, mut outcome: Outcome) -> Outcome {
    if row.is_across && outcome.stdout.contains("created directory") {
        let mut lines: Vec<&str> = outcome.stdout.split_inclusive('\n').collect();
        lines.sort_unstable();
        outcome.stdout = lines.concat();
    }
    outcome
}

/// What differs by its reasons, and what has none.
pub(crate) fn explain(found: &BTreeMap<String, String>) -> (String, Vec<String>) {
    let mut rest = found.clone();
    let mut told = String::new();
    for Reason { why, rows } in REASONS {
        writeln!(told, "# {why}\n").unwrap();
        for pattern in *rows {
            let names: Vec<String> = rest.keys().filter(|name| matches(pattern, name)).cloned().collect();
            if names.is_empty() {
                writeln!(told, "NO ROW DIFFERS: {pattern}").unwrap();
            }
            for name in names {
                let text = rest.remove(&name).unwrap_or_default();
                writeln!(told, "{name}\n{text}").unwrap();
            }
        }
    }
    (told, rest.into_iter().map(|(name, text)| format!("{name}\n{text}")).collect())
}

fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    false
}

/// The lines that only one of both has.
pub(crate) fn changes(known: &str, told: &str) -> String {
    let only = |these: &str, those: &str, sign: char| -> String {
        let lines = these.lines().filter(|line| !those.lines().any(|other| other == *line));
        lines.map(|line| format!("{sign} {line}\n")).collect::<Vec<_>>().concat()
    };
    only(known, told, '-') + &only(told, known, '+')
}
