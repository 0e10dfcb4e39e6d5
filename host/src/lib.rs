//! Switchboard's host. Modules in reading order.

mod admin;
mod cli;

mod admission;
mod auth;
mod plugin;
mod tools;

mod config;
mod telemetry;
