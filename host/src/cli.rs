//! The command line: one file per command.

pub(crate) mod duration;
pub(crate) mod token;
