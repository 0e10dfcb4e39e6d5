//! The tour of the README, executed.
