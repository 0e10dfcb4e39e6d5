//! Switchboard's host. Modules in reading order.

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
