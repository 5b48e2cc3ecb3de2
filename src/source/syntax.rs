//! The characters of a pattern: what is an escape, a class, a group of alternatives, and where they end.
//!
//! Only as much of globset's syntax as is needed to take a pattern apart at its slashes. What is malformed is
//! passed on as it is, so that globset names what is wrong with it.

use std::ops::Range;

/// The most patterns that one pattern may stand for, once its braces are expanded.
const MOST_ALTERNATIVES: usize = 10_000;

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// `/`, or `\/`: no name can hold one, so an escaped one separates as well.
    Slash,
    /// A backslash and the byte that follows.
    Escaped,
    /// A backslash at the end.
    Dangling,
    /// `[…]`, or all the rest if there is no end to it.
    Class,
    Open,
    Close,
    Comma,
    Star,
    Question,
    /// Any other byte.
    Plain,
}

/// The unit that begins at `at`, and where it ends.
pub(super) fn unit(text: &[u8], at: usize) -> (Unit, usize) {
    let unit = match text[at] {
        b'\\' => {
            return match text.get(at + 1) {
                None => (Unit::Dangling, at + 1),
                Some(b'/') => (Unit::Slash, at + 2),
                Some(_) => (Unit::Escaped, at + 2),
            };
        }
        b'[' => return (Unit::Class, class_end(text, at)),
        b'/' => Unit::Slash,
        b'{' => Unit::Open,
        b'}' => Unit::Close,
        b',' => Unit::Comma,
        b'*' => Unit::Star,
        b'?' => Unit::Question,
        _ => Unit::Plain,
    };
    (unit, at + 1)
}

/// Iterates over the units of a text, with their places.
pub(super) fn units(text: &[u8]) -> impl Iterator<Item = (Unit, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < text.len()).then(|| {
            let (unit, end) = unit(text, at);
            (unit, std::mem::replace(&mut at, end)..end)
        })
    })
}

/// Where the class that begins at `at` ends. A `]` that comes first is a member, as in `[]a]` and `[!]a]`.
fn class_end(text: &[u8], at: usize) -> usize {
    let mut first = at + 1;
    if matches!(text.get(first), Some(b'!' | b'^')) {
        first += 1;
    }
    let closing = text.iter().skip(first + 1).position(|byte| *byte == b']');
    closing.map_or(text.len(), |members| first + 1 + members + 1)
}

/// The text as the name it stands for, if it stands for just one: without the backslashes.
pub(super) fn literal(text: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    for (unit, place) in units(text) {
        match unit {
            Unit::Plain | Unit::Escaped | Unit::Comma | Unit::Slash => {
                name.push(text[place.end - 1]);
            }
            _ => return None,
        }
    }
    Some(name)
}

/// `{a,b}` in a pattern.
#[derive(Debug)]
pub(super) struct Group {
    /// The group with its braces.
    pub(super) place: Range<usize>,
    alternatives: Vec<Range<usize>>,
    /// Whether everything before the group and in it is literal.
    pub(super) is_literal: bool,
    /// Whether an alternative can hold more than one component: it has a `/` or a `**` in it.
    pub(super) spans_components: bool,
}

impl Group {
    /// The group that begins at `start`; none if its end is missing.
    fn at(text: &[u8], start: usize) -> Option<Self> {
        let mut group =
            Self { place: start..start, alternatives: Vec::new(), is_literal: true, spans_components: false };
        let mut depth = 0;
        let mut from = start + 1;
        let mut before = None;
        let mut at = start;
        while at < text.len() {
            let (unit, end) = unit(text, at);
            match unit {
                Unit::Open => depth += 1,
                Unit::Close => depth -= 1,
                Unit::Slash => group.spans_components = true,
                Unit::Star if before == Some(Unit::Star) => group.spans_components = true,
                Unit::Star | Unit::Question | Unit::Class => group.is_literal = false,
                _ => {}
            }
            if depth == 0 || (depth == 1 && unit == Unit::Comma) {
                group.alternatives.push(from..at);
                from = end;
            }
            if depth == 0 {
                group.place.end = end;
                return Some(group);
            }
            before = Some(unit);
            at = end;
        }
        None
    }

