//! What a tool takes and gives: its schemas, compiled, and what is held against them.
//!
//! Schemas come from plugins and values from clients and plugins, so what both may cost together is bounded:
//! the size of a schema, the patterns of a list, and the work that a value makes.

use serde_json::Value;

use super::header::{self, HeaderParameter};
use crate::plugin::{json_object::Members, schema::Schema};

/// The largest schema, in bytes. Those that people write have a few thousand.
const MAX_SCHEMA_BYTES: usize = 128 << 10;

/// Regular expressions in all schemas of one list. Each can take the host fifteen milliseconds to compile; those of
/// people are compiled in microseconds.
const MAX_PATTERNS: usize = 200;

/// Work to find out what all schemas of one list cost: as much as one schema may make. Those of people, a hundredth.
const MAX_EFFORT: u64 = 500_000;

/// Subschemas times places of a value that are looked at: a few seconds of one processor, on a slow machine.
const MAX_WORK: u64 = 50_000_000;

/// What a schema that was refused counts for. Ten of them are mistakes, and a hundred are an attack.
const MAX_REFUSED_EFFORT: u64 = MAX_EFFORT / 50;

/// How much more the schemas of a list may cost.
#[derive(Debug)]
pub(super) struct Budget {
    patterns: usize,
    effort: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { patterns: MAX_PATTERNS, effort: MAX_EFFORT }
    }
}

/// A tool's schemas.
#[derive(Debug)]
pub(in crate::tools) struct Tool {
    /// Of the arguments.
    input: Schema,
    /// Of `structuredContent`.
    output: Option<Schema>,
    /// Arguments that clients repeat in headers.
    pub headers: Vec<HeaderParameter>,
}

impl Tool {
    pub(super) fn read(members: &Members<'_>, budget: &mut Budget) -> Result<Self, String> {
        let input = document(members, "inputSchema")?.ok_or("`inputSchema` is missing")?;
        // MCP, revision 2026-07-28, `Tool.inputSchema`: clients refuse the whole list otherwise.
        if input.get("type").and_then(Value::as_str) != Some("object") {
            return Err("`inputSchema` has not the type \"object\"".into());
        }
        let headers = header::parameters(&input).map_err(|problem| format!("`x-mcp-header` {problem}"))?;
        let output = document(members, "outputSchema")?;
        let output = output.map(|output| compile("outputSchema", output, budget)).transpose()?;
        Ok(Self { input: compile("inputSchema", input, budget)?, output, headers })
    }

    /// The fault names the path.
    pub fn check_arguments(&self, arguments: &str) -> Result<(), String> {
        check(&self.input, arguments)
    }

    /// Whether a result needs `structuredContent`.
    pub fn has_output(&self) -> bool {
        self.output.is_some()
    }

    /// The fault names the path.
    pub fn check_output(&self, structured: &str) -> Result<(), String> {
        self.output.as_ref().map_or(Ok(()), |schema| check(schema, structured))
    }
}

fn document(members: &Members<'_>, name: &str) -> Result<Option<Value>, String> {
    let Some(text) = members.get(name) else { return Ok(None) };
    let text = text.get();
    if text.len() > MAX_SCHEMA_BYTES {
        return Err(format!("`{name}` has {} bytes, and {MAX_SCHEMA_BYTES} are allowed", text.len()));
    }
    let value: Value = serde_json::from_str(text).map_err(|fault| format!("`{name}`: {fault}"))?;
    if value.is_object() { Ok(Some(value)) } else { Err(format!("`{name}` is not an object")) }
}

fn compile(name: &str, document: Value, budget: &mut Budget) -> Result<Schema, String> {
    budget.patterns = budget
        .patterns
        .checked_sub(patterns_in(&document))
        .ok_or_else(|| format!("`{name}`: there are more than {MAX_PATTERNS} patterns in the schemas of this list"))?;
    // Whatever is left: one may go beyond it, and is the last.
    if budget.effort == 0 {
        return Err(format!("`{name}`: the schemas of this list are together too complicated"));
    }
    let schema = Schema::compile(document).map_err(|fault| format!("`{name}`: {fault}"));
    // One that is refused was as much work.
    let effort = schema.as_ref().map_or(MAX_REFUSED_EFFORT, Schema::effort);
    budget.effort = budget.effort.saturating_sub(effort);
    schema
}

/// At least as many regular expressions as the schema has: what only looks like one counts as well.
fn patterns_in(part: &Value) -> usize {
    match part {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let own = match (name.as_str(), value) {
                    ("pattern", Value::String(_)) => 1,
                    ("patternProperties", Value::Object(patterns)) => patterns.len(),
                    _ => 0,
                };
                own + patterns_in(value)
            })
            .sum(),
        Value::Array(items) => items.iter().map(patterns_in).sum(),
        _ => 0,
    }
}

fn check(schema: &Schema, text: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|fault| format!("/: it is not JSON: {fault}"))?;
    if schema.steps().saturating_mul(places(&value)) > MAX_WORK {
        return Err("/: it is too large to be held against a schema with so many choices".into());
    }
    schema.check(&value).map_err(|fault| fault.to_string())
}

