//! What was sent beside the arguments: the interface `inputs`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Context, Error, host, message::from_json};

/// What was sent beside the arguments to a tool, or for a resource or prompt; see [`Context::inputs`].
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a>(#[allow(dead_code, reason = "ties the handle to the call")] &'a Context);

impl<'a> Inputs<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// The client's answers by the keys of the last [`Ask`](crate::Ask); empty the first time.
    #[must_use]
    pub fn responses(self) -> Map<String, Value> {
        serde_json::from_str(&host::inputs::responses()).unwrap_or_default()
    }

    /// The answer to one question, if the client sent one.
    #[must_use]
    pub fn response(self, key: &str) -> Option<Value> {
        self.responses().remove(key)
    }

    /// What a user filled into a form ([`Ask::elicit`](crate::Ask::elicit)); `None` if the form was not asked
    /// for, declined or left.
    ///
    /// # Errors
    ///
    /// `PAYLOAD_INVALID`, naming the path of what does not fit.
    pub fn form<F: DeserializeOwned>(self, key: &str) -> Result<Option<F>, Error> {
        let Some(response) = self.response(key) else { return Ok(None) };
        if response.get("action").and_then(Value::as_str) != Some("accept") {
            return Ok(None);
        }
        from_json(&response.get("content").unwrap_or(&Value::Null).to_string()).map(Some)
    }

    /// What the plugin said it wanted to be reminded of ([`Ask::state`](crate::Ask::state)).
    #[must_use]
    pub fn state(self) -> Option<String> {
        host::inputs::state()
    }

    /// What the client can do, in the form of MCP's `ClientCapabilities`.
    #[must_use]
    pub fn client_capabilities(self) -> Map<String, Value> {
        serde_json::from_str(&host::inputs::client_capabilities()).unwrap_or_default()
    }

    /// The request's `_meta`.
    #[must_use]
    pub fn meta(self) -> Map<String, Value> {
        serde_json::from_str(&host::inputs::meta()).unwrap_or_default()
    }
}
