//! See `pmove::fuzzing::journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pmove::fuzzing::journal(input));
