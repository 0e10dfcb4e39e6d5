//! libFuzzer at the door `patterns`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| switchboard::fuzz::patterns(bytes));
