//! A list of sources, read one entry at a time.
//!
//! Any byte but the separator belongs to a name. Whatever the input holds, memory stays bounded: a list may
//! be larger than memory, or no list at all.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::input::{Piece, read_piece, would_wait};

/// What is longer than this, in bytes, is not a path but something that is not a list.
const LONGEST_ENTRY: usize = 64 * 1024;

/// How much of an entry that is too long is shown.
const SHOWN: usize = 60;

/// What a list is read from.
pub trait Input: BufRead {
    /// Whether the next read would wait for longer than `patience`, because whoever writes the list is not that far.
    fn would_wait(&self, patience: Duration) -> bool;
}

impl Input for BufReader<File> {
    fn would_wait(&self, patience: Duration) -> bool {
        would_wait(self, patience)
    }
}

/// A list in memory is always there.
impl<T: AsRef<[u8]>> Input for Cursor<T> {
    fn would_wait(&self, _patience: Duration) -> bool {
        false
    }
}

/// A list of sources that has been opened, but not read.
pub struct List {
    /// The list's path, or `-`, for messages.
    pub name: PathBuf,
    /// Where its bytes come from.
    pub input: Box<dyn Input>,
    /// What ends a name: `\n`, or NUL.
    pub separator: u8,
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("name", &self.name).field("separator", &self.separator).finish_non_exhaustive()
    }
}

/// Reads a list's names.
#[derive(Debug)]
pub(super) struct Reader {
    list: List,
    /// The entry that is being read; reused, so that an entry costs no allocation here.
    entry: Vec<u8>,
    state: State,
}

/// How far a list has been read.
#[derive(Debug)]
enum State {
    /// The entry in hand has begun; more of it is to come.
    Within,
    /// The entry in hand is whole.
    Whole,
    /// The entry in hand was given out: the next one begins.
    Given,
    /// The list ends behind the entry in hand.
    Last,
    /// The list cannot be read any further. What has been read of the entry is not a name: the rest of it is missing.
    Failed(Errno),
    Ended,
}

impl Reader {
    pub(super) fn new(list: List) -> Self {
        Self { list, entry: Vec::new(), state: State::Given }
    }

    /// Whether the next name, or the rest of it, would have to be waited for longer than that.
    pub(super) fn would_wait(&mut self, patience: Duration) -> bool {
        while self.is_on_the_way() {
            if self.list.input.would_wait(patience) {
                return true;
            }
            self.read_on();
            if self.is_on_the_way() && self.entry.len() > LONGEST_ENTRY {
                // Its end may never come, and whoever asks is to look for signals.
                return true;
            }
        }
        false
    }

    /// Bytes of memory that an entry has taken so far.
    #[cfg(any(fuzzing, test))]
    pub(super) fn held(&self) -> usize {
        self.entry.capacity()
    }

    /// The next name. Not an `Iterator`: the name lives in the reader until the next call.
    pub(super) fn next_name(&mut self) -> Option<Result<&[u8]>> {
        while self.is_on_the_way() {
            self.read_on();
        }
        self.state = match self.state {
            State::Failed(source) => {
                self.state = State::Ended;
                return Some(Err(Box::new(MoveError::ReadList { path: self.list.name.clone(), source })));
            }
            State::Whole => State::Given,
            State::Last if !self.entry.is_empty() => State::Ended,
            _ => {
                self.state = State::Ended;
                return None;
            }
        };
        if self.entry.len() > LONGEST_ENTRY {
            let error = bad_name(&self.entry[..SHOWN], "longer than any path can be");
            return Some(Err(Box::new(error)));
        }
        if self.entry.contains(&0) {
            let error = bad_name(&self.entry, "it contains a NUL byte");
            return Some(Err(Box::new(error)));
        }
        Some(Ok(&self.entry))
    }

    /// Whether more is to be read until there is a name.
    fn is_on_the_way(&self) -> bool {
        matches!(self.state, State::Within | State::Given)
    }

    /// Reads once. Of an entry that is too long, only the beginning is kept; an empty one is none.
    fn read_on(&mut self) {
        if matches!(self.state, State::Given) {
            self.entry.clear();
        }
        // One byte for the separator of the longest entry.
        let most = LONGEST_ENTRY + 1;
        self.state = match read_piece(&mut *self.list.input, self.list.separator, &mut self.entry, most) {
            Ok(Piece::Rest) if self.entry.is_empty() => State::Given,
            Ok(Piece::Rest) => State::Whole,
            Ok(Piece::Part) => State::Within,
            Ok(Piece::End) => State::Last,
            Err(error) => State::Failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        };
    }
}

