//! The router with its heart taken out: `serve` does all that it does in the product, from the first byte
//! of a request to the last of a close, but sends each message back instead of routing it.
//!
//! `cargo xtask autobahn` holds the WebSocket stack against the Autobahn cases through it.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchboard::cli::main_of_echo()
}
