//! What both versions of the swap plugin do: one tool, whose name says which version offers it.

use serde_json::json;
use switchboard_sdk::{Error, Manifest, Tool, ToolResult};

/// The manifest of a version. Both call themselves `swap`.
#[must_use]
pub fn manifest(version: &str) -> Manifest {
    Manifest::new("swap", version).description("Offers another tool in each version").tools()
}

/// The tool of a version.
#[must_use]
pub fn tools(name: &str) -> Vec<Tool> {
    vec![Tool::with_schema(name, "Says which version it is of", json!({ "type": "object" }))]
}

/// What that tool says.
///
/// # Errors
///
/// None; it has the type of a call's outcome.
pub fn call(version: &str) -> Result<ToolResult, Error> {
    Ok(ToolResult::text(version))
}
