//! The payloads of the messages that belong to the host.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ErrorCode;

/// `connection_established`: the first frame on every socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionEstablished {
    /// `ws_` and twelve or more hexadecimal digits; the same in every log line.
    pub connection_id: String,
    /// The session that this socket is attached to.
    pub session_id: String,
    /// The token's `sub`.
    pub user_id: String,
    /// Names this run of the host process.
    pub epoch: String,
    /// Unix seconds.
    pub server_time: f64,
    /// How often an idle socket hears `heartbeat`, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// What the client may send.
    pub limits: Limits,
    /// See [`crate::PROTOCOL_VERSION`].
    pub protocol_version: Cow<'static, str>,
}

/// The bounds on what a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Bytes of one message.
    pub max_message_bytes: u64,
    /// Levels of nested arrays and objects, the envelope included.
    pub max_json_depth: u32,
    /// Messages of one session that wait for their handler to finish.
    pub max_in_flight: u32,
}

/// `heartbeat`: sent when nothing else was, so that a client can tell a quiet server from a lost one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// Unix seconds.
    pub server_time: f64,
}

/// `reconnect`: the server is going away; come back after the delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reconnect {
    /// Milliseconds to wait, chosen at random so that not all clients come at once.
    pub delay_ms: u64,
}

/// `token_expiring`: the token ends soon; answer with `refresh_token {token}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenExpiring {
    /// Unix seconds of the token's `exp`.
    pub expires_at: f64,
}

/// `error`, and the body of every HTTP refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorPayload {
    /// One of [`ErrorCode`], or a plugin's own.
    pub code: Cow<'static, str>,
    /// What was wrong, and where.
    pub error: String,
    /// Unix seconds.
    pub timestamp: f64,
    /// Whether the same client can succeed, later or with a corrected request.
    pub recoverable: bool,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Cow<'static, str>>,
    /// Milliseconds after which a repeat makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorPayload {
    /// An error of the host, with the table's `recoverable` and `help`.
    #[must_use]
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Self {
        Self {
            code: code.as_str().into(),
            error: error.into(),
            timestamp: crate::unix_seconds(std::time::SystemTime::now()),
            recoverable: code.recoverable(),
            help: Some(code.help().into()),
            retry_after_ms: None,
        }
    }

    /// Replaces the table's advice by one that knows the case.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says when a repeat makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, wait: std::time::Duration) -> Self {
        self.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }
}
