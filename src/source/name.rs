//! One component of a pattern against one name.
//!
//! globset works on bytes: its `?` is one byte, and `[ä]` is either of the two bytes of an `ä`, so that
//! `[ä]*` would match `öl`, and move it. A component with such wildcards is therefore matched in an
//! alphabet of one byte a character.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobMatcher};

use super::syntax::{self, Unit};

/// A compiled component of a pattern.
#[derive(Debug)]
pub(super) struct NameMatcher {
    /// For names that don't begin with a dot.
    plain: GlobMatcher,
    /// For those that do: the alternatives that begin with a dot themselves.
    dotted: Vec<GlobMatcher>,
    /// None where bytes and characters come to the same.
    alphabet: Option<Alphabet>,
}

impl NameMatcher {
    /// Compiles a component. The error is the reason why it cannot be.
    pub(super) fn new(component: &[u8]) -> Result<Self, String> {
        let alphabet = Alphabet::needed_by(component)?;
        let glob = match &alphabet {
            Some(alphabet) => alphabet.encode(component),
            None => Cow::Borrowed(component),
        };
        let mut dotted = Vec::new();
        for alternative in syntax::expand(&glob, |group| group.place.start == 0)? {
            if alternative.starts_with(b".") || alternative.starts_with(br"\.") {
                dotted.push(compile(&alternative)?);
            }
        }
        Ok(Self { plain: compile(&glob)?, dotted, alphabet })
    }

    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let name = match &self.alphabet {
            Some(alphabet) => alphabet.encode(name),
            None => Cow::Borrowed(name),
        };
        let path = OsStr::from_bytes(&name);
        if name.starts_with(b".") {
            self.dotted.iter().any(|glob| glob.is_match(path))
        } else {
            self.plain.is_match(path)
        }
    }
}

fn compile(glob: &[u8]) -> Result<GlobMatcher, String> {
    let glob = std::str::from_utf8(glob).map_err(|error| error.to_string())?;
    let compiled = GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).empty_alternates(true).build();
    compiled.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

/// Stands for every character that the pattern does not mention. No name holds a NUL.
const OTHER: u8 = 0;

/// Control characters, which stand for what the pattern mentions besides ASCII.
const SYMBOLS: std::ops::RangeInclusive<u8> = 1..=31;

/// A character, or a byte that belongs to none: above all characters.
type Letter = u32;

/// A mapping of characters to single bytes that is exact as far as one pattern can tell.
///
/// ASCII stays as it is, except control characters that are used as symbols.
#[derive(Debug)]
struct Alphabet {
    /// What each of `symbols` stands for.
    letters: Vec<Letter>,
    /// Control characters that the pattern does not hold.
    symbols: Vec<u8>,
}

impl Alphabet {
    /// The alphabet for a component, if its bytes as they are will not do.
    fn needed_by(component: &[u8]) -> Result<Option<Self>, String> {
        let mut counts_characters = false;
        for (unit, place) in syntax::units(component) {
            counts_characters |= matches!(unit, Unit::Question | Unit::Class);
            if unit == Unit::Class {
                check_class(&component[place])?;
            }
        }
        if !counts_characters && std::str::from_utf8(component).is_ok() {
            return Ok(None);
        }
        let mut letters: Vec<Letter> = letters(component).filter(|letter| *letter > 127).collect();
        letters.sort_unstable();
        letters.dedup();
        let symbols: Vec<u8> = SYMBOLS.filter(|symbol| !component.contains(symbol)).collect();
        if letters.len() > symbols.len() {
            return Err("it has too many different characters that are not ASCII".into());
        }
        Ok(Some(Self { letters, symbols }))
    }

    fn encode<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if text.iter().all(|byte| (32..127).contains(byte)) {
            return Cow::Borrowed(text);
        }
        // Never longer than the text, whose letters become bytes.
        let mut encoded = Vec::with_capacity(text.len());
        encoded.extend(letters(text).map(|letter| self.byte(letter)));
        Cow::Owned(encoded)
    }

    fn byte(&self, letter: Letter) -> u8 {
        if let Some(position) = self.letters.iter().position(|known| *known == letter) {
            return self.symbols[position];
        }
        let used = &self.symbols[..self.letters.len()];
        u8::try_from(letter).ok().filter(|byte| byte.is_ascii() && !used.contains(byte)).unwrap_or(OTHER)
    }
}

fn letters(text: &[u8]) -> impl Iterator<Item = Letter> {
    text.utf8_chunks().flat_map(|chunk| {
        let stray = chunk.invalid().iter().map(|byte| Letter::from(char::MAX) + Letter::from(*byte));
        chunk.valid().chars().map(Letter::from).chain(stray)
    })
}

