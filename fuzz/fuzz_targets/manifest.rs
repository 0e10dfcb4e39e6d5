//! libFuzzer at the door `manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| switchboard::fuzz::manifest(bytes));
