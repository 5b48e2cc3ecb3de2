//! Bodies of fuzz targets: lists, patterns, and walks, each beside another reading of the same rules.

#![allow(clippy::missing_panics_doc, reason = "to panic is what they are for")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::list::{Input, List, Reader};
use super::name::NameMatcher;
use super::pattern::Alternative;
use super::{Sources, syntax};

mod reference;

use reference::Reference;

/// An input that comes in pieces.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let end = self.bytes.len().min(self.at + self.piece);
        Ok(&self.bytes[self.at..end])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Input for Pieces {
    fn would_wait(&self, _patience: Duration) -> bool {
        false
    }
}

/// Reads a list: the names come out as they stand between the separators, in order, and nothing else does; memory stays
/// bounded. The first byte chooses the separator and the second the size of the pieces in which the list comes; 0xFE
/// stands for as many kilobytes of `x` as the byte behind it says.
pub fn list(input: &[u8]) {
    /// What no path is as long as.
    const LONGEST: usize = 64 << 10;
    let [kind, piece, rest @ ..] = input else { return };
    let separator = if kind % 2 == 0 { b'\n' } else { 0 };
    let mut bytes = Vec::new();
    let mut rest = rest.iter();
    while bytes.len() < 2 * LONGEST
        && let Some(&byte) = rest.next()
    {
        match byte {
            0xFE => bytes.resize(bytes.len() + usize::from(*rest.next().unwrap_or(&0)) * 1024, b'x'),
            byte => bytes.push(byte),
        }
    }
    let pieces = Pieces { bytes: bytes.clone(), at: 0, piece: usize::from(*piece) * 16 + 1 };
    let mut reader = Reader::new(List { name: "list".into(), input: Box::new(pieces), separator });
    for entry in bytes.split(|&byte| byte == separator).filter(|entry| !entry.is_empty()) {
        let read = reader.next_name().map(|name| name.map(<[u8]>::to_vec).ok());
        let is_good = entry.len() <= LONGEST && !entry.contains(&0);
        assert_eq!(read, Some(is_good.then(|| entry.to_vec())));
        assert!(reader.held() <= 4 * LONGEST, "{} bytes are held", reader.held());
    }
    assert!(reader.next_name().is_none(), "more names than there are");
}

/// Takes a pattern apart, and matches a path with it. A NUL stands between the two; a path that ends in a slash is that
/// of a directory.
pub fn pattern(input: &[u8]) {
    let mut parts = input.splitn(2, |&byte| byte == 0);
    let (text, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // No name holds a NUL.
    if path.contains(&0) {
        return;
    }
    escaped(text, path);
    component(text, path);
    let Ok(alternatives) = Alternative::parse(text) else { return };
    let is_dir = path.ends_with(b"/");
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let mut is_found = false;
    for alternative in &alternatives {
        assert!(alternative.steps.is_empty() || alternative.root.is_empty() || alternative.root.ends_with(b"/"));
        is_found |= finds(alternative, path, is_dir);
    }
    let Some(reference) = Reference::of(text) else { return };
    let is_shadowed = (1..names.len()).any(|end| reference.matches(&names[..end], true));
    if !is_shadowed && names.iter().all(|name| !matches!(*name, b"" | b"." | b"..")) {
        assert_eq!(is_found, reference.matches(&names, is_dir), "{} {}", text.escape_ascii(), path.escape_ascii());
    }
}

/// Whether an alternative finds a path, judged as a walk judges it.
fn finds(alternative: &Alternative, path: &[u8], is_dir: bool) -> bool {
    if let Some(literal) = alternative.literal() {
        return literal == path || is_dir && literal == [path, b"/"].concat();
    }
    let Some(below) = path.strip_prefix(&alternative.root[..]) else { return false };
    let names: Vec<&[u8]> = below.split(|&byte| byte == b'/').collect();
    let mut steps = Vec::new();
    alternative.enter(|step| steps.push(step));
    for (level, name) in names.iter().enumerate() {
        let is_last = level + 1 == names.len();
        let mut next = Vec::new();
        for step in steps {
            assert!(step < alternative.steps.len());
            if alternative.judge(step, name, !is_last || is_dir, |step| next.push(step)) {
                return is_last;
            }
        }
        steps = next;
    }
    false
}

/// A name with every character escaped means that name, and no other.
fn escaped(name: &[u8], other: &[u8]) {
    let mut text = Vec::new();
    for chunk in name.utf8_chunks() {
        text.extend(chunk.valid().chars().flat_map(|letter| ['\\', letter]).collect::<String>().bytes());
        text.extend(chunk.invalid().iter().flat_map(|&byte| [b'\\', byte]));
    }
    let is_name = |name: &[u8]| !name.is_empty() && !name.iter().any(|byte| matches!(byte, b'/' | 0));
    if !is_name(name) {
        return;
    }
    let literals: Result<Vec<_>, _> =
        Alternative::parse(&text).map(|all| all.into_iter().map(|one| one.literal()).collect());
    assert_eq!(literals, Ok(vec![Some(name.to_vec())]));
    let starred = NameMatcher::new(&[&text[..], b"*"].concat());
    // A pattern may hold more different characters than can be told apart, and says so.
    let Ok(starred) = starred else { return };
    assert!(starred.matches(name));
    if is_name(other) {
        assert_eq!(
            starred.matches(other),
            other.starts_with(name) && is_whole(name, other),
            "{}",
            other.escape_ascii()
        );
    }
}

/// Whether `name` ends between two characters of `other`, which begins with it: half a character is none.
fn is_whole(name: &[u8], other: &[u8]) -> bool {
    reference::letters(other).starts_with(&reference::letters(name))
}

/// One component against one name.
fn component(text: &[u8], name: &[u8]) {
    let Ok(matcher) = NameMatcher::new(text) else { return };
    let is_match = matcher.matches(name);
    if text.contains(&b'/') || name.is_empty() || name.contains(&b'/') || matches!(name, b"." | b"..") {
        return;
    }
    if let Some(reference) = Reference::of_component(text) {
        assert_eq!(is_match, reference.matches(&[name], false), "{} {}", text.escape_ascii(), name.escape_ascii());
    }
}

/// The names that [`plant`] plants: those that end in a slash are directories.
const PLANTED: &[&str] =
    &["a", "b/a", "b/.a", "b/c/a", "b/c/d/ab", "b/[a]", ".b/a", "c{a,b}/x", "d/", "d*", "\u{e4}", "a\\", "b/c-d", "-"];

/// Makes the tree for [`walk`] in a directory.
///
/// # Errors
/// It cannot be made.
pub fn plant(root: &Path) -> io::Result<()> {
    for name in PLANTED {
        let path = root.join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path)?;
        } else {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            fs::write(path, "")?;
        }
    }
    std::os::unix::fs::symlink("b", root.join("l"))
}