fn places(value: &Value) -> u64 {
    match value {
        Value::Object(members) => members.values().map(places).fold(1, u64::saturating_add),
        Value::Array(items) => items.iter().map(places).fold(1, u64::saturating_add),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(tool: &Value) -> Result<Tool, String> {
        Tool::read(&Members::parse(&tool.to_string()).unwrap(), &mut Budget::default())
    }

    fn problem(tool: &Value) -> String {
        read(tool).expect_err("it is wrong")
    }

    #[test]
    fn arguments_and_output_are_held_against_their_schemas_by_path() {
        let tool = read(&json!({
            "inputSchema": { "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] },
            "outputSchema": { "type": "array", "items": { "type": "string" } },
        }))
        .unwrap();
        assert_eq!(tool.check_arguments(r#"{"n":1}"#), Ok(()));
        assert!(tool.check_arguments(r#"{"n":"1"}"#).unwrap_err().starts_with("/n: "));
        assert_eq!(tool.check_output(r#"["a"]"#), Ok(()));
        assert!(tool.check_output(r#"["a",1]"#).unwrap_err().starts_with("/1: "));
    }

    #[test]
    fn other_dialects_are_taken_by_their_name_and_unknown_ones_are_refused() {
        let draft = json!({ "inputSchema": { "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
            "properties": { "a": { "items": [{ "type": "integer" }] } } } });
        let tool = read(&draft).unwrap();
        assert!(tool.check_arguments(r#"{"a":["x"]}"#).unwrap_err().starts_with("/a/0: "));
        let unknown = json!({ "inputSchema": { "$schema": "https://example.com/dialect", "type": "object" } });
        assert!(problem(&unknown).contains("inputSchema"));
    }

    #[test]
    fn a_schema_is_an_object_of_bounded_size_that_describes_an_object() {
        for (tool, expected) in [
            (json!({}), "`inputSchema` is missing"),
            (json!({ "inputSchema": true }), "not an object"),
            (json!({ "inputSchema": {} }), "the type \"object\""),
            (json!({ "inputSchema": { "type": "object" }, "outputSchema": null }), "`outputSchema` is not an object"),
            (json!({ "inputSchema": { "type": "object", "$ref": "https://example.com/s.json" } }), "reference"),
            (
                json!({ "inputSchema": { "type": "object", "description": "x".repeat(MAX_SCHEMA_BYTES) } }),
                "are allowed",
            ),
        ] {
            assert!(problem(&tool).contains(expected), "{}", problem(&tool));
        }
    }

    #[test]
    fn the_patterns_of_a_list_are_bounded_together() {
        let schema = |patterns: usize| {
            let properties: serde_json::Map<_, _> =
                (0..patterns).map(|number| (number.to_string(), json!({ "pattern": "a" }))).collect();
            json!({ "inputSchema": { "type": "object", "properties": properties } }).to_string()
        };
        let mut budget = Budget::default();
        let (most, one) = (schema(MAX_PATTERNS), schema(1));
        assert!(Tool::read(&Members::parse(&most).unwrap(), &mut budget).is_ok());
        assert!(Tool::read(&Members::parse(&one).unwrap(), &mut budget).unwrap_err().contains("patterns"));
    }

    #[test]
    fn the_schemas_of_a_list_may_cost_so_much_together() {
        let node =
            |number: usize| json!({ "properties": { "a": { "$ref": format!("#/$defs/{}", (number + 1) % 100) } } });
        let nodes: serde_json::Map<_, _> = (0..100).map(|number| (number.to_string(), node(number))).collect();
        let text = json!({ "inputSchema": { "type": "object", "$ref": "#/$defs/0", "$defs": nodes } }).to_string();
        let members = Members::parse(&text).unwrap();
        let mut budget = Budget::default();
        let read = (0..256).filter(|_| Tool::read(&members, &mut budget).is_ok()).count();
        assert!((10..100).contains(&read), "{read}");
        let simple =
            json!({ "inputSchema": { "type": "object", "properties": { "a": { "type": "string" } } } }).to_string();
        let members = Members::parse(&simple).unwrap();
        let mut budget = Budget::default();
        assert!((0..256).all(|_| Tool::read(&members, &mut budget).is_ok()));
        let wrong = json!({ "inputSchema": { "type": "object", "$ref": "#" } }).to_string();
        let members = Members::parse(&wrong).unwrap();
        assert!((0..256).all(|_| Tool::read(&members, &mut budget).is_err()));
        assert_eq!(budget.effort, 0);
    }

    #[test]
    fn a_value_that_would_take_too_long_to_check_is_refused() {
        let choices: Vec<Value> = (0..1_000).map(|number| json!({ "const": number })).collect();
        let tool = read(&json!({ "inputSchema": { "type": "object",
            "properties": { "a": { "items": { "anyOf": choices } } } } }))
        .unwrap();
        assert_eq!(tool.check_arguments(r#"{"a":[1,2]}"#), Ok(()));
        let many = json!({ "a": vec![1; 100_000] }).to_string();
        assert!(tool.check_arguments(&many).unwrap_err().contains("too large"));
    }
}
