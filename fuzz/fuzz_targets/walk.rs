//! See `pmove::fuzzing::walk`.
#![no_main]

use std::sync::LazyLock;

use tempfile::TempDir;

static TREE: LazyLock<TempDir> = LazyLock::new(|| {
    let root = tempfile::tempdir().expect("a temporary directory");
    pmove::fuzzing::plant(root.path()).expect("a tree in it");
    root
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| pmove::fuzzing::walk(TREE.path(), input));
