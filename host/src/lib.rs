//! Switchboard's host. Modules in reading order.

mod config;
mod telemetry;

mod auth;
mod plugin;
mod tools;