/// Refuses what globset would understand otherwise than the user does.
fn check_class(class: &[u8]) -> Result<(), String> {
    if class.windows(2).any(|pair| pair == b"[:") {
        return Err("named classes are not supported: write [0-9] for [[:digit:]]".into());
    }
    // A range between characters that are not ASCII has no meaning in an alphabet of symbols.
    let members = class.get(2..class.len() - 1).unwrap_or_default();
    if !class.is_ascii() && members.contains(&b'-') {
        return Err("a class with characters that are not ASCII cannot hold a '-'".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(component: &[u8], name: &[u8]) -> bool {
        NameMatcher::new(component).unwrap().matches(name)
    }

    fn all(component: &str, names: &[&str]) -> bool {
        names.iter().all(|name| matches(component.as_bytes(), name.as_bytes()))
    }

    fn none(component: &str, names: &[&str]) -> bool {
        !names.iter().any(|name| matches(component.as_bytes(), name.as_bytes()))
    }

    #[test]
    fn wildcards() {
        assert!(all("*.csv", &["a.csv", "a b.csv", "new\nline.csv", "ä.csv"]));
        assert!(none("*.csv", &["a.csv.gz", "csv", ".csv"]));
        assert!(all("a?[0-9]", &["ab1", "a\n1"]) && none("a?[0-9]", &["a1", "abc"]));
        assert!(all("[!a]*", &["b", "bc"]) && none("[!a]*", &["a", ".b"]));
        assert!(all("{a,b*}{,.gz}", &["a", "bx", "a.gz"]) && none("{a,b*}{,.gz}", &["ax", "c"]));
        assert!(all(r"\**", &["*a"]) && none(r"\**", &["a"]));
        assert!(all("a**b", &["ab", "axb"]));
    }

    #[test]
    fn a_leading_dot_needs_a_dot() {
        assert!(none("*", &[".a"]) && none("?a", &[".a"]) && none("[.]a", &[".a"]) && none("[!x]a", &[".a"]));
        assert!(all(".*", &[".a", ".", "..b"]));
        assert!(all("{a,.b}*", &["a1", ".b1"]) && none("{a,.b}*", &[".a1", "b1"]));
        assert!(all("{,x}.b*", &[".b", "x.b"]));
        assert!(all("{*,.c}x", &["x", "ax", ".cx"]) && none("{*,.c}x", &[".ax"]));
        assert!(all("{,{.b,c}}?", &["d", ".bd", "cd"]) && none("{,{.b,c}}?", &[".d"]));
        assert!(all(r"\.?", &[".a"]));
        assert!(none("*.b", &[".b", ".a.b"]));
    }

    #[test]
    fn h37_a_character_is_one_character() {
        assert!(all("gr?n", &["grün", "gron", "gr月n"]) && none("gr?n", &["grüün", "grn"]));
        assert!(none("??", &["ü"]) && all("??", &["üü", "ab"]));
        assert!(all("[ä]*", &["äl", "ä"]) && none("[ä]*", &["öl", "al"]));
        assert!(all("[!ä]l", &["öl", "al", "\u{1}l"]) && none("[!ä]l", &["äl"]));
        assert!(all("ü?", &["üü", "üx", "ü\u{1}"]) && none("ü?", &["öü", "\u{1}x", "\u{0}x"]));
        assert!(all("\u{1}?ö", &["\u{1}xö", "\u{1}\u{2}ö"]) && none("\u{1}?ö", &["\u{2}xö", "öxö"]));
        assert!(all("月次報告書*.csv", &["月次報告書1.csv"]));
    }

    #[test]
    fn h37_names_that_are_not_utf8_are_matched() {
        assert!(matches(b"*.csv", b"\xff\xfe.csv"));
        assert!(matches(b"gr?n*", b"gr\xfcn.csv"));
        assert!(matches(b"gr\xfcn*", b"gr\xfcn.csv"));
        assert!(!matches(b"gr\xfcn*", "grün.csv".as_bytes()));
        assert!(matches(b"[\xfc\xe4]*", b"\xe4x") && !matches(b"[\xfc\xe4]*", b"\xf6x"));
        let every: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        assert!(matches(b"*", &every) && matches(b"\x01*?", &every));
    }

    #[test]
    fn what_would_be_misunderstood_is_refused() {
        let reason = |component: &str| NameMatcher::new(component.as_bytes()).unwrap_err();
        assert!(reason("[[:digit:]]*").contains("named classes"));
        assert!(reason("[à-ü]*").contains("cannot hold a '-'"));
        assert!(all("[-ä]", &["-", "ä"]) && all("[a-z]ä", &["bä"]));
    }
}
