//! Switchboard's host. Modules in reading order.

mod admin;
mod cli;

mod config;
mod telemetry;

mod auth;
mod plugin;
