//! libFuzzer at the door `component`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| switchboard::fuzz::component(bytes));
