//! What a tool, resource or prompt needs from the client before it can go on: MCP's `InputRequiredResult`.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::manifest::schema_of;

/// Questions to the client, returned in place of a result. The plugin is called again with the same arguments, and
/// finds the answers in [`Context::inputs`](crate::Context::inputs) by the keys that are given here.
///
/// ```
/// use switchboard_sdk::{Ask, ToolResult};
///
/// # #[derive(schemars::JsonSchema)] struct Name { #[allow(dead_code)] name: String }
/// let result = ToolResult::from(Ask::new().elicit::<Name>("who", "What is your name?").state("round 1"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ask {
    requests: Map<String, Value>,
    state: Option<String>,
}

impl Ask {
    /// Asks nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the user to fill in a form with the fields of `F`, which have to be strings, numbers, booleans or
    /// enumerations. Needs the client capability `elicitation`.
    #[must_use]
    pub fn elicit<F: JsonSchema>(self, key: &str, message: &str) -> Self {
        self.elicit_with_schema(key, message, schema_of::<F>())
    }

    /// The same with a hand-written schema of the form.
    #[must_use]
    pub fn elicit_with_schema(self, key: &str, message: &str, schema: Value) -> Self {
        self.request(
            key,
            "elicitation/create",
            json!({ "mode": "form", "message": message, "requestedSchema": schema }),
        )
    }

    /// Asks the client's model: the parameters of MCP's `sampling/createMessage`. Needs the client capability
    /// `sampling`.
    #[must_use]
    pub fn sample(self, key: &str, params: Value) -> Self {
        self.request(key, "sampling/createMessage", params)
    }

    /// Asks for the client's root folders. Needs the client capability `roots`.
    #[must_use]
    pub fn roots(mut self, key: &str) -> Self {
        self.requests.insert(key.to_owned(), json!({ "method": "roots/list" }));
        self
    }

    /// Asks with any request that MCP allows as an input request.
    #[must_use]
    pub fn request(mut self, key: &str, method: &str, params: Value) -> Self {
        self.requests.insert(key.to_owned(), json!({ "method": method, "params": params }));
        self
    }

    /// What to be reminded of: [`Inputs::state`](crate::Inputs::state) has it the next time. The client cannot read it.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// The members of the result.
    pub(crate) fn into_members(self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("resultType".into(), "input_required".into());
        if !self.requests.is_empty() {
            members.insert("inputRequests".into(), self.requests.into());
        }
        if let Some(state) = self.state {
            members.insert("requestState".into(), state.into());
        }
        members
    }
}
