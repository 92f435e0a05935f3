//! The reader of MAC maps' records, under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::records::run_macmap(data));
