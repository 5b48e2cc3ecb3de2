//! The stream against real directories.

use std::ffi::OsStr;
use std::fs;
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::*;

mod hazards;

/// A directory with these files; a name that ends in a slash is a directory.
fn tree(names: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in names {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::write(path, "").unwrap();
        }
    }
    root
}

fn globs(root: &TempDir, patterns: &[&str]) -> Sources {
    Sources { globs: patterns.iter().map(Into::into).collect(), base: Some(root.path().into()), ..Sources::default() }
}

fn identity(path: &Path) -> (u64, u64) {
    let found = path.metadata().unwrap();
    (found.dev(), found.ino())
}

/// Everything the stream says, sorted, without the temporary directory's path.
fn said(root: &TempDir, sources: Sources) -> Vec<String> {
    let mut said: Vec<String> = in_order(root, sources);
    said.sort();
    said
}

fn in_order(root: &TempDir, sources: Sources) -> Vec<String> {
    let prefix = format!("{}/", root.path().display());
    let describe = |found: Result<Candidate>| match found {
        Ok(candidate) => String::from_utf8_lossy(&candidate.path).into_owned(),
        Err(error) => error.to_string(),
    };
    sources.into_stream().map(|found| describe(found).replace(&prefix, "")).collect()
}

fn found(root: &TempDir, patterns: &[&str]) -> Vec<String> {
    said(root, globs(root, patterns))
}

#[test]
fn patterns_find_names_at_their_depth() {
    let root = tree(&["a.csv", "b.txt", "in/c.csv", "in/sub/d.csv", "in/sub/deep/a.csv", "out/x.csv"]);
    assert_eq!(found(&root, &["*.csv"]), ["a.csv"]);
    assert_eq!(found(&root, &["./*.csv"]), ["./a.csv"]);
    assert_eq!(found(&root, &["in//*.csv"]), ["in//c.csv"]);
    assert_eq!(found(&root, &["in/../*.csv"]), ["in/../a.csv"]);
    assert_eq!(found(&root, &["*/x.csv"]), ["out/x.csv"]);
    assert_eq!(found(&root, &["{in/sub,out}/*.csv"]), ["in/sub/d.csv", "out/x.csv"]);
    assert_eq!(found(&root, &["**/*.csv"]), ["a.csv", "in/c.csv", "in/sub/d.csv", "in/sub/deep/a.csv", "out/x.csv"]);
    assert_eq!(found(&root, &["in/**/a.csv"]), ["in/sub/deep/a.csv"]);
    assert_eq!(found(&root, &["*/"]), ["in", "out"]);
    assert_eq!(found(&root, &["in/{c,nothing}.csv"]), ["in/c.csv"]);
}

#[test]
fn an_absolute_pattern_is_not_below_the_base() {
    let root = tree(&["a.csv", "in/"]);
    let pattern = format!("{}/*.csv", root.path().display());
    let sources = Sources { base: Some(root.path().join("in")), ..globs(&root, &[&pattern]) };
    assert_eq!(said(&root, sources), ["a.csv"]);
}

#[test]
fn without_a_base_paths_are_as_written() {
    // The only test that depends on the working directory, which cargo sets to the package's.
    let sources = Sources { globs: vec!["Cargo.tom*".into(), "./Cargo.tom?".into()], ..Sources::default() };
    let candidates: Vec<Candidate> = sources.into_stream().map(Result::unwrap).collect();
    let named =
        |path: &[u8], trusted| Candidate { path: path.into(), trusted, origin: Origin::Pattern, hint: Hint::Regular };
    assert_eq!(candidates, [named(b"Cargo.toml", 0), named(b"./Cargo.toml", 2)]);
}

#[test]
fn a_matching_directory_moves_whole() {
    let root = tree(&["d1/d1x/f", "d2/f", "f"]);
    assert_eq!(found(&root, &["**"]), ["d1", "d2", "f"]);
    assert_eq!(found(&root, &["**/d*"]), ["d1", "d2"]);
    // What a second pattern wants inside moves with it, and is not missing.
    assert_eq!(found(&root, &["d*", "*/f"]), ["d1", "d2"]);
}

#[test]
fn hidden_names_are_left_alone() {
    let root = tree(&[".h", ".hd/x", "d/.h", "d/x"]);
    assert_eq!(found(&root, &["**/*"]), ["d"]);
    assert_eq!(found(&root, &["**/x"]), ["d/x"]);
    assert_eq!(found(&root, &["**/.h"]), [".h", "d/.h"]);
    assert_eq!(found(&root, &[".*"]), [".h", ".hd"]);
    assert_eq!(found(&root, &["{d,.h*}/x"]), [".hd/x", "d/x"]);
}

