//! libFuzzer at the door `settings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| switchboard::fuzz::settings(bytes));
