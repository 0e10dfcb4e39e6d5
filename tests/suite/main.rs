//! Switchboard from outside: every test starts the real binary, speaks to it over real sockets, and
//! loads real components into it.
//!
//! The binary and the components are built by `cargo xtask test` beforehand; nothing is built or
//! fetched by a test. No test sleeps to wait for something: it waits for the thing itself, within
//! [`harness::PATIENCE`].

mod harness;