/// Expands a pattern below `root`, where [`plant`] has planted: what matches is found, unless it lies in a directory that
/// is found, and nothing else is.
pub fn walk(root: &Path, text: &[u8]) {
    // No argument holds a NUL.
    if text.contains(&0) {
        return;
    }
    let Ok(alternatives) = Alternative::parse(text) else { return };
    // Not to be led out of the tree: there is no end to what is there.
    let leads_out = |one: &Alternative| {
        one.root.starts_with(b"/") || one.root.split(|&byte| byte == b'/').any(|name| name == b"..")
    };
    if alternatives.iter().any(leads_out) {
        return;
    }
    let base = Some(root.to_owned());
    let globs = vec![std::ffi::OsStr::from_bytes(text).to_owned()];
    let stream = Sources { globs, base, allow_empty: true, ..Sources::default() }.into_stream();
    let prefix = [root.as_os_str().as_bytes(), b"/"].concat();
    let mut found = BTreeSet::new();
    for candidate in stream.flatten() {
        assert!(candidate.trusted <= candidate.path.len());
        let below = candidate.path.strip_prefix(&prefix[..]).unwrap_or_else(|| panic!("it is outside"));
        assert!(Path::new(std::ffi::OsStr::from_bytes(&candidate.path)).symlink_metadata().is_ok());
        found.insert(below.strip_suffix(b"/").unwrap_or(below).to_vec());
    }
    let Some(reference) = Reference::of(text).filter(|reference| !reference.names(b"l")) else { return };
    for (path, is_dir) in planted() {
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let is_match = reference.matches(&names, is_dir);
        assert!(is_match || !found.contains(&path), "{} is no {}", path.escape_ascii(), text.escape_ascii());
        // What lies in a directory that is found moves with it.
        let is_found = (1..=names.len()).any(|end| found.contains(&names[..end].join(&b'/')));
        assert!(is_found || !is_match, "{} is not found by {}", path.escape_ascii(), text.escape_ascii());
    }
}

/// All that is planted, with the directories on the way; whether it is a directory.
fn planted() -> BTreeSet<(Vec<u8>, bool)> {
    let mut all = BTreeSet::from([(b"l".to_vec(), false)]);
    for name in PLANTED {
        let (path, is_dir) = name.strip_suffix('/').map_or((*name, false), |path| (path, true));
        all.insert((path.as_bytes().to_vec(), is_dir));
        all.extend(path.match_indices('/').map(|(at, _)| (path.as_bytes()[..at].to_vec(), true)));
    }
    all
}

/// Braces written out.
fn written_out(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    syntax::expand(text, |_| true).ok()
}
