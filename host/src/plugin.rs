//! The sandbox: bytes on disk -> a call with an answer.
//!
//! From the outside there are two things. [`Plugins`] brings files to readiness and publishes an
//! immutable [`Registry`] snapshot each time something changed. A [`PluginVersion`] from a snapshot
//! is called; whatever the guest does, the caller gets an answer or one of the failures of
//! [`CallFailure`] by the deadline.
//!
//! Reading order: `directory` (events to `Captured`), `validate` (to `Validated`), `compile` with
//! `aot_cache` (to `Compiled`), `version` (to a ready `PluginVersion`), `registry` (the swap), and on
//! the side of calls `instance`, `limits`, `failure`, `bindings`, and one file each under `capability`.

pub(crate) mod effects;
pub(crate) mod failure;
mod stand_in;

pub(crate) use stand_in::*;
