//! Tools that show each kind of content, and what a schema may say.

use serde_json::{Value, json};
use switchboard_sdk::{Error, Tool, ToolResult};

use crate::without_arguments;

/// One grey pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg==";

/// Two samples of silence.
const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA==";

pub(crate) fn tools() -> Vec<Tool> {
    vec![
        without_arguments("test_simple_text", "Returns a text").title("Simple text"),
        without_arguments("test_image_content", "Returns an image"),
        without_arguments("test_audio_content", "Returns a sound"),
        without_arguments("test_embedded_resource", "Returns a resource within the result"),
        without_arguments("test_multiple_content_types", "Returns a text, an image and a resource"),
        without_arguments("test_error_handling", "Fails on purpose"),
        without_arguments("test_structured_content", "Returns a text and an object that fits a schema").with(
            "outputSchema",
            json!({ "type": "object", "properties": { "answer": { "type": "integer" } }, "required": ["answer"] }),
        ),
        Tool::with_schema("json_schema_2020_12_tool", "Has a schema with many words of JSON Schema 2020-12", schema()),
        Tool::with_schema("test_custom_header", "Has an argument that a header repeats", mirrored()),
    ]
}

pub(crate) fn call(name: &str, arguments: &Value) -> Option<Result<ToolResult, Error>> {
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
    Some(Ok(match name {
        "test_simple_text" => ToolResult::text("This is a simple text response for testing."),
        "test_image_content" => showing(vec![image]),
        "test_audio_content" => showing(vec![json!({ "type": "audio", "data": WAV, "mimeType": "audio/wav" })]),
        "test_embedded_resource" => {
            let text = "This is an embedded resource content.";
            showing(vec![embedded("test://embedded-resource", "text/plain", text)])
        }
        "test_multiple_content_types" => showing(vec![
            json!({ "type": "text", "text": "Multiple content types test:" }),
            image,
            embedded("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ]),
        "test_error_handling" => {
            return Some(Err(Error::new("INTENDED", "This tool intentionally returns an error for testing")));
        }
        "test_structured_content" => {
            return Some(ToolResult::structured("The answer is 42.", &json!({ "answer": 42 })));
        }
        "json_schema_2020_12_tool" | "test_custom_header" => ToolResult::text(format!("Called with {arguments}")),
        _ => return None,
    }))
}

fn showing(content: Vec<Value>) -> ToolResult {
    ToolResult { content, ..ToolResult::text("") }
}

fn embedded(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime_type, "text": text } })
}

/// The suite looks for these very words in the list.
fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
        } },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}

fn mirrored() -> Value {
    json!({
        "type": "object",
        "properties": { "region": { "type": "string", "x-mcp-header": "Region" } },
        "required": ["region"],
    })
}
