//! The load generator of Switchboard. It starts a host, keeps it busy in one way, and says what that cost.
//!
//! It shares neither a process nor an executor with what it measures, and says how much of the machine it used itself.

use std::process::ExitCode;

use clap::Parser as _;

mod client;
mod component;
mod fleet;
mod host;
mod load;
mod options;
mod peer;
mod process;
mod progress;
mod report;
mod scenario;
mod slope;
mod tally;
mod turn;

fn main() -> ExitCode {
    let options = options::Options::parse();
    match scenario::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            progress::clear();
            eprintln!("error: {fault:#}");
            ExitCode::FAILURE
        }
    }
}
