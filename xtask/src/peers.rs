//! `cargo xtask peers`: those who speak MCP with the host in its tests, fetched beforehand, since no test fetches
//! anything.
//!
//! The official conformance suite, and the official clients in both of their generations. What they are made of is
//! pinned by the lists in `tests/mcp`.

use std::path::Path;

use crate::{process, tools::toolchains};

/// The client in Rust: not of the host's workspace, where it would have everything compiled twice.
pub const RUST_CLIENT: &str = "tests/mcp/rust";

/// Installs what is not there.
pub fn ensure() -> anyhow::Result<()> {
    let node = toolchains::node(toolchains::NODE_FOR_MCP);
    if let Some(node) = &node {
        node.ensure(None)?;
    }
    for tool in [toolchains::mcp_node(), toolchains::mcp_python_2(), toolchains::mcp_python_1()] {
        tool.ensure(node.as_ref())?;
        eprintln!("target/tools/{} is there", tool.name);
    }
    let mut cargo = process::cargo(Path::new(RUST_CLIENT));
    cargo.args(["build", "--locked", "--quiet"]).env("CARGO_TARGET_DIR", process::target().join("tools/mcp-rust"));
    process::run(&mut cargo)
}
