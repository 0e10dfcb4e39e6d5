//! Chores of this repository. `cargo xtask` lists them.
//!
//! It depends on next to nothing, so that the first thing a newcomer types starts to work at once; what
//! it needs of the host, it asks the host's binary to do.

use std::process::ExitCode;

use anyhow::bail;

mod announce;
mod autobahn;
mod bench;
mod digest;
mod disk;
mod failures;
mod languages;
mod peers;
mod plugins;
mod process;
mod serve;
mod summary;
mod test;
mod tidy;
mod tools;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  serve [-- ARGS]   build everything, start `switchboard serve`, and say what to try; ARGS are its own
  plugins [--guests] [--examples] [--toolchain auto|rustup|debian]
                    leave the components in target/plugins, those for tests in target/guests, and those in
                    other languages in target/examples
  test              everything that has to pass, the cheap parts first
  autobahn [CASE...]
                    the WebSocket stack against the Autobahn cases: all, or such as 6.4.1 or '7.*'
  bench SCENARIO [ARGS]
                    a host under load, built as it would be released: see docs/performance.md; `bench all` is every
                    scenario, `bench counts` and `bench micro` are about single steps
  peers             fetch those who speak MCP with the host in its tests: the conformance suite, official clients
  tidy              the arrows between modules, the homes of dependencies, the shape of files
  tools             what is needed beside cargo, and whether it is here
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    match (command.as_str(), rest) {
        ("serve", rest) => serve::run(rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest)),
        ("plugins", rest) => plugins::run(&plugins::Options::parse(rest)?),
        ("test", []) => test::run(),
        ("autobahn", cases) => autobahn::run(cases),
        ("bench", arguments) => bench::run(arguments),
        ("peers", []) => peers::ensure(),
        ("tidy", []) => tidy::run(),
        ("tools", []) => tools::run(),
        // Started by `serve`, as the reader of the host's output.
        ("announce", rest) => announce::run(rest),
        ("help" | "-h" | "--help", _) => {
            print!("{HELP}");
            Ok(())
        }
        _ => bail!("there is no chore `{}`\n\n{HELP}", arguments.join(" ")),
    }
}
