//! The tool that MCP servers are compared by: next to no work, and the same in all of them.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use switchboard_sdk::{Context, Error, Isolation, Manifest, Plugin, Tool, ToolResult};

/// The plugin.
#[derive(Debug, Default)]
pub struct Adder;

#[derive(Deserialize, JsonSchema)]
struct Terms {
    a: i64,
    b: i64,
}

impl Plugin for Adder {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().isolation(Isolation::Message).tools()
    }

    fn tools(&mut self, _ctx: &Context) -> Result<Vec<Tool>, Error> {
        Ok(vec![Tool::new::<Terms>("add", "Adds two numbers")])
    }

    fn call_tool(&mut self, _ctx: &Context, _name: &str, arguments: Value) -> Result<ToolResult, Error> {
        let Terms { a, b } = Tool::arguments(&arguments)?;
        Ok(ToolResult::text(a.wrapping_add(b).to_string()))
    }
}

switchboard_sdk::register_plugin!(Adder);
