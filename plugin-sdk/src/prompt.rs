//! Prompts: templates of messages to models, in the forms that MCP gives them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Ask;

/// A prompt, in the form of MCP's `Prompt`.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    members: Map<String, Value>,
    arguments: Vec<Value>,
}

impl Prompt {
    /// A prompt. Names are 1 to 64 characters of `A-Z a-z 0-9 _ . -`.
    #[must_use]
    pub fn new(name: &str, description: &str) -> Self {
        let mut members = Map::new();
        members.insert("name".into(), name.into());
        members.insert("description".into(), description.into());
        Self { members, arguments: Vec::new() }
    }

    /// An argument, whose value is a string.
    #[must_use]
    pub fn argument(mut self, name: &str, description: &str, required: bool) -> Self {
        self.arguments.push(json!({ "name": name, "description": description, "required": required }));
        self
    }

    /// Any other member of MCP's `Prompt`; it is handed on verbatim.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.into(), value);
        self
    }

    /// The JSON object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut members = self.members.clone();
        if !self.arguments.is_empty() {
            members.insert("arguments".into(), self.arguments.clone().into());
        }
        Value::Object(members)
    }
}

/// What a prompt becomes, in the form of MCP's `GetPromptResult`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct PromptResult {
    members: Map<String, Value>,
}

impl PromptResult {
    /// One message of the user.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self::from_messages(Vec::new()).message("user", json!({ "type": "text", "text": text.into() }))
    }

    /// Messages in the form of MCP's `PromptMessage`.
    #[must_use]
    pub fn from_messages(messages: Vec<Value>) -> Self {
        let mut members = Map::new();
        members.insert("messages".into(), messages.into());
        Self { members }
    }

    /// Another message, of `user` or `assistant`, with one content block of MCP.
    #[must_use]
    pub fn message(mut self, role: &str, content: Value) -> Self {
        if let Some(Value::Array(messages)) = self.members.get_mut("messages") {
            messages.push(json!({ "role": role, "content": content }));
        }
        self
    }

    /// What the prompt is for.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        self.members.insert("description".into(), text.into());
        self
    }
}

impl From<Ask> for PromptResult {
    fn from(ask: Ask) -> Self {
        Self { members: ask.into_members() }
    }
}
