//! See `pmove::fuzzing::record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pmove::fuzzing::record(input));
