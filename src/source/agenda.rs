//! In which order sources are looked for: operands as they were given, then `-g` patterns.
//!
//! Patterns that share a root are put together, so that one walk serves them all and yields no name twice.
//! Nothing is opened here.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::operand::Operand;
use super::pattern::Alternative;
use super::walk::Wanted;
use crate::error::MoveError;

/// One thing to do for the stream.
#[derive(Debug)]
pub(super) enum Task {
    /// Yield a name, as it was given.
    Yield(Box<[u8]>),
    /// Report a malformed pattern.
    Refuse(Box<MoveError>),
    /// Look whether the one name that patterns stand for exists.
    LookUp { path: Vec<u8>, wanted: Vec<Wanted> },
    /// Walk what is below a root.
    Walk { root: Vec<u8>, wanted: Vec<Wanted> },
}

/// A pattern whose matches are being counted.
#[derive(Debug)]
pub(super) struct Pattern {
    /// As the user wrote it.
    pub(super) text: OsString,
    /// Whether it has a match, or need not have one.
    pub(super) is_met: bool,
    /// How many of its alternatives have not been looked for yet.
    pub(super) waiting: usize,
}

/// What relative names are relative to: `-C`.
#[derive(Debug)]
pub(super) struct Base(Vec<u8>);

impl Base {
    pub(super) fn new(base: Option<&Path>) -> Self {
        let mut prefix = base.map(|base| base.as_os_str().as_bytes().to_vec()).unwrap_or_default();
        if !prefix.is_empty() && !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        Self(prefix)
    }

    /// The name below the base. An empty name stays empty, and so names nothing: it must not become the base.
    pub(super) fn join(&self, name: &[u8]) -> Box<[u8]> {
        if name.is_empty() { Box::default() } else { self.prefixed(name).into() }
    }

    fn prefixed(&self, name: &[u8]) -> Vec<u8> {
        let prefix = if name.starts_with(b"/") { &[][..] } else { &self.0 };
        [prefix, name].concat()
    }
}

/// What an operand has become, before it is known which patterns go together.
enum Given {
    Alone(Task),
    Wanted(Wanted),
}

/// Turns operands into tasks, and the patterns among them into what will be reported of them.
pub(super) fn prepare(operands: impl Iterator<Item = Operand>, base: &Base) -> (Vec<Task>, Vec<Pattern>) {
    let mut patterns: Vec<Pattern> = Vec::new();
    let mut given: Vec<Given> = Vec::new();
    for operand in operands {
        let text = match operand {
            Operand::Pattern(text) => text,
            Operand::Literal(name) => {
                given.push(Given::Alone(Task::Yield(base.join(name.as_bytes()))));
                continue;
            }
        };
        match Alternative::parse(text.as_bytes()) {
            Err(reason) => {
                let error = MoveError::BadPattern { pattern: text.into(), reason };
                given.push(Given::Alone(Task::Refuse(Box::new(error))));
            }
            Ok(alternatives) => {
                let pattern = patterns.len();
                patterns.push(Pattern { text, is_met: false, waiting: alternatives.len() });
                given.extend(alternatives.into_iter().map(|mut alternative| {
                    alternative.root = base.prefixed(&alternative.root);
                    Given::Wanted(Wanted { alternative, pattern, is_met: false })
                }));
            }
        }
    }
    (group(given), patterns)
}

/// Puts alternatives together with the first one that leads to the same place.
fn group(given: Vec<Given>) -> Vec<Task> {
    let walked: HashSet<Vec<u8>> = given.iter().filter_map(walked_root).collect();
    let mut tasks: Vec<Task> = Vec::new();
    // Where in `tasks` a place is looked at: a walk's root, or a single name.
    let mut walks: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut lookups: HashMap<Vec<u8>, usize> = HashMap::new();
    for one in given {
        let one = match one {
            Given::Wanted(wanted) => wanted,
            Given::Alone(task) => {
                tasks.push(task);
                continue;
            }
        };
        // A single name in a directory that is listed anyway is found by that listing, and not twice.
        let is_listed = !one.alternative.steps.is_empty() && walked.contains(&one.alternative.root);
        let index = match one.alternative.literal() {
            Some(path) if !is_listed => *lookups.entry(path).or_insert_with_key(|path| {
                tasks.push(Task::LookUp { path: path.clone(), wanted: Vec::new() });
                tasks.len() - 1
            }),
            _ => *walks.entry(one.alternative.root.clone()).or_insert_with_key(|root| {
                tasks.push(Task::Walk { root: root.clone(), wanted: Vec::new() });
                tasks.len() - 1
            }),
        };
        if let Task::LookUp { wanted, .. } | Task::Walk { wanted, .. } = &mut tasks[index] {
            wanted.push(one);
        }
    }
    tasks
}

/// The root that must be walked, because there is no single name to look up.
fn walked_root(given: &Given) -> Option<Vec<u8>> {
    match given {
        Given::Wanted(wanted) if wanted.alternative.literal().is_none() => Some(wanted.alternative.root.clone()),
        _ => None,
    }
}

impl Pattern {
    pub(super) fn no_match(&self) -> MoveError {
        MoveError::NoMatch { pattern: self.text.clone().into() }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn tasks(patterns: &[&str], base: &str) -> Vec<String> {
        let base = Base::new(Some(Path::new(base)));
        let operands = patterns.iter().map(|text| Operand::Pattern(text.into()));
        let describe = |kind: &str, path: Vec<u8>, wanted: Vec<Wanted>| {
            let of: Vec<_> = wanted.iter().map(|one| one.pattern.to_string()).collect();
            format!("{kind} {} {}", OsString::from_vec(path).display(), of.concat())
        };
        let (tasks, _) = prepare(operands, &base);
        tasks
            .into_iter()
            .map(|task| match task {
                Task::Yield(path) => describe("yield", path.into_vec(), Vec::new()),
                Task::Refuse(error) => error.to_string(),
                Task::LookUp { path, wanted } => describe("look up", path, wanted),
                Task::Walk { root, wanted } => describe("walk", root, wanted),
            })
            .collect()
    }

    #[test]
    fn patterns_of_one_root_share_a_walk() {
        assert_eq!(tasks(&["in/*.csv", "*", "in/a*"], ""), ["walk in/ 02", "walk  1"]);
        assert_eq!(tasks(&["{in,out}/*", "in/**/x"], ""), ["walk in/ 01", "walk out/ 0"]);
        assert_eq!(tasks(&["a.csv", "*.csv", "in/a"], ""), ["walk  01", "look up in/a 2"]);
        assert_eq!(
            tasks(&["{a,b}", "a", "in/", "in/*"], ""),
            ["look up a 01", "look up b 0", "look up in/ 2", "walk in/ 3"]
        );
    }

    #[test]
    fn relative_names_are_below_the_base() {
        assert_eq!(tasks(&["*", "/x/*", "./*", "a"], "base"), ["walk base/ 03", "walk /x/ 1", "walk base/./ 2"]);
        let base = Base::new(Some(Path::new("/b/")));
        assert_eq!(&*base.join(b"x"), b"/b/x");
        assert_eq!(&*base.join(b"/x"), b"/x");
        assert_eq!(&*Base::new(None).join(b"x"), b"x");
        assert_eq!(&*Base::new(Some(OsStr::new("").as_ref())).join(b"x"), b"x");
    }

    #[test]
    fn h63_an_empty_name_does_not_become_the_base() {
        assert_eq!(&*Base::new(Some(Path::new("base"))).join(b""), b"");
    }
}
