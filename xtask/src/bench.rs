//! `cargo xtask bench`: builds what is measured and what measures, both as they would be released, and starts the load
//! generator; or counts instructions.
//!
//! Line tables are left out: they double the time of the link, and nobody steps through this.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::bail;

mod counts;
mod peers;

use crate::{digest, plugins, process};

const HOST: &str = "switchboard-bench-host";
const GENERATOR: &str = "switchboard-bench";

/// The echo servers of what the WebSocket engine was compared with.
const ENGINES: &str = "bench/engines";

/// Components that ship and those of the benchmarks, beside each other.
const COMPONENTS: &str = "bench/plugins";
const WORKSPACES: [&str; 2] = ["plugins", "bench/guests"];

const USAGE: &str = "\
cargo xtask bench counts [STEP...]  instructions of what is hot, step by step
cargo xtask bench micro [FILTER]    its time, by criterion
cargo xtask bench engines [ARGS]    echo servers that differ in their WebSocket engine alone
cargo xtask bench SCENARIO [ARGS]   a host under load; `cargo xtask bench help` lists the scenarios
cargo xtask bench all [--quick]     every scenario, into one page
";

pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    match arguments.split_first() {
        None => bail!("say what to measure:\n{USAGE}"),
        Some((first, rest)) if first == "counts" => counts::run(rest),
        Some((first, rest)) if first == "micro" => micro(rest),
        Some((first, _)) if first == "engines" => engines(arguments),
        Some(_) => load(arguments),
    }
}

/// Their workspace is another, so that what is only compared is in no lock file of the product.
fn engines(arguments: &[String]) -> anyhow::Result<()> {
    build(GENERATOR, &[])?;
    let target = process::target().join("engines");
    let mut command = process::cargo(ENGINES.as_ref());
    process::run(command.args(["build", "--release"]).env("CARGO_TARGET_DIR", &target))?;
    process::run(Command::new(program(GENERATOR)).args(arguments).arg("--folder").arg(target.join("release")))
}

fn load(arguments: &[String]) -> anyhow::Result<()> {
    eprintln!("building the host and the generator, as they would be released");
    build_host()?;
    build(GENERATOR, &[])?;
    components()?;
    peers::ensure(arguments);
    let mut command = Command::new(program(GENERATOR));
    command.arg("--host").arg(program(HOST)).arg("--components").arg(process::target().join(COMPONENTS));
    command
        .arg("--tools")
        .arg(process::target().join("tools"))
        .arg("--peers")
        .arg(process::root().join(peers::SOURCES));
    process::run(command.args(arguments))
}

/// criterion has its own options, such as `--save-baseline`.
fn micro(arguments: &[String]) -> anyhow::Result<()> {
    components()?;
    let mut command = cargo(&["bench", "-p", "switchboard", "--features", "bench", "--bench", "hot"]);
    process::run(command.arg("--").args(arguments))
}

fn build_host() -> anyhow::Result<()> {
    build("switchboard", &["--bin", HOST, "--features", "bench"])
}

fn build(package: &str, arguments: &[&str]) -> anyhow::Result<()> {
    process::run(cargo(&["build", "--release", "-p", package]).args(arguments))
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = process::cargo(Path::new(""));
    command.args(arguments).env("CARGO_PROFILE_RELEASE_DEBUG", "0").env("CARGO_PROFILE_BENCH_DEBUG", "0");
    command.env("SWITCHBOARD_BENCH_COMPONENTS", process::target().join(COMPONENTS));
    command
}

fn program(name: &str) -> PathBuf {
    process::target().join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Made by the host that is measured, which is there already.
fn components() -> anyhow::Result<()> {
    let out = process::target().join(COMPONENTS);
    for workspace in WORKSPACES {
        let root = process::root();
        let sources = ["plugin-sdk", "wit", "host/src/cli/plugin", workspace].map(|path| root.join(path));
        let name = format!("bench-{}", workspace.replace('/', "-"));
        plugins::once(&name, &sources, "", || {
            build_host()?;
            eprintln!("building {workspace} into target/{COMPONENTS}");
            let mut command = Command::new(program(HOST));
            command.current_dir(&root).env("CARGO_TARGET_DIR", process::target().join("wasm"));
            command.args(["plugin", "build", workspace, "--toolchain", "auto-with-debian", "--out"]).arg(&out);
            process::run(&mut command)?;
            let mut made = Vec::new();
            digest::collect(&out, &mut made)?;
            made.sort();
            Ok(made)
        })?;
    }
    Ok(())
}
