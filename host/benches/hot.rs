//! What is hot, step by step, timed by criterion: `cargo xtask bench micro`.

use std::{path::PathBuf, process::ExitCode};

use criterion::Criterion;
use switchboard::bench;

/// Set by `cargo xtask bench`.
const COMPONENTS: &str = "SWITCHBOARD_BENCH_COMPONENTS";

fn main() -> ExitCode {
    let components = std::env::var_os(COMPONENTS).map_or_else(|| "target/bench/plugins".into(), PathBuf::from);
    let mut criterion = Criterion::default().configure_from_args();
    for name in bench::names() {
        match bench::step(&name, &components) {
            Ok(mut step) => {
                criterion.bench_function(&name, |bencher| bencher.iter(|| assert!(step(), "it failed")));
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
