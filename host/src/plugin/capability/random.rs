//! `random`: bytes from the operating system's generator, by way of one in this thread.

use rand::RngCore as _;

use super::super::{bindings::random::Host, call_state::CallState, limits::Interruption};

/// As the contract says. The function has no error, so a guest that asks for more is ended.
const MAX_BYTES: u32 = 64 << 10;

impl Host for CallState {
    fn bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        if len > MAX_BYTES {
            return Err(Interruption::RandomBytes { limit: MAX_BYTES }.into());
        }
        let mut bytes = vec![0; len as usize];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}
