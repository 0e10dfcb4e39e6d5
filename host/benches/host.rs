//! The host as it is measured: the product, and beside it a handler without a sandbox.
//!
//! With `--steps` and `--count` it is what callgrind counts: one program, because linking another takes minutes.

use std::{path::Path, process::ExitCode};

use switchboard::bench;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--steps"] => {
            println!("{}", bench::names().join("\n"));
            ExitCode::SUCCESS
        }
        ["--count", name, times, components] => count(name, times.parse().unwrap_or(0), Path::new(components)),
        _ => switchboard::cli::main(),
    }
}

/// Takes a step so many times.
fn count(name: &str, times: u64, components: &Path) -> ExitCode {
    let taken = bench::step(name, components).map(|mut step| (0..times).all(|_| step()));
    match taken {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("{name} failed");
            ExitCode::FAILURE
        }
        Err(fault) => {
            eprintln!("{name}: {fault:#}");
            ExitCode::FAILURE
        }
    }
}
