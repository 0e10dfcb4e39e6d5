//! What is needed beside cargo: what it is, where it comes from, how it is recognised.
//!
//! Getting the two compilers is the work of `switchboard plugin build`, which authors need just as much, and
//! everything else is got by the chore that uses it; here it is only looked at.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::process;

pub mod toolchains;

/// Something that this repository's chores use.
pub struct Tool {
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// How one gets it.
    pub source: &'static str,
    /// Its version, if it is here.
    detect: fn() -> Option<String>,
}

/// One of the first two has to be there, or to be had.
const COMPILERS: [Tool; 2] = [
    Tool {
        name: "wasm32-unknown-unknown",
        purpose: "compiling plugins",
        source: "rustup target add wasm32-unknown-unknown",
        detect: native,
    },
    Tool {
        name: "Debian's Rust",
        purpose: "compiling plugins where rustup can fetch nothing",
        source: "switchboard plugin build --toolchain debian",
        detect: debian,
    },
];

/// The Autobahn cases under Python 3, as PyPI names them.
pub const AUTOBAHN: &str = "kosoku==0.1.0";

const CASES: Tool = Tool {
    name: AUTOBAHN,
    purpose: "the cases of `cargo xtask autobahn`",
    source: "cargo xtask autobahn",
    detect: cases,
};

const SUITE: Tool = Tool {
    name: "@modelcontextprotocol/conformance",
    purpose: "the conformance suite and the official clients of MCP",
    source: "cargo xtask peers",
    detect: suite,
};

const BROKER: Tool =
    Tool { name: "nats-server", purpose: "comparing fan-out with", source: "cargo xtask bench fanout", detect: broker };

/// A table of what is here.
pub fn run() -> anyhow::Result<()> {
    for tool in COMPILERS.into_iter().chain([CASES, SUITE, BROKER]) {
        let state = (tool.detect)().unwrap_or_else(|| format!("missing; from `{}`", tool.source));
        println!("{}: {state}\n  for {}", tool.name, tool.purpose);
    }
    Ok(())
}

/// What plugins would be compiled with now: part of what a cached plugin depends on.
pub fn compilers() -> String {
    COMPILERS.iter().map(|tool| format!("{}={}\n", tool.name, (tool.detect)().unwrap_or_default())).collect()
}

/// The Python environment of the Autobahn cases.
pub fn autobahn_folder() -> PathBuf {
    process::target().join("tools").join(AUTOBAHN.replace("==", "-"))
}

/// A program of that environment.
pub fn autobahn_program(name: &str) -> PathBuf {
    let programs = autobahn_folder().join(if cfg!(windows) { "Scripts" } else { "bin" });
    programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn cases() -> Option<String> {
    let program = autobahn_program("kosoku");
    program.is_file().then(|| program.display().to_string())
}

fn suite() -> Option<String> {
    let tool = toolchains::mcp_node();
    tool.is_installed().then(|| tool.program().display().to_string())
}

fn broker() -> Option<String> {
    let tool = toolchains::nats();
    tool.is_installed().then(|| tool.program().display().to_string())
}

fn native() -> Option<String> {
    let libdir = answer("rustc", &["--print", "target-libdir", "--target", "wasm32-unknown-unknown"])?;
    Path::new(&libdir).is_dir().then(|| answer("rustc", &["--version"]))?
}

fn debian() -> Option<String> {
    let source = Path::new("/usr/lib/rustlib/src/rust/library/std");
    source.is_dir().then(|| answer("/usr/bin/rustc", &["--version"]))?
}

fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    if program.starts_with('/') {
        // cargo's variables speak of another toolchain's libraries.
        command.env_remove("LD_LIBRARY_PATH");
    }
    let output = command.args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
