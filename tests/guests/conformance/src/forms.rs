//! Forms that a user is asked to fill in, with every kind of field that MCP allows.

use serde_json::{Value, json};

pub(crate) fn account() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "format": "email", "description": "User's email address" },
        },
        "required": ["username", "email"],
    })
}

/// A default for each primitive type; the suite looks for these.
pub(crate) fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "A text", "default": "John Doe" },
            "age": { "type": "integer", "description": "A whole number", "default": 30 },
            "score": { "type": "number", "description": "A number", "default": 95.5 },
            "status": {
                "type": "string",
                "description": "A choice",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": { "type": "boolean", "description": "Yes or no", "default": true },
        },
        "required": [],
    })
}

/// One or several, with titles or without, and the older form of titles.
pub(crate) fn choices() -> Value {
    let titled = |title: &str| {
        json!([
            { "const": "value1", "title": format!("First {title}") },
            { "const": "value2", "title": format!("Second {title}") },
            { "const": "value3", "title": format!("Third {title}") },
        ])
    };
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
            "titledSingle": { "type": "string", "oneOf": titled("option") },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option one", "Option two", "Option three"],
            },
            "untitledMulti": {
                "type": "array",
                "minItems": 1,
                "maxItems": 3,
                "items": { "type": "string", "enum": ["option1", "option2", "option3"] },
            },
            "titledMulti": { "type": "array", "minItems": 1, "maxItems": 3, "items": { "anyOf": titled("choice") } },
        },
        "required": [],
    })
}
