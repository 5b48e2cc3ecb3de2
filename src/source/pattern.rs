//! A pattern, taken apart: the literal beginning, which is the root of a walk, and one matcher for each
//! component below it, so that a walk only enters directories that can lead to a match.
//!
//! Looks at no file. globset matches the names; what it does not know is added here and in `name`: that a
//! leading dot must be matched explicitly, and which directories are worth entering.

use super::name::NameMatcher;
use super::syntax::{self, Unit};

/// One of the patterns that a pattern with braces stands for, or simply the pattern.
#[derive(Debug)]
pub(super) struct Alternative {
    /// What the user named literally: empty, or up to and including a slash. If there are no steps, the whole
    /// name.
    pub(super) root: Vec<u8>,
    /// What the components below the root must match.
    pub(super) steps: Vec<Step>,
    /// Whether it ends in a slash, and so matches nothing but directories.
    pub(super) directories_only: bool,
}

/// What one component of a path must match.
#[derive(Debug)]
pub(super) enum Step {
    /// `**`: any number of directories, none included.
    AnyDepth,
    /// This very name.
    Name(Vec<u8>),
    /// A name of this shape.
    Shape(Box<NameMatcher>),
}

impl Alternative {
    /// Takes a pattern apart. The error is the reason why it cannot be.
    pub(super) fn parse(pattern: &[u8]) -> Result<Vec<Self>, String> {
        // Where all is literal up to a group and in it, its alternatives are names given by the user, like any
        // other: roots that are followed if they are symlinks, and need no directory to be listed.
        let texts = syntax::expand(pattern, |group| group.spans_components || group.is_literal)?;
        let alternatives: Vec<Self> =
            texts.iter().filter(|text| !text.is_empty()).map(|text| Self::split(text)).collect::<Result<_, _>>()?;
        if alternatives.is_empty() { Err("it is empty".into()) } else { Ok(alternatives) }
    }

    /// Splits a text without groups that span components.
    fn split(text: &[u8]) -> Result<Self, String> {
        let mut whole = Self { root: Vec::new(), steps: Vec::new(), directories_only: false };
        let mut start = 0;
        let slashes = syntax::units(text).filter(|(unit, _)| *unit == Unit::Slash).map(|(_, place)| place);
        for slash in slashes.chain(std::iter::once(text.len()..text.len())) {
            let component = &text[start..slash.start];
            let is_last = slash.is_empty();
            start = slash.end;
            match syntax::literal(component) {
                Some(name) if whole.steps.is_empty() => {
                    if is_last && !matches!(&name[..], b"" | b"." | b"..") {
                        whole.steps.push(Step::Name(name));
                    } else {
                        whole.root.extend(name);
                        whole.root.extend((!is_last).then_some(b'/'));
                    }
                }
                literal => whole.push(component, literal.as_deref())?,
            }
        }
        if let Some(Step::AnyDepth) = whole.steps.last() {
            whole.steps.push(Step::Shape(Box::new(NameMatcher::new(b"*")?)));
        }
        Ok(whole)
    }

    /// Adds a component that comes after the root.
    fn push(&mut self, component: &[u8], literal: Option<&[u8]>) -> Result<(), String> {
        self.directories_only = false;
        match literal {
            Some(b"" | b".") => self.directories_only = true,
            // It would lead out of the directories that the walk has found.
            Some(b"..") => return Err("'..' cannot follow a wildcard".into()),
            Some(name) => self.steps.push(Step::Name(name.into())),
            None if component == b"**" => {
                if !matches!(self.steps.last(), Some(Step::AnyDepth)) {
                    self.steps.push(Step::AnyDepth);
                }
            }
            None => self.steps.push(Step::Shape(Box::new(NameMatcher::new(component)?))),
        }
        Ok(())
    }

    /// The name, if the alternative stands for just one.
    pub(super) fn literal(&self) -> Option<Vec<u8>> {
        match &self.steps[..] {
            [] => Some(self.root.clone()),
            [Step::Name(name)] => Some([&self.root[..], name].concat()),
            _ => None,
        }
    }

    /// How far below the root a match can be; `None` if there is no limit.
    pub(super) fn depth(&self) -> Option<usize> {
        (!self.steps.iter().any(|step| matches!(step, Step::AnyDepth))).then_some(self.steps.len())
    }

    /// The steps that a name directly below the root may meet.
    pub(super) fn enter(&self, reach: impl FnMut(usize)) {
        self.reach(0, reach);
    }

