//! Names as a shell would take them back, and as a terminal can bear them.
//!
//! Always quoted; no control character, and no byte that is not UTF-8, is ever written raw.

use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Displays a path in shell quotes: `'a b'`, `"it's"`, `'new'$'\n''line'`.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a, P: AsRef<Path> + ?Sized>(pub &'a P);

impl<P: AsRef<Path> + ?Sized> fmt::Display for Quoted<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quote(self.0.as_ref().as_os_str(), f)
    }
}

/// Whether a double-quoted string may hold this character as it is.
fn is_plain_in_double_quotes(c: char) -> bool {
    !matches!(c, '"' | '$' | '`' | '\\' | '!') && is_printable(c)
}

/// Whether a terminal shows the character and does nothing else with it.
fn is_printable(c: char) -> bool {
    // Besides control characters, those that turn the direction of what follows or show nothing at all:
    // a name must not be able to disguise itself.
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn quote(name: &OsStr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(text) = name.to_str()
        && text.contains('\'')
        && text.chars().all(is_plain_in_double_quotes)
    {
        return write!(f, "\"{text}\"");
    }
    f.write_char('\'')?;
    // Whether what was written last is inside $'...', where escapes are understood.
    let mut escaping = false;
    for chunk in name.as_bytes().utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(c) = rest.chars().next() {
            // As much at once as can be written as it is: mostly that is all of it.
            let plain = rest.find(|c| c == '\'' || !is_printable(c)).unwrap_or(rest.len());
            let (now, later) = rest.split_at(plain.max(c.len_utf8()));
            rest = later;
            if plain > 0 {
                f.write_str(if escaping { "''" } else { "" })?;
                f.write_str(now)?;
                escaping = false;
            } else if c == '\'' {
                // It ends the quotes that there are, whichever they are.
                f.write_str("'\\''")?;
                escaping = false;
            } else {
                for &byte in now.as_bytes() {
                    escape(byte, &mut escaping, f)?;
                }
            }
        }
        for &byte in chunk.invalid() {
            escape(byte, &mut escaping, f)?;
        }
    }
    f.write_char('\'')
}

fn escape(byte: u8, escaping: &mut bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !*escaping {
        f.write_str("'$'")?;
        *escaping = true;
    }
    match byte {
        b'\x07' => f.write_str("\\a"),
        b'\x08' => f.write_str("\\b"),
        b'\t' => f.write_str("\\t"),
        b'\n' => f.write_str("\\n"),
        b'\x0b' => f.write_str("\\v"),
        b'\x0c' => f.write_str("\\f"),
        b'\r' => f.write_str("\\r"),
        _ => write!(f, "\\{byte:03o}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(bytes: &[u8]) -> String {
        Quoted(OsStr::from_bytes(bytes)).to_string()
    }

    /// The right-hand sides are what the installed GNU mv 9.1 prints for these names.
    #[test]
    fn h37_names_are_quoted_as_mv_quotes_them() {
        assert_eq!(quoted(b"plain"), "'plain'");
        assert_eq!(quoted(b"a b"), "'a b'");
        assert_eq!(quoted(b"it's"), "\"it's\"");
        assert_eq!(quoted(b"new\nline"), "'new'$'\\n''line'");
        assert_eq!(quoted(b"\xff"), "''$'\\377'");
        assert_eq!(quoted(b"end\n"), "'end'$'\\n'");
        assert_eq!(quoted(b"it's $1"), "'it'\\''s $1'");
        assert_eq!(quoted(b"$x\n'"), "'$x'$'\\n'\\'''");
        assert_eq!(quoted("grün".as_bytes()), "'grün'");
        assert_eq!(quoted(b"\x1b[2J"), "''$'\\033''[2J'");
    }

    #[test]
    fn direction_marks_cannot_disguise_a_name() {
        assert_eq!(quoted("a\u{202e}b".as_bytes()), "'a'$'\\342\\200\\256''b'");
    }
}
