//! Look-ups with an arbitrary snapshot, under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::snapshot::run(data));
