//! libFuzzer at the door `message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| switchboard::fuzz::message(bytes));
