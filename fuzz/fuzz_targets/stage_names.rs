//! See `pmove::fuzzing::stage_names`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pmove::fuzzing::stage_names(input));
