//! The reader of lease records, under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::records::run_lease(data));
