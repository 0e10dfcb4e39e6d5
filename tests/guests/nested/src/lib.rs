//! Calls tools that call tools. `nested_call {tool, arguments?}` calls any tool and answers `nested_result`. The tool
//! `nested_outer` calls `nested_inner`, which calls `nested_outer`: a circle. The tool `nested_relay {tool, arguments?}`
//! calls any other.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Tool, ToolResult};

#[derive(Deserialize)]
struct Call {
    tool: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

#[derive(Default)]
struct Nested;

impl Plugin for Nested {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("nested_call", |t| t.schema_value(relay_schema()).emits(["nested_result"]).concurrent())
            .tools()
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let Call { tool, arguments } = message.payload()?;
        let result = ctx.toolbox().call(&tool, &arguments)?;
        Message::answer("nested_result", &json!({ "result": result }))
    }

    fn tools(&mut self, _ctx: &Context) -> Result<Vec<Tool>, Error> {
        let nothing = json!({ "type": "object" });
        Ok(vec![
            Tool::with_schema("nested_outer", "Calls nested_inner.", nothing.clone()),
            Tool::with_schema("nested_inner", "Calls nested_outer.", nothing),
            Tool::with_schema("nested_relay", "Calls the tool that it is told to.", relay_schema()),
        ])
    }

    fn call_tool(&mut self, ctx: &Context, name: &str, arguments: Value) -> Result<ToolResult, Error> {
        let result = match name {
            "nested_outer" => ctx.toolbox().call("nested_inner", &json!({})),
            "nested_inner" => ctx.toolbox().call("nested_outer", &json!({})),
            _ => {
                let Call { tool, arguments } = serde_json::from_value(arguments).map_err(Error::internal)?;
                ctx.toolbox().call(&tool, &arguments)
            }
        };
        Ok(result?)
    }
}

switchboard_sdk::register_plugin!(Nested);

fn relay_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "tool": { "type": "string" }, "arguments": { "type": "object" } },
        "required": ["tool"],
    })
}
