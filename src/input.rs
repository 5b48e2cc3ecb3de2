//! Input that comes in pieces: a list, or answers. A read that waits goes on waiting after a signal, so none may begin before
//! there is something to read; and what there is may be half an entry.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// So often whoever waits for input looks whether the run is to end.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);

/// Whether the next read would wait for longer than `patience`, because whoever writes is not that far. A signal makes the
/// answer yes at once: the caller looks for it.
pub(crate) fn would_wait(input: &BufReader<File>, patience: Duration) -> bool {
    let mut file = [PollFd::new(input.get_ref(), PollFlags::IN)];
    let patience = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: patience.subsec_nanos().into() };
    // What cannot be polled is read without more ado.
    input.buffer().is_empty() && matches!(poll(&mut file, Some(&patience)), Ok(0) | Err(Errno::INTR))
}

/// What one read has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A part: the separator is still to come.
    Part,
    /// The rest, up to the separator, which is left out.
    Rest,
    /// Nothing: the input has ended.
    End,
}

/// Reads once, and adds what belongs to the entry that has begun; of that, `most` bytes are kept and the others passed over.
///
/// # Errors
/// Those of the read. A signal is none.
pub(crate) fn read_piece(
    input: &mut (impl BufRead + ?Sized),
    separator: u8,
    entry: &mut Vec<u8>,
    most: usize,
) -> io::Result<Piece> {
    let available = match input.fill_buf() {
        Ok([]) => return Ok(Piece::End),
        Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Piece::Part),
        available => available?,
    };
    let room = most.saturating_sub(entry.len());
    let (mut near, mut far) = available.split_at(room.min(available.len()));
    let mut read = near.read_until(separator, entry)?;
    let is_whole = if read > 0 && entry.last() == Some(&separator) {
        entry.pop();
        true
    } else {
        let passed_over = far.skip_until(separator)?;
        read += passed_over;
        passed_over > 0 && available[read - 1] == separator
    };
    input.consume(read);
    Ok(if is_whole { Piece::Rest } else { Piece::Part })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_whether_a_read_would_wait() {
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        let mut input = BufReader::new(File::from(reading));
        assert!(would_wait(&input, Duration::ZERO));
        rustix::io::write(&writing, b"a\nb\n").unwrap();
        assert!(!would_wait(&input, Duration::ZERO));
        let mut line = String::new();
        input.read_line(&mut line).unwrap();
        assert!(!would_wait(&input, Duration::ZERO), "b is in the buffer");
        input.read_line(&mut line).unwrap();
        assert!(would_wait(&input, Duration::ZERO));
        drop(writing);
        assert!(!would_wait(&input, Duration::ZERO), "the end is there");
    }

    #[test]
    fn pieces_are_put_together_and_what_is_too_much_is_passed_over() {
        let mut input = &b"one\n\nfour and more\nlast"[..];
        let mut entry = Vec::new();
        let mut next = |most| {
            entry.clear();
            (read_piece(&mut input, b'\n', &mut entry, most).unwrap(), entry.clone())
        };
        assert_eq!(next(4), (Piece::Rest, b"one".to_vec()));
        assert_eq!(next(4), (Piece::Rest, b"".to_vec()));
        assert_eq!(next(4), (Piece::Rest, b"four".to_vec()));
        assert_eq!(next(9), (Piece::Part, b"last".to_vec()));
        assert_eq!(next(9), (Piece::End, b"".to_vec()));
        let mut halves = BufReader::with_capacity(3, &b"12345\n"[..]);
        let mut entry = Vec::new();
        let pieces: Vec<Piece> = (0..3).map(|_| read_piece(&mut halves, b'\n', &mut entry, 9).unwrap()).collect();
        assert_eq!((&pieces[..], &entry[..]), (&[Piece::Part, Piece::Rest, Piece::End][..], &b"12345"[..]));
    }
}
