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
    /// What the session can be resumed with on another socket: a secret.
    pub resume_token: String,
    /// The token's `sub`.
    pub user_id: String,
    /// Names the run of the host process in which the session began.
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

/// `ack`, from the client: everything up to `seq` has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ack {
    /// Of the last message; cumulative.
    pub seq: u64,
}

/// `resume`, from the client, as the first frame on a socket.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resume {
    /// As the first `connection_established` named it.
    pub session_id: String,
    /// The newest that the client has.
    pub resume_token: String,
    /// As `connection_established` named it.
    pub epoch: String,
    /// Of the last message that arrived; 0 if none did.
    pub last_seq: u64,
}

impl std::fmt::Debug for Resume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is a secret.
        f.debug_struct("Resume").field("session_id", &self.session_id).field("last_seq", &self.last_seq).finish()
    }
}

/// `resumed`: the session goes on. Exactly the messages from `replay_from` to `replay_to` follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resumed {
    /// The session that this socket is attached to from here on.
    pub session_id: String,
    /// Replaces the token that was used.
    pub resume_token: String,
    /// The `seq` of the first message of the replay: the client's `last_seq` + 1.
    pub replay_from: u64,
    /// The `seq` of the last; `replay_from` - 1 if nothing was missed.
    pub replay_to: u64,
    /// The `id` of the last message with one that the server accepted in this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_client_id: Option<String>,
}

/// `replay_complete`: what follows is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayComplete {
    /// The last `seq` of the replay.
    pub seq: u64,
}

/// `resume_failed`: nothing was replayed; the socket goes on with its fresh session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResumeFailed {
    /// Why.
    pub reason: ResumeFailure,
    /// The same for people, and what to do.
    pub help: Cow<'static, str>,
}

/// Why a session cannot be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResumeFailure {
    /// No such session: it never was, or it ended long ago.
    UnknownSession,
    /// What was missed is no longer kept: the client was away too long, or others needed the memory.
    WindowExceeded,
    /// More came in while the client was away than a session holds.
    BufferOverflow,
    /// The server lost its sessions since, as when its process was killed.
    EpochMismatch,
    /// `last_seq` is higher than anything that was sent.
    SeqAhead,
    /// The session belongs to another subject or tenant than the token on this socket.
    IdentityMismatch,
    /// The resume token is not the session's.
    TokenInvalid,
}

impl ResumeFailure {
    /// All of them, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::UnknownSession,
        Self::WindowExceeded,
        Self::BufferOverflow,
        Self::EpochMismatch,
        Self::SeqAhead,
        Self::IdentityMismatch,
        Self::TokenInvalid,
    ];

    /// As it is on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownSession => "unknown_session",
            Self::WindowExceeded => "window_exceeded",
            Self::BufferOverflow => "buffer_overflow",
            Self::EpochMismatch => "epoch_mismatch",
            Self::SeqAhead => "seq_ahead",
            Self::IdentityMismatch => "identity_mismatch",
            Self::TokenInvalid => "token_invalid",
        }
    }

    /// What to do.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::UnknownSession => "go on with the fresh session, and load again what it shows",
            Self::WindowExceeded => {
                "messages that you missed are no longer kept: go on with the fresh session, and load again what it shows"
            }
            Self::BufferOverflow => "messages were lost: go on with the fresh session, and load again what it shows",
            Self::EpochMismatch => {
                "the server started anew: go on with the fresh session, and load again what it shows; what was not answered may have happened, so send it again only if doing it twice does no harm"
            }
            Self::SeqAhead => "the client counts wrongly, or mixes up two sessions: go on with the fresh session",
            Self::IdentityMismatch => "connect with a token of the session's own user, or go on with the fresh session",
            Self::TokenInvalid => {
                "use the token of the last `connection_established` or `resumed`, or go on with the fresh session"
            }
        }
    }
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
        // Rounded up: a repeat that comes a fraction too early is refused again.
        let millis = wait.as_nanos().div_ceil(1_000_000);
        self.retry_after_ms = Some(u64::try_from(millis).unwrap_or(u64::MAX));
        self
    }
}
