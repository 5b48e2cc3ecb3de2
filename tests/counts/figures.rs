//! The figures in `benches/calls.toml` and `benches/instructions.toml`, and what a difference from them means.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::common::fs::must;
use crate::measure::Cost;

const HEAD: &str = "\
# What a file costs; in the form \"one file\", what the whole run does. Compared, and written anew, by tests/counts:
# see benches/README.md.

";

/// By so much may a figure change.
const TOLERANCE: f64 = 0.03;

/// Less than that is no change, whatever it is a share of: where a whole tree is renamed, a file costs nothing.
const LEAST_CALLS: f64 = 0.02;

/// The same of one kind of calls, of which a few more or less stand for others.
const LEAST_OF_A_KIND: f64 = 0.1;
const LEAST_INSTRUCTIONS: f64 = 20.0;

/// So many calls a file may be left to chance. One a file would mean that threads wake each other for each file.
const MOST_BY_CHANCE: f64 = 0.25;

/// Figures by form.
type Forms<T> = BTreeMap<String, T>;

/// The file of the system calls.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Calls {
    forms: Forms<BTreeMap<String, f64>>,
    #[serde(skip)]
    by_chance: Forms<f64>,
}

/// The file of the instructions.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Instructions {
    tools: Tools,
    forms: Forms<f64>,
}

/// What the number of instructions depends on, besides pmove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tools {
    rustc: String,
    libc: String,
    valgrind: String,
    machine: String,
}

impl Calls {
    pub(crate) fn new(costs: impl Iterator<Item = (String, Cost)>) -> Self {
        let mut calls = Self { forms: Forms::new(), by_chance: Forms::new() };
        for (form, Cost { needed, by_chance }) in costs {
            // As it is written: what is no more than noise would make each renewal another file.
            let rounded = needed.into_iter().map(|(name, calls)| (name, (calls * 100.0).round() / 100.0));
            calls.forms.insert(form.clone(), rounded.filter(|(_, calls)| *calls != 0.0).collect());
            calls.by_chance.insert(form, by_chance);
        }
        calls
    }

    #[track_caller]
    pub(crate) fn compare_or_bless(&self) {
        say(&self.table());
        if is_blessed() {
            return write("calls.toml", self);
        }
        let known: Self = read("calls.toml");
        fail_for(&self.faults(&known));
    }

    fn table(&self) -> String {
        let mut table = String::from("| form | system calls | by chance |\n|---|---|---|\n");
        for (form, calls) in &self.forms {
            let by_chance = self.by_chance.get(form).copied().unwrap_or_default();
            writeln!(table, "| {form} | {:.2} | {by_chance:.2} |", total(calls)).expect("a String takes everything");
        }
        table
    }

    fn faults(&self, known: &Self) -> Vec<String> {
        let mut faults = compare(&known.forms, &self.forms, |was, is| {
            let (was_total, is_total) = (total(was), total(is));
            // Each kind as well: one that takes another's place leaves the sum as it was.
            let kinds: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            let of = |calls: &BTreeMap<String, f64>, kind| calls.get(kind).copied().unwrap_or_default();
            let by_kind = kinds.into_iter().find_map(|kind| {
                let by = change(of(was, kind), of(is, kind), LEAST_OF_A_KIND)?;
                Some(format!("{kind}: {by}"))
            });
            let change = change(was_total, is_total, LEAST_CALLS).or(by_kind)?;
            let names = format!("  were: {}\n  are:  {}", in_words(was), in_words(is));
            Some(format!("{was_total:.2} system calls, now {is_total:.2} ({change})\n{names}"))
        });
        // A run of one file has threads to begin and memory to get, and no others to share that with.
        let many =
            self.by_chance.iter().filter(|(form, calls)| !form.starts_with("one file") && **calls > MOST_BY_CHANCE);
        faults
            .extend(many.map(|(form, calls)| format!("{form}: {calls:.2} calls by which threads wait for each other")));
        faults
    }
}

fn total(calls: &BTreeMap<String, f64>) -> f64 {
    // From 0.0: the sum of nothing is -0.0.
    calls.values().fold(0.0, |sum, calls| sum + calls)
}

fn in_words(calls: &BTreeMap<String, f64>) -> String {
    calls.iter().map(|(name, calls)| format!("{name} {calls:.2}")).collect::<Vec<_>>().join(", ")
}

impl Instructions {
    /// The figures that those found here can be compared with. None, where that is not asked for, if they were counted with
    /// other tools.
    #[track_caller]
    pub(crate) fn known() -> Option<Self> {
        let tools = Tools::installed();
        if is_blessed() {
            return Some(Self { tools, forms: Forms::new() });
        }
        let known: Self = read("instructions.toml");
        let Some(difference) = known.tools.difference(&tools) else { return Some(known) };
        assert!(env::var_os("PMOVE_TEST_STRICT").is_none(), "{difference}\n{HOW_TO_RENEW}");
        say(&format!("INSTRUCTIONS ARE NOT COMPARED: {difference}"));
        None
    }

    /// Whether a form costs what it did, or nobody knows.
    pub(crate) fn is_as_it_was(&self, form: &str, found: f64) -> bool {
        self.forms.get(form).is_none_or(|was| change(*was, found, LEAST_INSTRUCTIONS).is_none())
    }

    #[track_caller]
    pub(crate) fn compare_or_bless(self, found: Forms<f64>) {
        // Plus 0.0: what is rounded to nothing may be -0.0.
        let found: Forms<f64> = found.into_iter().map(|(form, count)| (form, count.round() + 0.0)).collect();
        let mut table = String::from("| form | instructions |\n|---|---|\n");
        for (form, count) in &found {
            writeln!(table, "| {form} | {count:.0} |").expect("a String takes everything");
        }
        say(&table);
        if is_blessed() {
            return write("instructions.toml", &Self { forms: found, ..self });
        }
        fail_for(&compare(&self.forms, &found, |was, is| {
            let change = change(*was, *is, LEAST_INSTRUCTIONS)?;
            Some(format!("{was:.0} instructions, now {is:.0} ({change})"))
        }));
    }
}

