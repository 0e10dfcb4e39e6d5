//! The host as it is measured: the product, and beside it a handler without a sandbox.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchboard::cli::main()
}
