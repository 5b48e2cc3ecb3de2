//! A set that never forgets, in bounded memory, and is sometimes too sure that it has seen something.

/// Words of a block: one cache line, so that a question costs one miss.
const BLOCK: usize = 8;

/// Words of a page of memory.
const PAGE: usize = 512;

/// Blocks of each stage: the first takes 128 KiB, the last 8 MiB. Strewn over all of the last, a few thousand entries
/// would take a page each, and giving a page costs more than all the rest.
const STAGES: [usize; 4] = [1 << 11, 1 << 13, 1 << 15, 1 << 17];

/// Entries for each block of a stage, before the next stage is begun. The last one takes all that come: at two million
/// about one answer in a hundred thousand is a false yes.
const ENTRIES: usize = 8;

/// A Bloom filter over 64-bit fingerprints, which grows in stages.
#[derive(Debug)]
pub(super) struct Bloom {
    stages: [Blocks; STAGES.len()],
    /// The stage that takes what is new.
    open: usize,
    /// How many entries that has, as far as they were new.
    entries: usize,
}

impl Default for Bloom {
    fn default() -> Self {
        Self { stages: STAGES.map(Blocks::new), open: 0, entries: 0 }
    }
}

impl Bloom {
    /// Adds a fingerprint. False if it was (or seems to have been) there.
    pub(super) fn insert(&mut self, fingerprint: u64) -> bool {
        if self.stages[..self.open].iter().any(|stage| stage.contains(fingerprint)) {
            return false;
        }
        let is_new = self.stages[self.open].insert(fingerprint);
        self.entries += usize::from(is_new);
        if self.open + 1 < STAGES.len() && self.entries >= ENTRIES * STAGES[self.open] {
            self.open += 1;
            self.entries = 0;
        }
        is_new
    }

    /// Whether a fingerprint was, or seems to have been, added.
    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        self.stages[..=self.open].iter().any(|stage| stage.contains(fingerprint))
    }
}

/// So many blocks. Memory is taken page by page, as it is needed. Not by the kernel: what it gives for reading has to be
/// given again for writing, and for that it interrupts every thread of the process.
#[derive(Debug)]
struct Blocks {
    count: usize,
    pages: Vec<Option<Box<[u64; PAGE]>>>,
}

impl Blocks {
    fn new(count: usize) -> Self {
        Self { count, pages: Vec::new() }
    }

    /// Sets the bits of a fingerprint. Whether any was not set.
    fn insert(&mut self, fingerprint: u64) -> bool {
        if self.pages.is_empty() {
            self.pages.resize_with(self.count * BLOCK / PAGE, || None);
        }
        let start = self.start(fingerprint);
        // A block lies on one page.
        let page = self.pages[start / PAGE].get_or_insert_with(|| Box::new([0; PAGE]));
        let mut is_new = false;
        for (word, mask) in page[start % PAGE..].iter_mut().zip(bits(fingerprint)) {
            is_new |= *word & mask == 0;
            *word |= mask;
        }
        is_new
    }

    fn contains(&self, fingerprint: u64) -> bool {
        let start = self.start(fingerprint);
        let page = self.pages.get(start / PAGE).and_then(Option::as_ref);
        page.is_some_and(|page| page[start % PAGE..].iter().zip(bits(fingerprint)).all(|(word, mask)| word & mask != 0))
    }

    /// The first word of a fingerprint's block.
    fn start(&self, fingerprint: u64) -> usize {
        usize::try_from(fingerprint >> 47).unwrap_or(0) % self.count * BLOCK
    }
}

/// A fingerprint's eight bits: one in each word of its block, by the low 48 bits, six for each word.
fn bits(fingerprint: u64) -> impl Iterator<Item = u64> {
    (0..BLOCK).map(move |word| 1 << ((fingerprint >> (6 * word)) & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    #[test]
    fn it_forgets_nothing_and_is_rarely_wrong() {
        // The same in each run: how rarely is a matter of chance.
        let (mut bloom, state) = (Bloom::default(), BuildHasherDefault::<DefaultHasher>::default());
        // So many that all stages are in use.
        let entries = 400_000_u64;
        for entry in 0..entries {
            bloom.insert(state.hash_one(entry));
        }
        assert!((0..entries).all(|entry| bloom.contains(state.hash_one(entry))));
        let wrong = (entries..2 * entries).filter(|entry| bloom.contains(state.hash_one(entry))).count();
        assert_eq!(bloom.open + 1, STAGES.len());
        assert!(wrong <= 4, "{wrong} of {entries} taken for seen");
    }
}
