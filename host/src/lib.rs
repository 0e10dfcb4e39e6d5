//! Switchboard's host. Modules in reading order.

pub mod cli;
mod host;

mod dispatch;
mod transport;

mod admission;
mod auth;
mod plugin;
mod session;
mod tools;
mod topic;

mod admin;
mod config;
mod shutdown;
mod telemetry;
