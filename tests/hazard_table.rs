//! The table of hazards in `tests/HAZARDS.md` has no empty line, names no test that is not there, and leaves none out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// How many hazards there are.
const HAZARDS: usize = 94;

/// Adds the names of all functions with a hazard's number in their name, below `dir`.
fn named_tests(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("a directory of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            named_tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            found.extend(names.filter(|name| !numbers(name).is_empty()).map(str::to_owned));
        }
    }
}

/// The hazards that a test is named after: each `hNN_` in its name.
fn numbers(name: &str) -> Vec<usize> {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let parts = name.split('_').filter_map(|part| part.strip_prefix('h').filter(|digits| digits.len() == 2));
    if is_word { parts.filter_map(|digits| digits.parse().ok()).collect() } else { Vec::new() }
}

#[test]
fn every_hazard_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for dir in ["src", "tests"] {
        named_tests(&root.join(dir), &mut tests);
    }
    let mut expected: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for test in &tests {
        for number in numbers(test) {
            expected.entry(number).or_default().insert(test);
        }
    }
    let table = fs::read_to_string(root.join("tests/HAZARDS.md")).expect("the table");
    let mut rows: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for line in table.lines() {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        if let Some(number) = cells.next().and_then(|cell| cell.parse().ok()) {
            rows.insert(number, cells.nth(1).unwrap_or_default().split('`').skip(1).step_by(2).collect());
        }
    }
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), (1..=HAZARDS).collect::<Vec<_>>());
    for (number, row) in &rows {
        assert!(!row.is_empty(), "hazard {number} has no test");
        assert_eq!(Some(row), expected.get(number), "hazard {number}: the table, and the tests named after it");
    }
}
