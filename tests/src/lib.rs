//! The tests over real sockets are in `suite/`; this crate has nothing of its own.
