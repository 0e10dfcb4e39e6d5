//! Those that the host is compared with: fetched or built when a scenario asks for them, and left out when that fails, with
//! a word about it. What is measured of the host needs none of them.

use std::path::Path;

use crate::{process, tools::toolchains};

/// What the repository has of them.
pub const SOURCES: &str = "bench/peers";

/// A workspace of its own: it would have the host's dependencies compiled twice.
const RMCP: &str = "bench/peers/rmcp";
const RMCP_TARGET: &str = "tools/bench-rmcp";

/// Gets whom this scenario compares with.
pub fn ensure(arguments: &[String]) {
    if arguments.iter().any(|argument| argument == "--alone") {
        return;
    }
    let asked = |scenario: &str| arguments.iter().any(|argument| argument == scenario || argument == "all");
    if asked("mcp") {
        or_without("the MCP server in Rust", rmcp());
        or_without("the MCP server in Python", toolchains::mcp_python_2().ensure(None));
    }
    if asked("fanout") {
        or_without("NATS", toolchains::nats().ensure(None));
    }
}

fn rmcp() -> anyhow::Result<()> {
    let mut cargo = process::cargo(Path::new(RMCP));
    cargo
        .args(["build", "--release", "--locked", "--quiet"])
        .env("CARGO_TARGET_DIR", process::target().join(RMCP_TARGET));
    process::run(&mut cargo)
}

fn or_without(whom: &str, result: anyhow::Result<()>) {
    if let Err(fault) = result {
        eprintln!("measuring without {whom}: {fault:#}");
    }
}
