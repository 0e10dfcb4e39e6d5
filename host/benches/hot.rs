//! What is hot, step by step. `cargo xtask bench micro` times it with criterion; `cargo xtask bench counts` runs it under
//! callgrind, which is what `--steps` and `--count` are for.

use std::{path::PathBuf, process::ExitCode};

use criterion::Criterion;
use switchboard::bench;

/// Set by `cargo xtask bench`.
const COMPONENTS: &str = "SWITCHBOARD_BENCH_COMPONENTS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let components = std::env::var_os(COMPONENTS).map_or_else(|| "target/bench/plugins".into(), PathBuf::from);
    match words[..] {
        ["--steps"] => {
            println!("{}", bench::names().join("\n"));
            ExitCode::SUCCESS
        }
        ["--count", name, times] => count(name, times.parse().unwrap_or(0), &components),
        // With `--test`, cargo and criterion mean that each is to run once.
        _ => time(&components),
    }
}

fn count(name: &str, times: u64, components: &std::path::Path) -> ExitCode {
    match bench::step(name, components) {
        Ok(mut step) if (0..times).all(|_| step()) => ExitCode::SUCCESS,
        Ok(_) => {
            eprintln!("{name} failed");
            ExitCode::FAILURE
        }
        Err(fault) => {
            eprintln!("{name}: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn time(components: &std::path::Path) -> ExitCode {
    let mut criterion = Criterion::default().configure_from_args();
    for name in bench::names() {
        match bench::step(&name, components) {
            Ok(mut step) => {
                _ = criterion.bench_function(&name, |bencher| bencher.iter(|| assert!(step(), "it failed")))
            }
            Err(fault) => {
                eprintln!("{name}: {fault:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    criterion.final_summary();
    ExitCode::SUCCESS
}
