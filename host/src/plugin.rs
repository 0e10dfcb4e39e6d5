//! The sandbox: bytes on disk -> a call with an answer.
//!
//! From the outside there are two things. [`Plugins`] brings files to readiness and publishes an
//! immutable [`Registry`] snapshot each time something changed. A [`PluginVersion`] from a snapshot
//! is called; whatever the guest does, the caller gets an answer or one of the failures of
//! [`CallFailure`](failure::CallFailure) by the deadline.
//!
//! Reading order: `directory` (events to `Captured`), `validate` (to `Validated`), `compile` with
//! `aot_cache` (to `Compiled`), `version` (to a ready `PluginVersion`), `registry` (the swap), and on
//! the side of calls `instance`, `limits`, `failure`, `bindings`, and one file each under `capability`.

use std::{io, path::PathBuf};

pub(crate) mod effects;
pub(crate) mod failure;

// From a file to traffic.
mod aot_cache;
mod artifact;
mod claims;
mod compile;
mod directory;
mod loader;
pub(crate) mod manifest;
mod nearest;
pub(crate) mod registry;
pub(crate) mod schema;
pub(crate) mod status;
mod validate;
pub(crate) mod version;

// From a call to its answer.
mod answer;
mod bindings;
mod call_record;
mod call_state;
mod capability;
pub(crate) mod detached;
mod engine;
mod guest;
mod guest_text;
mod instance;
pub(crate) mod json_object;
mod limits;
mod manifest_call;
mod runs;
mod state_store;
mod ticker;

pub(crate) use manifest::{Handled, Ordering, Pattern};
pub(crate) use registry::{Handler, Registry, Route};
pub(crate) use schema::SchemaFault;
pub(crate) use status::PluginStatus;
pub(crate) use version::PluginVersion;

/// Why the host cannot offer plugins at all. A single plugin's trouble is never this.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginSetupError {
    #[error("the sandbox cannot be set up: {0:#}")]
    Engine(wasmtime::Error),
    #[error("the plugin directory {} cannot be used: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
}
