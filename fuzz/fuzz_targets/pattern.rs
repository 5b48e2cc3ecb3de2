//! See `pmove::fuzzing::pattern`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pmove::fuzzing::pattern(input));
