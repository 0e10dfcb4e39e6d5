//! The data of a store: what belongs to an instance for as long as it lives, and the call that it is
//! serving at the moment.
//!
//! Invariant: `call` is that of the call under way, and nobody's when there is none, so that what a guest
//! does between calls is done with no caller's rights.

use super::{call_state::CallState, limits::Limiter};

pub(crate) struct InstanceState {
    pub(super) limiter: Limiter,
    pub(super) call: CallState,
}

impl InstanceState {
    pub fn new(call: CallState) -> Self {
        let limits = &call.version.limits;
        Self { limiter: Limiter::new(limits.max_memory_bytes, limits.max_table_elements), call }
    }
}
