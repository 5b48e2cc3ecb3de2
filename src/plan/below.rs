//! `--parents`: which directory below DEST a source goes to, so that its path is kept.

use std::sync::Arc;

use crate::item::Below;

/// Keeps the paths of sources.
#[derive(Debug)]
pub(super) struct Keeping {
    /// The directory that paths are relative to, with its slash, or empty.
    base: Box<[u8]>,
    /// The last answer: mostly the next source is in the same directory.
    last: Option<Arc<Below>>,
}

impl Keeping {
    pub(super) fn new(base: &[u8]) -> Self {
        let slash: &[u8] = if base.is_empty() || base.ends_with(b"/") { b"" } else { b"/" };
        Self { base: [base, slash].concat().into(), last: None }
    }

    /// Where a source in the directory `parent` (with its slash, or empty) goes. None if its path leads up, and so would
    /// lead out of DEST.
    pub(super) fn below(&mut self, parent: &[u8], trusted: usize) -> Option<Arc<Below>> {
        let trusted = trusted.min(parent.len());
        if let Some(last) = &self.last
            && *last.source == *parent
            && last.trusted == trusted
        {
            return Some(Arc::clone(last));
        }
        let below = Arc::new(self.find(parent, trusted)?);
        self.last = Some(Arc::clone(&below));
        Some(below)
    }

    fn find(&self, parent: &[u8], trusted: usize) -> Option<Below> {
        let mut below = Below { path: Box::default(), source: parent.into(), ends: Vec::new(), trusted };
        let mut names: Vec<&[u8]> = Vec::new();
        let mut end = if parent.starts_with(&self.base) { self.base.len() } else { 0 };
        for name in parent[end..].split(|&byte| byte == b'/') {
            end += name.len();
            match name {
                b"" | b"." => {}
                b".." => return None,
                name => {
                    names.push(name);
                    below.ends.push(end);
                }
            }
            end += 1;
        }
        below.path = names.join(&b'/').into();
        Some(below)
    }

    /// The path of a source below DEST. None if there is none.
    pub(super) fn path(&self, path: &[u8]) -> Option<Vec<u8>> {
        let (parent, name) = super::split(path);
        let below = self.find(parent, 0)?;
        let slash: &[u8] = if below.path.is_empty() { b"" } else { b"/" };
        Some([&below.path, slash, name].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(base: &str, parent: &str) -> Option<String> {
        let below = Keeping::new(base.as_bytes()).below(parent.as_bytes(), 0)?;
        Some(String::from_utf8_lossy(&below.path).into_owned())
    }

    #[test]
    fn a_path_is_kept_as_it_was_written_without_what_says_nothing() {
        for (base, parent, kept) in [
            ("", "", ""),
            ("", "a/b/", "a/b"),
            ("", "./a//b/./", "a/b"),
            ("", "/var/log/", "var/log"),
            ("in", "in/a/", "a"),
            ("in/", "in/", ""),
            ("../in", "../in/a/", "a"),
            ("in", "/in/a/", "in/a"),
            ("", "..a/b../", "..a/b.."),
        ] {
            assert_eq!(path(base, parent).as_deref(), Some(kept), "{base} {parent}");
        }
    }

    #[test]
    fn p4_a_path_that_leads_up_is_not_kept() {
        for (base, parent) in [("", "../"), ("", "a/../b/"), ("", "/.."), ("in", "in/../"), ("in", "../a/")] {
            assert_eq!(path(base, parent), None, "{base} {parent}");
        }
    }

    #[test]
    fn each_name_knows_its_source_directory() {
        let below = Keeping::new(b"in").below(b"in/.//a/b/", 3).unwrap();
        let sources: Vec<&[u8]> = below.ends.iter().map(|&end| &below.source[..end]).collect();
        assert_eq!(sources, [b"in/.//a".as_slice(), b"in/.//a/b"]);
    }
}
