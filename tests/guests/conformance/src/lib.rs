//! The fixtures that the official conformance suite of MCP calls by name: everything that MCP lets a server offer,
//! said by a plugin through the contract.
//!
//! Names, arguments and outcomes are those that the suite's scenarios state (`@modelcontextprotocol/conformance`
//! 0.2.0-alpha.12, `server`). A few more serve the tests with official clients.

mod asking;
mod forms;
mod prompts;
mod resources;
mod showing;
mod talking;

use serde_json::{Value, json};
use switchboard_sdk::{
    Completing, Completion, Context, Error, Manifest, Plugin, Prompt, PromptResult, Resource, ResourceResult,
    ResourceTemplate, Scope, Subject, Tool, ToolResult,
};

/// The plugin.
#[derive(Debug, Default)]
pub struct Conformance;

impl Plugin for Conformance {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().tools().resources().prompts().completions()
    }

    fn tools(&mut self, ctx: &Context) -> Result<Vec<Tool>, Error> {
        let mut tools = showing::tools();
        tools.extend(talking::tools());
        tools.extend(asking::tools());
        tools.extend(changing());
        if is_there(ctx, TOOL)? {
            tools.push(without_arguments("test_dynamic_tool", "Is there after every other test_trigger_tool_change"));
        }
        Ok(tools)
    }

    fn call_tool(&mut self, ctx: &Context, name: &str, arguments: Value) -> Result<ToolResult, Error> {
        let known = showing::call(name, &arguments)
            .or_else(|| talking::call(ctx, name))
            .or_else(|| asking::call(ctx, name, &arguments))
            .or_else(|| change(ctx, name));
        known.unwrap_or_else(|| Err(Error::new("UNKNOWN_TOOL", format!("this plugin has no tool {name:?}"))))
    }

    fn resources(&mut self, _ctx: &Context) -> Result<Vec<Resource>, Error> {
        Ok(resources::all())
    }

    fn resource_templates(&mut self, _ctx: &Context) -> Result<Vec<ResourceTemplate>, Error> {
        Ok(resources::templates())
    }

    fn read_resource(&mut self, ctx: &Context, uri: &str) -> Result<ResourceResult, Error> {
        resources::read(ctx, uri)
    }

    fn prompts(&mut self, ctx: &Context) -> Result<Vec<Prompt>, Error> {
        let mut all = prompts::all();
        if is_there(ctx, PROMPT)? {
            all.push(Prompt::new("test_dynamic_prompt", "Is there after every other test_trigger_prompt_change"));
        }
        Ok(all)
    }

    fn get_prompt(&mut self, ctx: &Context, name: &str, arguments: Value) -> Result<PromptResult, Error> {
        prompts::get(ctx, name, &arguments)
    }

    fn complete(&mut self, _ctx: &Context, asked: &Completing) -> Result<Completion, Error> {
        Ok(prompts::complete(asked))
    }
}

switchboard_sdk::register_plugin!(Conformance);

/// How often the list of tools, and of prompts, was changed: with an odd number it has one entry more.
const TOOL: &str = "tool_changes";
const PROMPT: &str = "prompt_changes";

fn changing() -> Vec<Tool> {
    vec![
        without_arguments("test_trigger_tool_change", "Changes the list of tools"),
        without_arguments("test_trigger_prompt_change", "Changes the list of prompts"),
        without_arguments("test_trigger_resource_change", "Changes the content of test://watched-resource"),
    ]
}

fn change(ctx: &Context, name: &str) -> Option<Result<ToolResult, Error>> {
    let (key, subject) = match name {
        "test_trigger_tool_change" => (TOOL, Subject::Tools),
        "test_trigger_prompt_change" => (PROMPT, Subject::Prompts),
        "test_trigger_resource_change" => (resources::CHANGES, Subject::Resource(resources::WATCHED.to_owned())),
        "test_dynamic_tool" => return Some(Ok(ToolResult::text("This tool is not always there."))),
        _ => return None,
    };
    let changed = || {
        let count = ctx.state(Scope::Plugin).increment(key, 1)?;
        ctx.changes().changed(&subject)?;
        Ok(ToolResult::text(format!("This was change {count}.")))
    };
    Some(changed())
}

fn is_there(ctx: &Context, key: &str) -> Result<bool, Error> {
    Ok(ctx.state(Scope::Plugin).increment(key, 0)? % 2 == 1)
}

fn without_arguments(name: &str, description: &str) -> Tool {
    Tool::with_schema(name, description, json!({ "type": "object", "additionalProperties": false }))
}
