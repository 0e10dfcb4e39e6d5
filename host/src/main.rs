//! The one binary. The only place that exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchboard::cli::main()
}
