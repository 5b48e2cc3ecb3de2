//! A set that never forgets, in bounded memory, and is sometimes too sure that it has seen something.

/// Words of a block: one cache line, so that a question costs one miss.
const BLOCK: usize = 8;

/// Words of a page of memory.
const PAGE: usize = 512;

/// Blocks: 8 MiB in all. At two million entries about one answer in ten thousand is a false yes.
const BLOCKS: usize = 1 << 17;

/// The first entries go into blocks of their own, 64 KiB: strewn over all of them, each would take a page.
const FIRST_BLOCKS: usize = 1 << 10;
const FIRST_ENTRIES: usize = 1 << 14;

/// A Bloom filter over 64-bit fingerprints.
#[derive(Debug)]
pub(super) struct Bloom {
    first: Blocks,
    /// How many entries those hold, as far as they were new.
    in_first: usize,
    rest: Blocks,
}

impl Default for Bloom {
    fn default() -> Self {
        Self { first: Blocks::new(FIRST_BLOCKS), in_first: 0, rest: Blocks::new(BLOCKS) }
    }
}

impl Bloom {
    /// Adds a fingerprint. False if it was (or seems to have been) there.
    pub(super) fn insert(&mut self, fingerprint: u64) -> bool {
        if self.in_first < FIRST_ENTRIES {
            let is_new = self.first.insert(fingerprint);
            self.in_first += usize::from(is_new);
            return is_new;
        }
        !self.first.contains(fingerprint) && self.rest.insert(fingerprint)
    }

    /// Whether a fingerprint was, or seems to have been, added.
    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        self.first.contains(fingerprint) || self.rest.contains(fingerprint)
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
    use std::hash::{BuildHasher, RandomState};

    #[test]
    fn it_forgets_nothing_and_is_rarely_wrong() {
        let (mut bloom, state) = (Bloom::default(), RandomState::new());
        let entries = 200_000_u64;
        for entry in 0..entries {
            bloom.insert(state.hash_one(entry));
        }
        assert!((0..entries).all(|entry| bloom.contains(state.hash_one(entry))));
        let wrong = (entries..2 * entries).filter(|entry| bloom.contains(state.hash_one(entry))).count();
        assert!(wrong < 20, "{wrong} of {entries} taken for seen");
    }
}