impl Tools {
    fn installed() -> Self {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        Self {
            rustc: must(Command::new(rustc).arg("-V")),
            libc: must(Command::new("getconf").arg("GNU_LIBC_VERSION")),
            valgrind: must(Command::new("valgrind").arg("--version")),
            machine: must(Command::new("uname").arg("-m")),
        }
    }

    /// In what those here differ.
    fn difference(&self, here: &Self) -> Option<String> {
        let was = [&self.rustc, &self.libc, &self.valgrind, &self.machine];
        let is = [&here.rustc, &here.libc, &here.valgrind, &here.machine];
        let differing = was.into_iter().zip(is).filter(|(was, is)| was != is);
        let said: Vec<String> = differing.map(|(was, is)| format!("counted with {was}, here is {is}")).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// What is not as it was, for forms in both, and which forms are not.
fn compare<T>(known: &Forms<T>, found: &Forms<T>, fault: impl Fn(&T, &T) -> Option<String>) -> Vec<String> {
    let of_form = |(form, is): (&String, &T)| match known.get(form) {
        None => Some(format!("{form}: there is no figure for it")),
        Some(was) => fault(was, is).map(|fault| format!("{form}: {fault}")),
    };
    let gone = known.keys().filter(|form| !found.contains_key(*form)).map(|form| format!("{form}: it is not counted"));
    found.iter().filter_map(of_form).chain(gone).collect()
}

/// How a figure has changed, if it has. Less is a fault as well: unless it is written down, it may be lost again unseen.
fn change(was: f64, is: f64, least: f64) -> Option<String> {
    let by = is - was;
    if by.abs() <= (was.abs() * TOLERANCE).max(least) {
        return None;
    }
    let word = if by > 0.0 { "worse" } else { "better" };
    let share = (by / was * 100.0).abs();
    Some(if share.is_finite() { format!("{word} by {share:.1} %") } else { word.to_owned() })
}

const HOW_TO_RENEW: &str =
    "If it is to be so, renew the figures: PMOVE_TEST_BLESS=1 cargo test --test counts -- --ignored";

#[track_caller]
fn fail_for(faults: &[String]) {
    assert!(faults.is_empty(), "what a file costs has changed by more than 3 %\n{}\n{HOW_TO_RENEW}", faults.join("\n"));
}

fn is_blessed() -> bool {
    env::var_os("PMOVE_TEST_BLESS").is_some()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(name)
}

#[track_caller]
fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = path(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}\n{HOW_TO_RENEW}", path.display()));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn write(name: &str, figures: &impl Serialize) {
    let text = toml::to_string(figures).expect("figures are a table");
    fs::write(path(name), format!("{HEAD}{text}")).expect("the file is ours");
}

/// Shown where tests may speak: `--nocapture`.
#[expect(clippy::print_stdout, reason = "what was counted, for whoever looks")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(forms: &[(&str, f64, f64)]) -> Calls {
        let cost = |statx, by_chance| Cost { needed: [("statx".to_owned(), statx)].into(), by_chance };
        Calls::new(forms.iter().map(|(form, statx, by_chance)| ((*form).to_owned(), cost(*statx, *by_chance))))
    }

    #[test]
    fn more_and_less_are_told_beyond_three_hundredths() {
        assert_eq!(change(100.0, 103.0, 0.02), None);
        assert_eq!(change(100.0, 97.0, 0.02), None);
        assert_eq!(change(100.0, 104.0, 0.02).as_deref(), Some("worse by 4.0 %"));
        assert_eq!(change(100.0, 96.0, 0.02).as_deref(), Some("better by 4.0 %"));
        assert_eq!(change(0.0, 0.02, 0.02), None);
        assert_eq!(change(0.0, 1.0, 0.02).as_deref(), Some("worse"));
    }

    #[test]
    fn faults_say_what_was_and_what_is() {
        let known = calls(&[("a", 1.0, 0.0), ("gone", 1.0, 0.0)]);
        let found = calls(&[("a", 2.0, 0.0), ("new", 1.0, 0.0)]);
        assert_eq!(
            found.faults(&known),
            [
                "a: 1.00 system calls, now 2.00 (worse by 100.0 %)\n  were: statx 1.00\n  are:  statx 2.00",
                "new: there is no figure for it",
                "gone: it is not counted",
            ]
        );
        assert_eq!(known.faults(&known), Vec::<String>::new());
    }

    #[test]
    fn chance_has_its_bounds() {
        let known = calls(&[("a", 1.0, 0.0)]);
        assert_eq!(calls(&[("a", 1.0, 0.2)]).faults(&known), Vec::<String>::new());
        let faults = calls(&[("a", 1.0, 1.1)]).faults(&known);
        assert_eq!(faults, ["a: 1.10 calls by which threads wait for each other"]);
    }

    #[test]
    fn other_tools_are_told() {
        let tools = |rustc: &str| Tools {
            rustc: rustc.to_owned(),
            libc: "glibc 2.36".to_owned(),
            valgrind: "valgrind-3.19.0".to_owned(),
            machine: "x86_64".to_owned(),
        };
        assert_eq!(tools("rustc 1").difference(&tools("rustc 1")), None);
        let difference = tools("rustc 1").difference(&tools("rustc 2"));
        assert_eq!(difference.as_deref(), Some("counted with rustc 1, here is rustc 2"));
    }
}