    /// The first group of a text, outermost if they are nested, that is `wanted`.
    fn first(text: &[u8], wanted: impl Fn(&Self) -> bool) -> Option<Self> {
        let mut is_literal = true;
        let mut at = 0;
        while at < text.len() {
            let (unit, end) = unit(text, at);
            at = end;
            if unit == Unit::Open
                && let Some(mut group) = Self::at(text, end - 1)
            {
                at = group.place.end;
                group.is_literal &= is_literal;
                if wanted(&group) {
                    return Some(group);
                }
            }
            is_literal &= matches!(unit, Unit::Plain | Unit::Escaped | Unit::Comma | Unit::Slash);
        }
        None
    }
}

/// Writes out the groups that are `wanted`, as a shell does: `x{a,b}` becomes `xa` and `xb`. The others stay.
pub(super) fn expand(text: &[u8], wanted: impl Fn(&Group) -> bool) -> Result<Vec<Vec<u8>>, String> {
    let mut expanded = Vec::new();
    let mut waiting = vec![text.to_vec()];
    while let Some(text) = waiting.pop() {
        let Some(group) = Group::first(&text, &wanted) else {
            expanded.push(text);
            continue;
        };
        if expanded.len() + waiting.len() + group.alternatives.len() > MOST_ALTERNATIVES {
            return Err(format!("it stands for more than {MOST_ALTERNATIVES} patterns"));
        }
        let (before, after) = (&text[..group.place.start], &text[group.place.end..]);
        waiting.extend(group.alternatives.iter().rev().map(|place| [before, &text[place.clone()], after].concat()));
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, wanted: impl Fn(&Group) -> bool) -> String {
        let texts = expand(text.as_bytes(), wanted).unwrap();
        texts.into_iter().map(|text| String::from_utf8(text).unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn groups_are_written_out_in_order() {
        let all = |text| expanded(text, |_| true);
        assert_eq!(all("plain"), "plain");
        assert_eq!(all("x{a,b}y{c,d}"), "xayc xayd xbyc xbyd");
        assert_eq!(all("{a,{b,c}d}"), "a bd cd");
        assert_eq!(all("a{,.bak}"), "a a.bak");
        assert_eq!(all(r"\{a,b}"), r"\{a,b}");
        assert_eq!(all("[{]a,b}"), "[{]a,b}");
        assert_eq!(all("{a[,}]b,c}"), "a[,}]b c");
        assert_eq!(all("{a,b"), "{a,b");
    }

    #[test]
    fn groups_know_what_they_hold() {
        let spanning = |text| expanded(text, |group| group.spans_components);
        assert_eq!(spanning("{a/b,c}/{d,e}"), "a/b/{d,e} c/{d,e}");
        assert_eq!(spanning("{**,a}/x"), "**/x a/x");
        assert_eq!(spanning("{a,[/]}"), "{a,[/]}");
        let literal = |text| expanded(text, |group| group.is_literal);
        assert_eq!(literal("{a,b}/{c,d*}/{e,f}"), "a/{c,d*}/{e,f} b/{c,d*}/{e,f}");
        assert_eq!(literal("*{a,b}"), "*{a,b}");
    }

    #[test]
    fn a_pattern_that_explodes_is_refused() {
        assert!(expand("{a,b}".repeat(40).as_bytes(), |_| true).unwrap_err().contains("10000"));
        assert_eq!(expand("{a,b}".repeat(10).as_bytes(), |_| true).unwrap().len(), 1024);
    }

    #[test]
    fn classes_end_where_globset_ends_them() {
        for class in ["[a]", "[]]", "[!]]", "[^]a]", "[]a-]", r"[\]", "[a"] {
            assert_eq!(unit(class.as_bytes(), 0), (Unit::Class, class.len()), "{class}");
        }
    }

    #[test]
    fn a_literal_loses_its_backslashes() {
        assert_eq!(literal(br"a\*b\\"), Some(br"a*b\".to_vec()));
        assert_eq!(literal(b"a,b"), Some(b"a,b".to_vec()));
        for wild in ["*", "a?", "[a]", "{a}", "a}", r"a\"] {
            assert_eq!(literal(wild.as_bytes()), None, "{wild}");
        }
    }
}
