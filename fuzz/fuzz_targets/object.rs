//! libFuzzer at the door `object`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| switchboard::fuzz::object(bytes));
