//! See `pmove::fuzzing::list`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pmove::fuzzing::list(input));
