//! For benches: patterns against names, and lists, without the directories and files that they come from.

use std::io::Cursor;

use super::list::{List, Reader};
use super::pattern::Alternative;

/// The patterns that one pattern stands for.
#[derive(Debug)]
pub struct Patterns {
    alternatives: Vec<Alternative>,
    /// What the names in a directory may meet, and those in the next one; reused, as a walk does.
    states: [Vec<(usize, usize)>; 2],
}

impl Patterns {
    /// Takes a pattern apart.
    ///
    /// # Errors
    /// It cannot be: why.
    pub fn parse(pattern: &[u8]) -> Result<Self, String> {
        Ok(Self { alternatives: Alternative::parse(pattern)?, states: Default::default() })
    }

    /// Whether a file has a path below the root that is wanted, judged as a walk judges it: name by name.
    #[must_use]
    pub fn find(&mut self, directories: &[&[u8]], name: &[u8]) -> bool {
        let Self { alternatives, states: [states, next] } = self;
        states.clear();
        for (index, one) in alternatives.iter().enumerate() {
            one.enter(|step| states.push((index, step)));
        }
        for directory in directories {
            next.clear();
            for &(index, step) in states.iter() {
                alternatives[index].judge(step, directory, true, |step| next.push((index, step)));
            }
            std::mem::swap(states, next);
        }
        states.iter().any(|&(index, step)| alternatives[index].judge(step, name, false, |_| {}))
    }
}

/// Reads a list to its end, and returns how many names there are in it.
#[must_use]
pub fn count_names(list: &'static [u8], separator: u8) -> usize {
    let mut reader = Reader::new(List { name: "list".into(), input: Box::new(Cursor::new(list)), separator });
    let mut names = 0;
    while let Some(name) = reader.next_name() {
        names += usize::from(name.is_ok());
    }
    names
}
