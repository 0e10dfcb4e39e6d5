//! The way out, and the one seam between a component and a native test: modules named after the
//! imports of the contract, with the same functions on both sides.
//!
//! In a component they are the generated imports; natively they are the test host's. The compiler holds
//! the two together, since everything above this module is written once.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::switchboard::plugin::{
    catalogue, changes, clock, host_info, http, inputs, logging, messages, progress, random, requests, runs, seals,
    settings, state, toolbox, topics,
};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::imports::{
    catalogue, changes, clock, host_info, http, inputs, logging, messages, progress, random, requests, runs, seals,
    settings, state, toolbox, topics,
};
