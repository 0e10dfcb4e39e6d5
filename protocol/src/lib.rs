//! What clients of Switchboard see on the wire, and nothing else.
//!
//! Read in this order: the envelope that every message travels in, the messages that belong to the
//! host, and the two tables (error codes, close codes) that say what can go wrong and what to do.
//!
//! This crate knows neither sockets nor plugins, so that clients, tests and schema generation can
//! use it without linking either.

mod close_code;
mod discovery;
mod envelope;
mod error_code;
mod message_type;
mod messages;
mod nesting;
mod reference;

pub use close_code::CloseCode;
pub use discovery::{Discovery, Endpoints, HandledType};
pub use envelope::{ClientMessage, EnvelopeFault, SeqTail, ServerMessage, seq_parts, unix_seconds, with_seq};
pub use error_code::{ErrorCode, HttpStatus};
pub use message_type::{InvalidMessageType, MessageType};
pub use messages::{
    Ack, ConnectionEstablished, ErrorPayload, Heartbeat, Limits, Reconnect, ReplayComplete, Resume, ResumeFailed,
    ResumeFailure, Resumed, TokenExpiring,
};
pub use nesting::nests_deeper_than;
pub use reference::errors_page;

/// The version of this protocol, sent in `connection_established` and by `/ws/config`.
pub const PROTOCOL_VERSION: &str = "1";

/// The WebSocket subprotocol (RFC 6455, section 1.9) of the enveloped protocol.
pub const SUBPROTOCOL: &str = "switchboard.v1";

/// The WebSocket subprotocol under which frames are bare JSON-RPC objects.
pub const SUBPROTOCOL_MCP: &str = "mcp";
