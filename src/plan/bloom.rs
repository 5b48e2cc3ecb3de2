//! A set that never forgets, in bounded memory, and is sometimes too sure that it has seen something.

/// Words of a block: one cache line, so that a question costs one miss.
const BLOCK: usize = 8;

/// Words of a page of memory.
const PAGE: usize = 512;

/// Blocks: 8 MiB in all. At two million entries about one answer in ten thousand is a false yes.
const BLOCKS: usize = 1 << 17;

/// A Bloom filter over 64-bit fingerprints. Memory is taken page by page, as it is needed. Not by the kernel: what it gives
/// for reading has to be given again for writing, and for that it interrupts every thread of the process.
#[derive(Debug, Default)]
pub(super) struct Bloom {
    pages: Vec<Option<Box<[u64; PAGE]>>>,
}

impl Bloom {
    /// Adds a fingerprint. False if it was (or seems to have been) there.
    pub(super) fn insert(&mut self, fingerprint: u64) -> bool {
        if self.pages.is_empty() {
            self.pages.resize_with(BLOCKS * BLOCK / PAGE, || None);
        }
        let (start, bits) = bits(fingerprint);
        // A block lies on one page.
        let page = self.pages[start / PAGE].get_or_insert_with(|| Box::new([0; PAGE]));
        let mut is_new = false;
        for (word, mask) in bits {
            let word = &mut page[start % PAGE + word];
            is_new |= *word & mask == 0;
            *word |= mask;
        }
        is_new
    }

    /// Whether a fingerprint was, or seems to have been, added.
    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        let (start, mut bits) = bits(fingerprint);
        let page = self.pages.get(start / PAGE).and_then(Option::as_ref);
        page.is_some_and(|page| bits.all(|(word, mask)| page[start % PAGE + word] & mask != 0))
    }
}

/// The first word of a fingerprint's block, and its eight bits: one in each word of the block.
fn bits(fingerprint: u64) -> (usize, impl Iterator<Item = (usize, u64)>) {
    let block = usize::try_from(fingerprint >> 47).unwrap_or(0) % BLOCKS;
    // The low 48 bits, six for each word.
    (block * BLOCK, (0..BLOCK).map(move |word| (word, 1 << ((fingerprint >> (6 * word)) & 63))))
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
