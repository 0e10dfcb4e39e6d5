//! Switchboard's host. Modules in reading order.

/// Messages are many small allocations, freed by another thread as often as by the one that made them, and connections
/// stay for days: the system's allocator took a fifth of the time of a message.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod cli;
mod host;

#[cfg(any(test, fuzzing))]
pub mod fuzz;

#[cfg(feature = "bench")]
pub mod bench;

mod admin;
mod transport;

mod dispatch;

mod admission;
mod auth;
mod plugin;
mod session;
mod tools;
mod topic;

mod config;
mod shutdown;
mod storage;
mod telemetry;