fn bad_name(name: &[u8], reason: &'static str) -> MoveError {
    MoveError::BadName { name: OsStr::from_bytes(name).into(), reason }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use proptest::prelude::*;

    use super::*;

    /// An input that is always there.
    impl<R: Read> Input for Ready<R> {
        fn would_wait(&self, _patience: Duration) -> bool {
            false
        }
    }

    struct Ready<R>(BufReader<R>);

    impl<R: Read> Read for Ready<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl<R: Read> BufRead for Ready<R> {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            self.0.fill_buf()
        }

        fn consume(&mut self, count: usize) {
            self.0.consume(count);
        }
    }

    fn reader(input: impl Read + 'static, separator: u8) -> Reader {
        // A tiny buffer, so that entries cross its end.
        let input = Box::new(Ready(BufReader::with_capacity(7, input)));
        Reader::new(List { name: "list".into(), input, separator })
    }

    fn read(reader: &mut Reader) -> Vec<Result<Vec<u8>, String>> {
        let mut names = Vec::new();
        while let Some(name) = reader.next_name() {
            names.push(name.map(<[u8]>::to_vec).map_err(|error| error.to_string()));
        }
        names
    }

    fn parse(input: &[u8], separator: u8) -> Vec<Result<Vec<u8>, String>> {
        read(&mut reader(Cursor::new(input.to_vec()), separator))
    }

    fn names(names: &[&str]) -> Vec<Result<Vec<u8>, String>> {
        names.iter().map(|name| Ok(name.as_bytes().to_vec())).collect()
    }

    #[test]
    fn h65_an_empty_list_is_success() {
        assert_eq!(parse(b"", b'\n'), []);
        assert_eq!(parse(b"", 0), []);
        assert_eq!(parse(b"\n", b'\n'), []);
    }

    #[test]
    fn h65_blank_lines_are_skipped_and_the_last_needs_no_separator() {
        assert_eq!(parse(b"\na\n\n\nb c\nd", b'\n'), names(&["a", "b c", "d"]));
        assert_eq!(parse(b"a\0\0b\0", 0), names(&["a", "b"]));
    }

    #[test]
    fn h65_a_carriage_return_and_a_trailing_slash_belong_to_the_name() {
        assert_eq!(parse(b"a\r\nd/\n \n", b'\n'), names(&["a\r", "d/", " "]));
    }

    #[test]
    fn h37_a_nul_list_holds_any_name() {
        let every: Vec<u8> = (1..=255).collect();
        assert_eq!(parse(&every, 0), [Ok(every)]);
    }

    #[test]
    fn h65_a_nul_list_read_by_lines_is_refused() {
        let read = parse(b"a\0b\nc\n", b'\n');
        assert!(read[0].as_ref().is_err_and(|error| error.ends_with("it contains a NUL byte")), "{read:?}");
        assert_eq!(read[1], Ok(b"c".to_vec()));
    }

    #[test]
    fn h71_an_entry_without_an_end_takes_no_memory() {
        let endless = Read::chain(io::repeat(b'x').take(50 << 20), Cursor::new(b"\nnext"));
        let mut reader = reader(BufReader::with_capacity(1 << 16, endless), b'\n');
        let names = read(&mut reader);
        assert!(names[0].as_ref().is_err_and(|error| error.len() < 200 && error.contains("longer than")), "{names:?}");
        assert_eq!(names[1..], [Ok(b"next".to_vec())]);
        assert!(reader.entry.capacity() <= 4 * LONGEST_ENTRY);
    }

    #[test]
    fn the_longest_entry_passes() {
        for end in ["", "\n"] {
            let longest = "x".repeat(LONGEST_ENTRY);
            assert_eq!(parse(format!("{longest}{end}").as_bytes(), b'\n'), names(&[&longest]));
            assert!(parse(format!("{longest}x{end}").as_bytes(), b'\n')[0].is_err());
        }
    }

    /// Gives some bytes and then fails.
    struct Broken(Cursor<&'static [u8]>);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(Errno::IO.into()),
                read => Ok(read),
            }
        }
    }

    #[test]
    fn h65_a_read_error_ends_the_list_and_half_a_name_is_no_name() {
        let read = read(&mut reader(Broken(Cursor::new(b"a\nhalf")), b'\n'));
        assert_eq!(read, [Ok(b"a".to_vec()), Err("cannot read list 'list': Input/output error".into())]);
    }

    proptest! {
        #[test]
        fn h65_what_is_joined_is_read_back(
            entries in prop::collection::vec(prop::collection::vec(1_u8..=255, 1..40), 0..20),
            separator in prop::sample::select(vec![b'\n', 0]),
            ended: bool,
        ) {
            let entries: Vec<Vec<u8>> = entries
                .into_iter()
                .map(|mut entry| {
                    entry.iter_mut().filter(|byte| **byte == separator).for_each(|byte| *byte = b'x');
                    entry
                })
                .collect();
            let mut joined = entries.join(&separator);
            if ended && !entries.is_empty() {
                joined.push(separator);
            }
            let expected: Vec<_> = entries.into_iter().map(Ok).collect();
            prop_assert_eq!(parse(&joined, separator), expected);
        }

        #[test]
        fn h65_any_bytes_are_read_without_loss(input in prop::collection::vec(any::<u8>(), 0..300)) {
            let expected: Vec<_> = input.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
            let read = parse(&input, 0);
            prop_assert_eq!(read.len(), expected.len());
            for (read, expected) in read.iter().zip(expected) {
                prop_assert_eq!(read.as_deref(), Ok(expected));
            }
        }
    }
}
