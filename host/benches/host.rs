//! The host as it is measured: the product, and beside it a handler without a sandbox.
//!
//! With `--steps` and `--count` it is what instructions are counted of: one program, because linking another takes minutes.

use std::{convert::Infallible, path::Path, process::ExitCode};

use rustix::process::{Signal, getpid, kill_process};
use switchboard::bench;

/// Repetitions before anything is counted, so that what is made once is there.
const WARM: usize = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--steps"] => {
            println!("{}", bench::names().join("\n"));
            ExitCode::SUCCESS
        }
        ["--count", name, components] => match count(name, Path::new(components)) {
            Ok(never) => match never {},
            Err(fault) => {
                eprintln!("{fault:#}");
                ExitCode::FAILURE
            }
        },
        _ => switchboard::cli::main(),
    }
}

/// Takes a step again and again, for one who counts its instructions: with a stop before each. The one who counts ends it.
fn count(name: &str, components: &Path) -> anyhow::Result<Infallible> {
    let mut step = bench::step(name, components)?;
    let mut once = || if step() { Ok(()) } else { Err(anyhow::anyhow!("{name} failed")) };
    for _ in 0..WARM {
        once()?;
    }
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let stop = || kill_process(getpid(), Signal::STOP);
    stop()?;
    loop {
        stop()?;
        once()?;
    }
}
