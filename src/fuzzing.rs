//! The door for `fuzz/`: the bodies of its targets, which take any bytes and panic where a promise is broken.
//!
//! Open only when fuzzing, and to the tests below, which give the same bodies the inputs in `fuzz/corpus`, and others
//! at random, with nothing but stable Rust.

pub use crate::source::fuzzing::{list, pattern, plant, walk};
pub use crate::transfer::fuzzing::{record, stage_names};
pub use crate::transfer::tree_fuzzing::journal;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Gives a body all inputs that are checked in, each also cut short and with a bit turned over, and some at random.
    fn run(target: &str, alphabet: &'static [u8], body: impl Fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let whole = std::fs::read(entry.unwrap().path()).unwrap();
            body(&whole);
            for at in (0..whole.len()).step_by(whole.len() / 16 + 1) {
                body(&whole[..at]);
                let mut turned = whole.clone();
                turned[at] ^= 1 << (at % 8);
                body(&turned);
            }
            inputs += 1;
        }
        assert!(inputs > 0, "no inputs for {target}");
        let byte = prop_oneof![3 => prop::sample::select(alphabet), 1 => any::<u8>()];
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(input in vec(byte, 0..200))| body(&input));
    }

    #[test]
    fn h65_any_bytes_are_a_list_or_refused() {
        run("list", b"ab/\n\0\xfe\x40", super::list);
    }

    #[test]
    fn h61_any_bytes_are_a_pattern_or_refused() {
        run("pattern", b"ab.*?/\\{},![]-\0", super::pattern);
    }

    #[test]
    fn h61_a_walk_finds_what_a_pattern_says() {
        let root = tempfile::tempdir().unwrap();
        super::plant(root.path()).unwrap();
        run("walk", b"abcd.*?/\\{},![]-", |input| super::walk(root.path(), input));
    }

    #[test]
    fn p6_any_bytes_are_a_stage_name_or_not() {
        run("stage_names", b".pmove-0123456789abcdefsdjrx", super::stage_names);
    }

    #[test]
    fn p6_any_bytes_are_a_record_or_not() {
        run("record", b"\0\x01\x02a", super::record);
    }

    #[test]
    fn h85_any_bytes_are_a_journal_or_not() {
        run("journal", b"\0\x01\x02\x03\x04a", super::journal);
    }
}
