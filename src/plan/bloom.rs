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

/// A Bloom filter over 64-bit fingerprints. Memory is taken page by page, as it is needed. Not by the kernel: what it gives
/// for reading has to be given again for writing, and for that it interrupts every thread of the process.
#[derive(Debug, Default)]
pub(super) struct Bloom {
    first: Box<[u64]>,
    /// How many entries those hold, as far as they were new.
    in_first: usize,
    pages: Vec<Option<Box<[u64; PAGE]>>>,
}

impl Bloom {
    /// Adds a fingerprint. False if it was (or seems to have been) there.
    pub(super) fn insert(&mut self, fingerprint: u64) -> bool {
        if self.in_first < FIRST_ENTRIES {
            if self.first.is_empty() {
                self.first = vec![0; FIRST_BLOCKS * BLOCK].into();
            }
            let (start, bits) = bits(fingerprint, FIRST_BLOCKS);
            let is_new = set(&mut self.first[start..start + BLOCK], bits);
            self.in_first += usize::from(is_new);
            return is_new;
        }
        if self.is_in_first(fingerprint) {
            return false;
        }
        if self.pages.is_empty() {
            self.pages.resize_with(BLOCKS * BLOCK / PAGE, || None);
        }
        let (start, bits) = bits(fingerprint, BLOCKS);
        // A block lies on one page.
        let page = self.pages[start / PAGE].get_or_insert_with(|| Box::new([0; PAGE]));
        set(&mut page[start % PAGE..][..BLOCK], bits)
    }

    /// Whether a fingerprint was, or seems to have been, added.
    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        let (start, bits) = bits(fingerprint, BLOCKS);
        let page = self.pages.get(start / PAGE).and_then(Option::as_ref);
        page.is_some_and(|page| are_set(&page[start % PAGE..], bits)) || self.is_in_first(fingerprint)
    }

    fn is_in_first(&self, fingerprint: u64) -> bool {
        let (start, bits) = bits(fingerprint, FIRST_BLOCKS);
        self.first.get(start..).is_some_and(|block| !block.is_empty() && are_set(block, bits))
    }
}

/// The first word of a fingerprint's block, of so many blocks, and its eight bits: one in each word of the block.
fn bits(fingerprint: u64, blocks: usize) -> (usize, impl Iterator<Item = u64>) {
    let block = usize::try_from(fingerprint >> 47).unwrap_or(0) % blocks;
    // The low 48 bits, six for each word.
    (block * BLOCK, (0..BLOCK).map(move |word| 1 << ((fingerprint >> (6 * word)) & 63)))
}

/// Sets bits, one in each word. Whether any was not set.
fn set(block: &mut [u64], bits: impl Iterator<Item = u64>) -> bool {
    let mut is_new = false;
    for (word, mask) in block.iter_mut().zip(bits) {
        is_new |= *word & mask == 0;
        *word |= mask;
    }
    is_new
}

fn are_set(block: &[u64], bits: impl Iterator<Item = u64>) -> bool {
    block.iter().zip(bits).all(|(word, mask)| word & mask != 0)
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
