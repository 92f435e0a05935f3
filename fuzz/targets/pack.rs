//! Answers packed into arbitrary buffers, under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::packing::run(data));
