//! `tools/list` and `tools/call`, on the tools of all plugins, with the caller's rights.
//!
//! Tools and results pass through as text: no keyword of a schema, and no digit of a number, is touched.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use switchboard_sdk::{Context, Error, ToolError, ToolResult};

use crate::{Settings, mcp::to_raw, rpc::Fault};

/// A tool by its members, each as text.
type RawTool = BTreeMap<String, Box<RawValue>>;

/// The host's own addition, which is no member of MCP's `Tool`.
const HOST_MEMBER: &str = "x-plugin";

#[derive(Deserialize)]
pub(crate) struct ListTools {
    cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    tools: &'a [RawTool],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(crate) fn list(ctx: &Context, asked: &ListTools) -> Result<Box<RawValue>, Fault> {
    let settings: Settings = ctx.settings().map_err(Fault::internal)?;
    let text = ctx.toolbox().list_json().map_err(|error| Fault::internal(Error::from(error)))?;
    let mut tools: Vec<RawTool> = serde_json::from_str(&text).map_err(Fault::internal)?;
    for tool in &mut tools {
        tool.remove(HOST_MEMBER);
    }
    let generation = generation_of(&text);
    let first = match &asked.cursor {
        None => 0,
        Some(cursor) => position(cursor, generation, tools.len())?,
    };
    let end = tools.len().min(first + settings.page_size.max(1));
    let next_cursor = (end < tools.len()).then(|| format!("{generation:016x}.{end}"));
    to_raw(&Page { tools: &tools[first..end], next_cursor })
}

/// Names a list: a cursor into another one would skip tools, or show them twice.
fn generation_of(list: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    list.hash(&mut hasher);
    hasher.finish()
}

fn position(cursor: &str, generation: u64, length: usize) -> Result<usize, Fault> {
    let parsed = cursor
        .split_once('.')
        .and_then(|(list, position)| Some((u64::from_str_radix(list, 16).ok()?, position.parse::<usize>().ok()?)));
    match parsed {
        Some((list, position)) if list == generation && position < length => Ok(position),
        Some((list, _)) if list != generation => {
            Err(Fault::invalid_params("the tools have changed since this `cursor`: list them again from the start"))
        }
        _ => Err(Fault::invalid_params("this `cursor` did not come from this server")),
    }
}

#[derive(Deserialize)]
pub(crate) struct CallTool {
    name: String,
    arguments: Option<Box<RawValue>>,
}

pub(crate) fn call(ctx: &Context, asked: &CallTool) -> Result<Box<RawValue>, Fault> {
    let arguments = asked.arguments.as_deref().map_or("{}", RawValue::get);
    if !arguments.starts_with('{') {
        return Err(Fault::invalid_params("`params.arguments` has to be an object"));
    }
    match ctx.toolbox().call_json(&asked.name, arguments) {
        Ok(result) => RawValue::from_string(result).map_err(Fault::internal),
        Err(ToolError::UnknownTool(name)) => {
            Err(Fault::invalid_params(format!("there is no tool {name:?}: tools/list names those that there are")))
        }
        Err(error) => to_raw(&failure(&asked.name, error)),
    }
}

/// A result that a model can act on, since all but an unknown name is something to learn from.
fn failure(name: &str, error: ToolError) -> ToolResult {
    let advice = match &error {
        ToolError::InvalidArguments(_) => "Correct the arguments so that they fit the tool's input schema.",
        ToolError::Timeout => "Ask for less at once.",
        ToolError::Forbidden(_) => "Do without this tool: the caller may not use it.",
        _ => "The same call may succeed later; other arguments may succeed now.",
    };
    ToolResult::failure(format!("The tool {name:?} did not succeed: {}. {advice}", Error::from(error).message))
}
