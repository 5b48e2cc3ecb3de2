//! Why a row may differ from GNU mv 9.1.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::row::{Outcome, Row};

/// A reason, and the rows that differ for it: names in which `*` stands for anything.
struct Reason {
    why: &'static str,
    rows: &'static [&'static str],
}

const REASONS: &[Reason] = &[];

/// What mv 9.11 says where 9.1 says something else (MV.md of the design, NEWS of coreutils).
pub fn as_of_today(_row: &Row, outcome: Outcome) -> Outcome {
    outcome
}

/// What differs by its reasons, and what has none.
pub fn explain(found: &BTreeMap<String, String>) -> (String, Vec<String>) {
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
pub fn changes(known: &str, told: &str) -> String {
    let only = |these: &str, those: &str, sign: char| -> String {
        these
            .lines()
            .filter(|line| !those.lines().any(|other| other == *line))
            .map(|line| format!("{sign} {line}\n"))
            .collect()
    };
    only(known, told, '-') + &only(told, known, '+')
}
