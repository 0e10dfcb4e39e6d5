//! libFuzzer at the door `schema`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| switchboard::fuzz::schema(bytes));
