//! The command line: one file for each command.

pub(crate) mod config;
pub(crate) mod duration;
pub(crate) mod token;