    /// Whether a name is a match, where a match is looked for at the step `at`. If it is not, but a directory
    /// below which there may be matches, calls `reach` with each step that a name in it may meet.
    pub(super) fn judge(&self, at: usize, name: &[u8], is_directory: bool, reach: impl FnMut(usize)) -> bool {
        let (fits, next) = match &self.steps[at] {
            Step::AnyDepth => (name.first() != Some(&b'.'), at),
            Step::Name(wanted) => (wanted == name, at + 1),
            Step::Shape(shape) => (shape.matches(name), at + 1),
        };
        if next == self.steps.len() {
            return fits && (is_directory || !self.directories_only);
        }
        if fits && is_directory {
            self.reach(next, reach);
        }
        false
    }

    /// `**` may stand for no directory at all, so whoever reaches it reaches the step behind it too.
    fn reach(&self, at: usize, mut reach: impl FnMut(usize)) {
        reach(at);
        if matches!(self.steps[at], Step::AnyDepth) {
            reach(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pattern: &str) -> Vec<Alternative> {
        Alternative::parse(pattern.as_bytes()).unwrap()
    }

    fn roots(pattern: &str) -> String {
        let roots: Vec<_> = parse(pattern).into_iter().map(|one| String::from_utf8(one.root).unwrap()).collect();
        roots.join(" ")
    }

    fn literals(pattern: &str) -> Vec<Option<String>> {
        parse(pattern).iter().map(|one| one.literal().map(|name| String::from_utf8(name).unwrap())).collect()
    }

    /// Whether a pattern matches a file's path below its root, judged as a walk judges it.
    fn matches(alternative: &Alternative, path: &[&str]) -> bool {
        let mut steps = Vec::new();
        alternative.enter(|step| steps.push(step));
        for (level, name) in path.iter().enumerate() {
            let is_directory = level + 1 < path.len();
            let mut next = Vec::new();
            for step in steps {
                if alternative.judge(step, name.as_bytes(), is_directory, |step| next.push(step)) {
                    return !is_directory;
                }
            }
            steps = next;
        }
        false
    }

    fn finds(pattern: &str, path: &str) -> bool {
        let components: Vec<&str> = path.split('/').collect();
        parse(pattern).iter().any(|alternative| {
            let root = std::str::from_utf8(&alternative.root).unwrap();
            let depth = root.matches('/').count();
            path.starts_with(root) && matches(alternative, &components[depth..])
        })
    }

    #[test]
    fn the_literal_beginning_is_the_root() {
        assert_eq!(roots("*.csv"), "");
        assert_eq!(roots("in/*.csv"), "in/");
        assert_eq!(roots("./*.csv"), "./");
        assert_eq!(roots("../a//b/*/c.csv"), "../a//b/");
        assert_eq!(roots("/*"), "/");
        assert_eq!(roots(r"a\*b/[x]*"), "a*b/");
        assert_eq!(roots(r"a\/*"), "a/");
        assert_eq!(roots("**/x"), "");
        assert_eq!(roots("{a/b,c}/*.csv"), "a/b/ c/");
        assert_eq!(roots("{a,b}/*.csv"), "a/ b/");
        assert_eq!(roots("{a,b*}/*.csv"), "");
    }

    #[test]
    fn a_pattern_without_wildcards_is_a_name() {
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(literals("a.csv"), [some("a.csv")]);
        assert_eq!(literals("in/a.csv"), [some("in/a.csv")]);
        assert_eq!(literals("in//"), [some("in//")]);
        assert_eq!(literals(".."), [some("..")]);
        assert_eq!(literals("in/{a,b}.csv"), [some("in/a.csv"), some("in/b.csv")]);
        assert_eq!(literals("in/*"), [None]);
    }

    #[test]
    fn components_are_matched_one_by_one() {
        assert!(finds("*/x.csv", "a/x.csv"));
        assert!(!finds("*/x.csv", "x.csv"));
        assert!(!finds("*", "a/b"));
        assert!(finds("in/./*//./x", "in/./a/x"));
        assert!(finds("{a/b,c}*/[xy]?.csv", "a/bb/x1.csv"));
        assert!(!finds("{a/b,c}*/[xy]?.csv", "a/bb/x12.csv"));
        assert!(finds("{a,b*}/{c,d*}", "b1/d2"));
        assert!(!finds("*/", "a"));
    }

    #[test]
    fn any_depth_includes_none() {
        for path in ["x", "a/x", "a/b/c/x"] {
            assert!(finds("**/x", path) && finds("**/**/x", path) && finds("{**,y}/x", path), "{path}");
        }
        assert!(finds("a/**/b/**/c", "a/b/x/b/y/c"));
        assert!(!finds("a/**/b/**/c", "a/x/y/c"));
        assert!(finds("**", "a"));
    }

    #[test]
    fn a_leading_dot_must_be_matched_explicitly() {
        for path in [".x", "a/.x", ".a/x"] {
            assert!(!finds("**/*", path) && !finds("**/?x", path) && !finds("**/[.a]*", path), "{path}");
        }
        assert!(finds(".*", ".x"));
        assert!(finds("**/.*", "a/b/.x"));
        assert!(finds("*/.a/*", "x/.a/y"));
        assert!(finds(".a/**/x", ".a/b/x") && !finds(".a/**/x", ".a/.b/x"));
    }

    #[test]
    fn depth_is_known_where_there_is_a_limit() {
        assert_eq!(parse("in/*/x")[0].depth(), Some(2));
        assert_eq!(parse("in/**/x")[0].depth(), None);
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (pattern, reason) in [
            ("", "it is empty"),
            ("{,}", "it is empty"),
            ("*/../x", "'..' cannot follow a wildcard"),
            ("a[b", "unclosed character class; missing ']'"),
            ("in[1/*.csv", "unclosed character class; missing ']'"),
            ("{a/b*", "unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"),
            ("a}*", "unopened alternate group; missing '{' (maybe escape '}' with '[}]'?)"),
            (r"*\", r"dangling '\'"),
            (r"abc\", r"dangling '\'"),
            ("[z-a]*", "invalid range; 'z' > 'a'"),
        ] {
            assert_eq!(Alternative::parse(pattern.as_bytes()).unwrap_err(), reason, "{pattern}");
        }
    }

    /// The rules in their plainest form: brace-free patterns of `a`, `.`, `*` and `?`.
    fn naive(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**", rest @ ..], [name, deeper @ ..]) => {
                naive(rest, path) || (!name.starts_with('.') && !deeper.is_empty() && naive(pattern, deeper))
            }
            ([shape, rest @ ..], [name, deeper @ ..]) => {
                (shape.starts_with('.') || !name.starts_with('.'))
                    && naive_name(shape.as_bytes(), name.as_bytes())
                    && naive(rest, deeper)
            }
            _ => false,
        }
    }

    fn naive_name(shape: &[u8], name: &[u8]) -> bool {
        match (shape, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => naive_name(rest, name) || (!name.is_empty() && naive_name(shape, &name[1..])),
            ([b'?', rest @ ..], [_, deeper @ ..]) => naive_name(rest, deeper),
            ([wanted, rest @ ..], [byte, deeper @ ..]) => wanted == byte && naive_name(rest, deeper),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(text in "[a-c.*?/\\\\{},!\\[\\]:ä-]{0,14}", name: Vec<u8>) {
            if let Ok(alternatives) = Alternative::parse(text.as_bytes()) {
                for one in alternatives.iter().filter(|one| !one.steps.is_empty()) {
                    one.judge(0, &name, true, |step| assert!(step < one.steps.len()));
                }
            }
        }

        #[test]
        fn h61_an_escaped_name_means_that_name(name in prop::collection::vec(1_u8..=255, 1..12)) {
            let escaped: Vec<u8> = name.iter().flat_map(|byte| [b'\\', *byte]).collect();
            let alternatives = Alternative::parse(&escaped).unwrap();
            prop_assert_eq!(alternatives.len(), 1);
            prop_assert_eq!(alternatives[0].literal(), Some(name));
        }

        #[test]
        fn matching_agrees_with_the_naive_rules(
            directories in prop::collection::vec("[a*?.]{1,3}|\\*\\*", 0..4),
            last in "[a*?.]{0,2}[a*?]",
            path in prop::collection::vec("[a.]{0,3}a", 1..5),
        ) {
            let pattern: Vec<&str> = directories.iter().map(String::as_str).chain([&last[..]]).collect();
            // `.` and `..` are no names, and `**` at the end means something else.
            prop_assume!(!pattern.iter().any(|one| matches!(*one, "." | "..")) && last != "**");
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            // A directory that is in the way of a deeper match moves whole, so compare only the path itself.
            let shadowed = (1..path.len()).any(|end| naive(&pattern, &path[..end]));
            prop_assume!(!shadowed);
            let wild = pattern.join("/");
            let alternative = &parse(&format!("{{,*/}}{wild}"))[1];
            let shifted: Vec<&str> = std::iter::once("a").chain(path.iter().copied()).collect();
            prop_assert_eq!(matches(alternative, &shifted), naive(&pattern, &path), "{} {:?}", wild, path);
        }
    }
}
