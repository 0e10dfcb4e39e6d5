//! The data of a store: what belongs to an instance for as long as it lives, and the call that it is
//! serving at the moment.
//!
//! Invariant: `call` is that of the call under way, and nobody's when there is none, so that what a guest
//! does between calls is done with no caller's rights.

use wasmtime::component::ResourceTable;

use super::{
    call_state::CallState,
    limits::Limiter,
    wasi::{self, Wasi},
};

pub(crate) struct InstanceState {
    pub(super) limiter: Limiter,
    pub(super) call: CallState,
    /// What the host keeps for the guest of WASI's resources, of every one of its interfaces.
    pub(super) table: ResourceTable,
    pub(super) wasi: Wasi,
}

impl InstanceState {
    pub fn new(call: CallState) -> Self {
        let limits = &call.version.limits;
        let limiter = Limiter::new(limits.max_memory_bytes, limits.max_table_elements);
        Self { limiter, call, table: wasi::table(), wasi: Wasi::default() }
    }
}
