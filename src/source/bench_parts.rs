//! For benches: patterns against names, and lists, without the directories and files that they come from.

use std::io::Cursor;

use super::list::{List, Reader};
use super::pattern::Alternative;

/// The patterns that one pattern stands for.
#[derive(Debug)]
pub struct Patterns(Vec<Alternative>);

impl Patterns {
    /// Takes a pattern apart.
    ///
    /// # Errors
    /// It cannot be: why.
    pub fn parse(pattern: &[u8]) -> Result<Self, String> {
        Alternative::parse(pattern).map(Self)
    }

    /// Whether a file has a path below the root that is wanted, judged as a walk judges it: name by name.
    #[must_use]
    pub fn find(&self, directories: &[&[u8]], name: &[u8]) -> bool {
        let mut states: Vec<(usize, usize)> = Vec::new();
        for (index, one) in self.0.iter().enumerate() {
            one.enter(|step| states.push((index, step)));
        }
        let mut next = Vec::new();
        for directory in directories {
            for &(index, step) in &states {
                self.0[index].judge(step, directory, true, |step| next.push((index, step)));
            }
            std::mem::swap(&mut states, &mut next);
            next.clear();
        }
        states.iter().any(|&(index, step)| self.0[index].judge(step, name, false, |_| {}))
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
