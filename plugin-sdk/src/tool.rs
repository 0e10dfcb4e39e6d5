//! Tools: what a plugin offers to agents and MCP clients, in the form that MCP gives them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{Ask, Error, manifest::schema_of, message::from_json};

/// A tool, in the form of MCP's `Tool`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    members: Map<String, Value>,
}

impl Tool {
    /// A tool whose arguments are the type `A`; its input schema is derived from it.
    ///
    /// Names are 1 to 64 characters of `A-Z a-z 0-9 _ . -`. The description is read by models: it should say
    /// what the tool does, when to use it and what it returns.
    #[must_use]
    pub fn new<A: JsonSchema>(name: &str, description: &str) -> Self {
        Self::with_schema(name, description, schema_of::<A>())
    }

    /// A tool with a hand-written input schema, which has to describe an object.
    #[must_use]
    pub fn with_schema(name: &str, description: &str, input_schema: Value) -> Self {
        let mut members = Map::new();
        members.insert("name".into(), name.into());
        members.insert("description".into(), description.into());
        members.insert("inputSchema".into(), input_schema);
        Self { members }
    }

    /// The arguments of a call as a type.
    ///
    /// # Errors
    ///
    /// `PAYLOAD_INVALID`, naming the path of what does not fit.
    pub fn arguments<A: DeserializeOwned>(arguments: &Value) -> Result<A, Error> {
        from_json(&arguments.to_string())
    }

    /// The name to call it by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.members.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// A name for people.
    #[must_use]
    pub fn title(self, title: &str) -> Self {
        self.with("title", title.into())
    }

    /// The schema of `structuredContent`, from the type of the result.
    #[must_use]
    pub fn output<R: JsonSchema>(self) -> Self {
        self.with("outputSchema", schema_of::<R>())
    }

    /// Says that it changes nothing anywhere, and needs nothing from outside.
    #[must_use]
    pub fn read_only(self) -> Self {
        self.with("annotations", json!({ "readOnlyHint": true, "openWorldHint": false }))
    }

    /// Any other member of MCP's `Tool`; it is handed on verbatim.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.into(), value);
        self
    }

    /// The JSON object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.members.clone())
    }
}

/// What a tool returns, in the form of MCP's `CallToolResult`; or, made of an [`Ask`], what it needs to know first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    /// Content blocks of MCP: `{"type":"text","text":...}` and others.
    #[serde(default)]
    pub content: Vec<Value>,
    /// The result for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Value>,
    /// Whether the tool failed; the text then says what to do better.
    #[serde(default)]
    pub is_error: bool,
    /// Any other member: `_meta`, or those of MCP's `InputRequiredResult`.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ToolResult {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            content: vec![json!({ "type": "text", "text": text.into() })],
            structured_content: None,
            is_error: false,
            other: Map::new(),
        }
    }

    /// A text for models and a JSON object for programs.
    ///
    /// # Errors
    ///
    /// `INTERNAL` if the value cannot be written as JSON.
    pub fn structured<R: Serialize>(text: impl Into<String>, value: &R) -> Result<Self, Error> {
        let value = serde_json::to_value(value).map_err(Error::internal)?;
        Ok(Self { structured_content: Some(value), ..Self::text(text) })
    }

    /// A failure that a model can act on.
    #[must_use]
    pub fn failure(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// All text blocks, one per line.
    #[must_use]
    pub fn joined_text(&self) -> String {
        let texts: Vec<&str> = self.content.iter().filter_map(|block| block.get("text")?.as_str()).collect();
        texts.join("\n")
    }
}

impl From<Ask> for ToolResult {
    fn from(ask: Ask) -> Self {
        Self { content: Vec::new(), structured_content: None, is_error: false, other: ask.into_members() }
    }
}
