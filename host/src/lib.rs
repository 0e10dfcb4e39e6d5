//! Switchboard's host. Modules in reading order.

mod config;
mod telemetry;

mod admission;
mod auth;
mod cli;
mod plugin;
