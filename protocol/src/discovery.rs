//! `GET /ws/config`: what a client can find out before it connects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Limits;

/// The document at `/ws/config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Discovery {
    /// Always `switchboard`.
    pub service: String,
    /// The host's version.
    pub version: String,
    /// See [`crate::PROTOCOL_VERSION`].
    pub protocol_version: String,
    /// WebSocket subprotocols that the server can select.
    pub subprotocols: Vec<String>,
    /// Paths, relative to this document's origin.
    pub endpoints: Endpoints,
    /// What a client may send.
    pub limits: Limits,
    /// How often an idle socket hears `heartbeat`, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// The message types that are handled now, sorted by name.
    pub message_types: Vec<HandledType>,
}

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoints {
    /// The WebSocket.
    pub websocket: String,
    /// Single-use tickets for the WebSocket.
    pub ticket: String,
    /// The Model Context Protocol over Streamable HTTP.
    pub mcp: String,
}

/// A message type, or a prefix of types, and who handles it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HandledType {
    /// The type, or the prefix followed by `*`.
    #[serde(rename = "type")]
    pub name: String,
    /// The plugin.
    pub plugin: String,
    /// Its version.
    pub plugin_version: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<serde_json::Value>,
    /// The types that it may answer with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emits: Vec<String>,
}
