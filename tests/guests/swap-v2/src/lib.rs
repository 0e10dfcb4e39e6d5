//! Version 2.0.0 of the swap plugin, which offers the tool `swap_after`.

use serde_json::Value;
use switchboard_sdk::{Context, Error, Manifest, Plugin, Tool, ToolResult};

const VERSION: &str = "2.0.0";

/// The plugin.
#[derive(Debug, Default)]
pub struct Swap;

impl Plugin for Swap {
    fn manifest() -> Manifest {
        swap::manifest(VERSION)
    }

    fn tools(&mut self, _ctx: &Context) -> Result<Vec<Tool>, Error> {
        Ok(swap::tools("swap_after"))
    }

    fn call_tool(&mut self, _ctx: &Context, _name: &str, _arguments: Value) -> Result<ToolResult, Error> {
        swap::call(VERSION)
    }
}

switchboard_sdk::register_plugin!(Swap);
