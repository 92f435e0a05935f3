//! Whole look-ups over arbitrary state files, under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::lookup::run(data));
