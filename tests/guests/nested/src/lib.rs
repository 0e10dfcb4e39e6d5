//! Offers a tool that calls itself through the toolbox. The host has to end the circle by name, and the
//! text with which it does so travels back up to the caller.

use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Tool, ToolResult};

const TOOL: &str = "nested_tool";

/// The plugin.
#[derive(Debug, Default)]
pub struct Nested;

impl Plugin for Nested {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("nested", |t| {
                t.emits(["nested_result"]).description("Calls the tool; answers `{result}` or `{error}`")
            })
            .tools()
    }

    fn handle(&mut self, ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        let answer = match call_tool_again(ctx) {
            Ok(text) => json!({ "result": text }),
            Err(text) => json!({ "error": text }),
        };
        Message::answer("nested_result", &answer)
    }

    fn tools(&mut self, _ctx: &Context) -> Result<Vec<Tool>, Error> {
        let schema = json!({ "type": "object", "properties": {} });
        Ok(vec![Tool::with_schema(TOOL, "Calls itself, which cannot end well.", schema)])
    }

    fn call_tool(&mut self, ctx: &Context, _name: &str, _arguments: Value) -> Result<ToolResult, Error> {
        Ok(match call_tool_again(ctx) {
            Ok(text) => ToolResult::text(text),
            Err(text) => ToolResult::failure(text),
        })
    }
}

switchboard_sdk::register_plugin!(Nested);

/// The text of the tool's result, or that of its failure, whoever refused.
fn call_tool_again(ctx: &Context) -> Result<String, String> {
    match ctx.toolbox().call(TOOL, &json!({})) {
        Ok(result) if result.is_error => Err(result.joined_text()),
        Ok(result) => Ok(result.joined_text()),
        Err(refused) => Err(Error::from(refused).to_string()),
    }
}
