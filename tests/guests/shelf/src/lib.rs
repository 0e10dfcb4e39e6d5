//! Offers one of everything that the catalogue has, honest and not: tools that fit their schemas or lie, resources
//! listed and by template, a prompt, and completions.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{
    Ask, Completing, Completion, Context, Error, Manifest, Plugin, Prompt, PromptResult, Resource, ResourceResult,
    ResourceTemplate, Tool, ToolResult,
};

/// The plugin.
#[derive(Debug, Default)]
pub struct Shelf;

/// How much it offers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Settings {
    /// Tools beside the others.
    more_tools: u32,
    /// It never comes to the end of its list of prompts.
    endless: bool,
}

impl Plugin for Shelf {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().tools().resources().prompts().completions().settings::<Settings>()
    }

    fn tools(&mut self, ctx: &Context) -> Result<Vec<Tool>, Error> {
        let nothing = || json!({ "type": "object" });
        let number = json!({ "type": "integer" });
        let sum = json!({ "type": "object", "properties": { "a": number, "b": number }, "required": ["a", "b"] });
        let region =
            json!({ "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } });
        let wrong = json!({ "type": "object", "properties": { "n": { "type": "number", "x-mcp-header": "N" } } });
        let mut tools = vec![
            Tool::with_schema("add", "Adds two numbers.", sum).with("outputSchema", number),
            Tool::with_schema("say", "Gives the result that it is given.", nothing()),
            Tool::with_schema("say_list", "The same, and says that it is a list.", nothing())
                .with("outputSchema", json!({ "type": "array" })),
            Tool::with_schema("ask", "Asks for a name first.", nothing()),
            Tool::with_schema("hold", "Takes `ms` milliseconds.", nothing()),
            Tool::with_schema("crash", "Panics.", nothing()),
            Tool::with_schema("regional", "Takes a region.", region),
            Tool::with_schema("never_offered", "Has an annotation where none may be.", wrong),
        ];
        let more = ctx.settings::<Settings>()?.more_tools;
        tools.extend((0..more).map(|n| Tool::with_schema(&format!("more_{n}"), "One more.", nothing())));
        Ok(tools)
    }

    fn call_tool(&mut self, ctx: &Context, name: &str, arguments: Value) -> Result<ToolResult, Error> {
        match name {
            "add" => {
                let sum = arguments["a"].as_i64().unwrap_or_default() + arguments["b"].as_i64().unwrap_or_default();
                ToolResult::structured(sum.to_string(), &sum)
            }
            "say" | "say_list" => serde_json::from_value(arguments).map_err(Error::internal),
            "ask" => Ok(ask(ctx)),
            "hold" => {
                let end = ctx.clock().monotonic() + Duration::from_millis(arguments["ms"].as_u64().unwrap_or_default());
                ctx.log(switchboard_sdk::Level::Info, "the tool holds", json!({}));
                while ctx.clock().monotonic() < end {}
                Ok(ToolResult::text("held"))
            }
            "crash" => {
                let nothing: [u8; 0] = [];
                Ok(ToolResult::text(nothing[name.len()].to_string()))
            }
            other => Ok(ToolResult::text(other)),
        }
    }

    fn resources(&mut self, _ctx: &Context) -> Result<Vec<Resource>, Error> {
        Ok(vec![
            Resource::new("shelf://book/1", "book").mime_type("text/plain").with("size", json!(5)),
            Resource::new("shelf://cover/1", "cover").mime_type("image/png"),
            Resource::new("no uri", "never offered"),
        ])
    }

    fn resource_templates(&mut self, _ctx: &Context) -> Result<Vec<ResourceTemplate>, Error> {
        Ok(vec![
            ResourceTemplate::new("shelf://page/{number}", "page"),
            ResourceTemplate::new("{?all}", "never offered"),
        ])
    }

    fn read_resource(&mut self, _ctx: &Context, uri: &str) -> Result<ResourceResult, Error> {
        match uri.split_at(uri.rfind('/').unwrap_or_default()) {
            ("shelf://cover", _) => Ok(ResourceResult::binary(uri, "image/png", &[0, 1, 2, 255])),
            ("shelf://book", _) => Ok(ResourceResult::text(uri, "text/plain", "A book.")),
            ("shelf://page", "/1" | "/2") => Ok(ResourceResult::text(uri, "text/plain", "A page.")),
            _ => Err(Error::resource_not_found(uri)),
        }
    }

    fn prompts(&mut self, ctx: &Context) -> Result<Vec<Prompt>, Error> {
        while ctx.settings::<Settings>()?.endless {}
        Ok(vec![
            Prompt::new("greet", "Greets somebody.").argument("name", "Whom", true).argument("style", "How", false),
        ])
    }

    fn get_prompt(&mut self, _ctx: &Context, _name: &str, arguments: Value) -> Result<PromptResult, Error> {
        Ok(PromptResult::user(format!("Greet {}.", arguments["name"].as_str().unwrap_or_default())))
    }

    fn complete(&mut self, _ctx: &Context, asked: &Completing) -> Result<Completion, Error> {
        let values = (0..150).map(|n| format!("{}{n}", asked.value)).collect();
        Ok(Completion { values, total: None, has_more: false })
    }
}

switchboard_sdk::register_plugin!(Shelf);

fn ask(ctx: &Context) -> ToolResult {
    match ctx.inputs().state() {
        None => {
            Ask::new().elicit_with_schema("name", "Who are you?", json!({ "type": "object" })).state("asked").into()
        }
        Some(state) => {
            let inputs = ctx.inputs();
            ToolResult::text(
                json!({ "state": state, "responses": inputs.responses(), "meta": inputs.meta() }).to_string(),
            )
        }
    }
}
