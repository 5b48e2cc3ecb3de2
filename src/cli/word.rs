//! Words that stand for values: in full, or as much of them as leaves no doubt.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use crate::error::Quoted;

use super::usage::Usage;

/// The value that `given` stands for. Words of one value stand side by side in `words`. `what` is what the word was
/// given for, as mv calls it.
///
/// # Errors
/// It stands for none, or for several: mv's message, with all words.
pub(super) fn choose<T: Copy + PartialEq>(words: &[(&str, T)], given: &OsStr, what: &str) -> Result<T, Usage> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == given) {
        return Ok(*value);
    }
    let mut meant = words.iter().filter(|(word, _)| word.as_bytes().starts_with(given.as_bytes()));
    let problem = match meant.next() {
        None => "invalid",
        Some((_, value)) if meant.all(|(_, other)| other == value) => return Ok(*value),
        Some(_) => "ambiguous",
    };
    let mut message = format!("{problem} argument {} for '{what}'\nValid arguments are:", Quoted(given));
    for (at, (word, value)) in words.iter().enumerate() {
        let goes_on = at > 0 && words[at - 1].1 == *value;
        let separator = if goes_on { ", " } else { "\n  - " };
        write!(message, "{separator}'{word}'").unwrap_or_default();
    }
    Err(Usage::hinted(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [(&str, u8); 5] = [("none", 0), ("off", 0), ("numbered", 1), ("none-fail", 2), ("odd", 3)];

    fn chosen(given: &str) -> Result<u8, String> {
        choose(&WORDS, OsStr::new(given), "dice").map_err(|usage| usage.message().to_owned())
    }

    #[test]
    fn a_word_may_be_cut_short_where_that_leaves_no_doubt() {
        assert_eq!(chosen("none"), Ok(0));
        assert_eq!(chosen("of"), Ok(0));
        assert_eq!(chosen("nu"), Ok(1));
        assert_eq!(chosen("none-"), Ok(2));
        for doubtful in ["n", "no", "o", ""] {
            let message = chosen(doubtful).unwrap_err();
            assert!(message.starts_with(&format!("ambiguous argument '{doubtful}' for 'dice'\n")), "{message}");
        }
    }

    #[test]
    fn all_words_are_told_those_of_one_value_side_by_side() {
        let message = "invalid argument 'None' for 'dice'\nValid arguments are:\n  - 'none', 'off'\n  - 'numbered'\n  \
                       - 'none-fail'\n  - 'odd'";
        assert_eq!(chosen("None"), Err(message.to_owned()));
    }
}
