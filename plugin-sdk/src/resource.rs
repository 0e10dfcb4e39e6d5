//! Resources: what a plugin lets MCP clients read, in the forms that MCP gives them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Ask;

/// A resource, in the form of MCP's `Resource`.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    members: Map<String, Value>,
}

impl Resource {
    /// A resource with an absolute URI, and a name for programs.
    #[must_use]
    pub fn new(uri: &str, name: &str) -> Self {
        Self { members: named("uri", uri, name) }
    }

    /// What it is, for people and models.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        self.with("description", text.into())
    }

    /// The media type of its content.
    #[must_use]
    pub fn mime_type(self, mime_type: &str) -> Self {
        self.with("mimeType", mime_type.into())
    }

    /// Any other member of MCP's `Resource`; it is handed on verbatim.
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

/// A pattern of resources, in the form of MCP's `ResourceTemplate`.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceTemplate {
    members: Map<String, Value>,
}

impl ResourceTemplate {
    /// A URI template (RFC 6570, level 1 and `{+var}`), and a name for programs.
    #[must_use]
    pub fn new(uri_template: &str, name: &str) -> Self {
        Self { members: named("uriTemplate", uri_template, name) }
    }

    /// What these resources are, for people and models.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        self.with("description", text.into())
    }

    /// The media type of their content, if it is the same for all.
    #[must_use]
    pub fn mime_type(self, mime_type: &str) -> Self {
        self.with("mimeType", mime_type.into())
    }

    /// Any other member of MCP's `ResourceTemplate`; it is handed on verbatim.
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

fn named(key: &str, id: &str, name: &str) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert(key.into(), id.into());
    members.insert("name".into(), name.into());
    members
}

/// What reading a resource gives, in the form of MCP's `ReadResourceResult`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ResourceResult {
    members: Map<String, Value>,
}

impl ResourceResult {
    /// A text.
    #[must_use]
    pub fn text(uri: &str, mime_type: &str, text: impl Into<String>) -> Self {
        Self::content(uri, mime_type, "text", text.into())
    }

    /// Bytes; they travel as base64.
    #[must_use]
    pub fn binary(uri: &str, mime_type: &str, bytes: &[u8]) -> Self {
        Self::content(uri, mime_type, "blob", BASE64_STANDARD.encode(bytes))
    }

    fn content(uri: &str, mime_type: &str, member: &str, content: String) -> Self {
        let mut block = Map::new();
        block.insert("uri".into(), uri.into());
        block.insert("mimeType".into(), mime_type.into());
        block.insert(member.into(), content.into());
        let mut members = Map::new();
        members.insert("contents".into(), Value::Array(vec![block.into()]));
        Self { members }
    }

    /// Another part, as MCP's `TextResourceContents` or `BlobResourceContents`.
    #[must_use]
    pub fn and(mut self, content: Value) -> Self {
        if let Some(Value::Array(contents)) = self.members.get_mut("contents") {
            contents.push(content);
        }
        self
    }
}

impl From<Ask> for ResourceResult {
    fn from(ask: Ask) -> Self {
        Self { members: ask.into_members() }
    }
}
