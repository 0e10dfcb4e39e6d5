//! libFuzzer at the door `posted`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| switchboard::fuzz::posted(bytes));
