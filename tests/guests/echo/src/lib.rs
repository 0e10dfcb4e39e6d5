//! What both versions of the echo plugin do: one type, `echo`, whose answer says which version gave it.

use serde_json::{Value, json};
use switchboard_sdk::{Error, Manifest, Message};

/// The manifest of a version. Both call themselves `echo`: the host tells them apart by the version alone.
#[must_use]
pub fn manifest(version: &str) -> Manifest {
    Manifest::new("echo", version)
        .description("Sends a payload back with the version that saw it")
        .handles("echo", |t| {
            t.emits(["echo_result"]).description("Any payload; it comes back in the answer's `payload`")
        })
}

/// The answer of a version.
///
/// # Errors
///
/// `PAYLOAD_INVALID` if the payload is not JSON.
pub fn answer(version: &str, message: &Message) -> Result<Option<Message>, Error> {
    let payload: Value = message.payload()?;
    Message::answer("echo_result", &json!({ "version": version, "payload": payload }))
}
