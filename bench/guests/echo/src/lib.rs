//! What all echo plugins of the benchmarks do: they parse a payload into a tree, and answer with it and with the number
//! of their build. The raw ones hand it back as it came, which leaves what the way to a handler and back costs by itself.
//!
//! They differ in the type that they handle, so that a host has all of them at the same time, each with the isolation
//! that its manifest asks for.

use std::hint::black_box;

use serde_json::{Value, json};
use switchboard_sdk::{Error, Isolation, Manifest, Message};

/// The load generator writes other digits into a copy of the component, which makes it another version.
const BUILD: &str = "switchboard-bench:0000000000000000";

/// The digits of [`BUILD`].
const DIGITS: usize = 16;

/// The manifest of one of them, whose type has its name.
#[must_use]
pub fn manifest(name: &str, isolation: Isolation) -> Manifest {
    Manifest::new(name, env!("CARGO_PKG_VERSION"))
        .description("Sends a payload back")
        .isolation(isolation)
        .handles(name, |t| t.emits(["echo_result"]).description("Any payload; it comes back in the answer's `payload`"))
}

/// The answer.
///
/// # Errors
///
/// `PAYLOAD_INVALID` if the payload is not JSON.
pub fn answer(message: &Message) -> Result<Option<Message>, Error> {
    let payload: Value = message.payload()?;
    // Read as it stands in the component, not as it was when that was compiled.
    let build = black_box(BUILD);
    let digits = build.get(build.len() - DIGITS..).unwrap_or_default();
    Message::answer("echo_result", &json!({ "build": digits, "payload": payload }))
}

/// The answer of those that do nothing.
#[must_use]
pub fn back(message: Message) -> Option<Message> {
    let kind = "echo_result".into();
    Some(Message { kind, payload: message.payload, id: None, correlation_id: None, timestamp: 0.0 })
}