#[test]
fn h37_names_of_any_bytes_are_found() {
    let root = tree(&["new\nline.csv"]);
    let every: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    for name in every.chunks(100) {
        fs::write(root.path().join(OsStr::from_bytes(name)), "").unwrap();
    }
    let candidates: Vec<Candidate> = globs(&root, &["*"]).into_stream().map(Result::unwrap).collect();
    assert_eq!(candidates.len(), every.chunks(100).len() + 1);
    for candidate in candidates {
        let path = Path::new(OsStr::from_bytes(&candidate.path));
        assert!(path.symlink_metadata().is_ok());
        assert_eq!(candidate.trusted, root.path().as_os_str().len() + 1);
    }
}

#[test]
fn h62_no_match_is_an_error_unless_allowed() {
    let root = tree(&["a", "in/"]);
    for pattern in ["*.csv", "in/*", "missing/*", "a/*", "missing", "{x,y}", "{x,y}/*", "a/", "**/*.csv"] {
        assert_eq!(found(&root, &[pattern]), [format!("no match for pattern '{pattern}'")]);
        let sources = Sources { allow_empty: true, ..globs(&root, &[pattern]) };
        assert!(said(&root, sources).is_empty());
    }
    // Each of several that share a walk answers for itself, once.
    assert_eq!(
        found(&root, &["a*", "b*", "{c,d}*"]),
        ["a", "no match for pattern 'b*'", "no match for pattern '{c,d}*'"]
    );
    assert_eq!(found(&root, &["{missing,a*}"]), ["a"]);
    assert_eq!(found(&root, &["{missing,.}/a"]), ["./a"]);
}

#[test]
fn overlapping_patterns_yield_a_name_once() {
    let root = tree(&["a.csv", "b.csv", "d/a.csv"]);
    assert_eq!(found(&root, &["*.csv", "a*", "a.csv", "**/a.csv"]), ["a.csv", "b.csv", "d/a.csv"]);
    assert_eq!(found(&root, &["a.csv", "a.csv", "{a,b}.csv"]), ["a.csv", "b.csv"]);
}

#[test]
fn the_order_is_operands_patterns_list() {
    let root = tree(&["a", "b1", "c1"]);
    let list = List { name: "-".into(), input: Box::new(Cursor::new(b"l1\n\n/abs\nl\0\n")), separator: b'\n' };
    let sources = Sources {
        operands: vec![Operand::Pattern("b*".into()), Operand::Literal("no*".into()), Operand::Literal("/x".into())],
        list: Some(list),
        ..globs(&root, &["c*", "a[", "x*"])
    };
    let said = in_order(&root, sources);
    assert_eq!(said[1..4], ["c1", "no match for pattern 'x*'", "no*"].map(String::from), "{said:?}");
    assert_eq!(said[0], "b1");
    assert_eq!(said[4..6], ["/x", "invalid pattern 'a[': unclosed character class; missing ']'"].map(String::from));
    assert_eq!(said[6..8], ["l1", "/abs"].map(String::from));
    assert!(said[8].contains("NUL") && said.len() == 9, "{said:?}");
}

#[test]
fn named_candidates_are_trusted_whole() {
    let list = List { name: "-".into(), input: Box::new(Cursor::new(b"dir/l\0")), separator: 0 };
    let operands = vec![Operand::Literal("dir/o".into()), Operand::Literal("".into())];
    let sources = Sources { operands, list: Some(list), base: Some("base".into()), ..Sources::default() };
    let candidates: Vec<Candidate> = sources.into_stream().map(Result::unwrap).collect();
    assert_eq!(candidates[0], Candidate::named(b"base/dir/o".as_slice().into(), Origin::Operand));
    assert_eq!(candidates[1].path.len(), 0);
    assert_eq!(candidates[2], Candidate::named(b"base/dir/l".as_slice().into(), Origin::List));
    assert_eq!(candidates[2].trusted, 10);
}

#[test]
fn slashes_are_taken_off_what_was_found_if_that_is_wanted() {
    let root = tree(&["one/", "two/", "file", "twist/x"]);
    let listed = List { name: "list".into(), input: Box::new(Cursor::new("one///\nfile/\n/\n")), separator: b'\n' };
    let sources = Sources {
        operands: vec![Operand::Literal("two//".into()), Operand::Pattern("tw*/".into())],
        list: Some(listed),
        strip_slashes: true,
        ..globs(&root, &[])
    };
    // A pattern with a slash still means directories only.
    assert_eq!(said(&root, sources), ["/", "file", "one", "twist", "two", "two"]);
}
