//! Switchboard's host. Modules in reading order.

pub mod cli;
