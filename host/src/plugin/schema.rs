//! JSON Schema, compiled once and checked often: payloads of messages, settings, arguments of tools.
//!
//! A schema comes from a plugin, so it is not trusted: it cannot make the host fetch anything, and its
//! patterns run in time linear in the text, and what it costs to check a value is bounded.

use serde_json::Value;

mod cost;

/// The longest description of a fault, in bytes. A fault quotes what did not fit, which a client chose.
const MAX_PROBLEM_BYTES: usize = 400;

/// The largest compiled pattern, in bytes: generous for patterns that people write, and small enough
/// that a manifest full of `a{1000000}` is refused instead of filling the memory.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// A JSON Schema (2020-12 unless it says otherwise) with its source.
pub(crate) struct Schema {
    document: Value,
    validator: jsonschema::Validator,
    cost: cost::Cost,
}

impl Schema {
    /// Compiles a schema.
    pub fn compile(document: Value) -> Result<Self, SchemaFault> {
        let cost = cost::check(&document).map_err(|problem| SchemaFault { path: String::new(), problem })?;
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(MAX_PATTERN_BYTES))
            .build(&document)
            .map_err(|fault| SchemaFault::from_error(&fault))?;
        Ok(Self { document, validator, cost })
    }

    /// The schema as it was written.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// How many subschemas look at one place of a value, at most.
    pub fn steps(&self) -> u64 {
        self.cost.steps
    }

    /// How much work it was to find that out, in the same unit.
    pub fn effort(&self) -> u64 {
        self.cost.effort
    }

    /// Checks a value; the fault is the first one.
    pub fn check(&self, value: &Value) -> Result<(), SchemaFault> {
        self.validator.validate(value).map_err(|fault| SchemaFault::from_error(&fault))
    }

    /// Checks a JSON text.
    pub fn check_text(&self, text: &str) -> Result<(), SchemaFault> {
        let value = serde_json::from_str(text)
            .map_err(|fault| SchemaFault { path: String::new(), problem: format!("it is not JSON: {fault}") })?;
        self.check(&value)
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Schema").field(&self.document).finish()
    }
}

/// Where a value does not fit, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", if path.is_empty() { "/" } else { path.as_str() })]
pub(crate) struct SchemaFault {
    /// A JSON Pointer (RFC 6901); empty for the whole.
    pub path: String,
    pub problem: String,
}

impl SchemaFault {
    fn from_error(fault: &jsonschema::ValidationError<'_>) -> Self {
        Self { path: fault.instance_path().to_string(), problem: shortened(fault.to_string()) }
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_PROBLEM_BYTES {
        // Both ends matter: the beginning quotes the value, the end says what was expected of it.
        let head = text.floor_char_boundary(MAX_PROBLEM_BYTES / 2);
        let tail = text.ceil_char_boundary(text.len() - MAX_PROBLEM_BYTES / 2);
        text.replace_range(head..tail, " ... ");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compile(document: Value) -> Schema {
        Schema::compile(document).unwrap()
    }

    #[test]
    fn a_fault_names_the_path_that_does_not_fit() {
        let schema = compile(json!({"properties": {"a": {"items": {"type": "integer"}}}, "required": ["a"]}));
        assert_eq!(schema.check_text(r#"{"a": [1, 2]}"#), Ok(()));
        assert_eq!(schema.check_text(r#"{"a": [1, "x"]}"#).unwrap_err().path, "/a/1");
        let missing = schema.check_text("{}").unwrap_err();
        assert_eq!((missing.path.as_str(), missing.problem.as_str()), ("", r#""a" is a required property"#));
        assert_eq!(missing.to_string(), r#"/: "a" is a required property"#);
    }

    #[test]
    fn a_fault_in_a_large_value_is_short() {
        let schema = compile(json!({"type": "integer"}));
        let fault = schema.check(&json!("ü".repeat(10_000))).unwrap_err();
        assert!(fault.problem.len() < 450 && fault.problem.ends_with(r#"is not of type "integer""#), "{fault}");
    }

    #[test]
    fn a_schema_cannot_make_the_host_fetch_or_explode() {
        for document in [
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"pattern": "(((a{1000}){1000}){1000})"}),
            json!({"type": "no such type"}),
        ] {
            assert!(Schema::compile(document.clone()).is_err(), "{document}");
        }
    }
}
