//! A handler without a sandbox, for benchmarks alone: what it costs is what a message costs that no plugin handles, so
//! that the price of the sandbox is a ratio.
//!
//! It does the work of the benchmarks' echo plugins, and stands exactly where a version is asked. No build that users
//! get has it: it takes the feature `bench`.

use serde_json::{Value, json};
use switchboard_protocol::MessageType;

use super::{GuestMessage, failure::CallFailure};

/// The types that are answered here, by whatever plugin they are declared: the one that parses its payload, and the one
/// that hands it back as it came.
const PARSED: &str = "echo-native";
const RAW: &str = "raw-native";
const ANSWER: &str = "echo_result";

/// As long as those that stand in the plugins.
const BUILD: &str = "0000000000000000";

/// The answer, if the message is one of these.
pub(super) fn answer(message: &GuestMessage) -> Option<Result<Option<GuestMessage>, CallFailure>> {
    let payload = match message.message_type.as_str() {
        PARSED => tree(&message.payload),
        RAW => Ok(message.payload.clone()),
        _ => return None,
    };
    Some(payload.and_then(|payload| with(payload, message)).map(Some))
}

fn tree(payload: &str) -> Result<String, CallFailure> {
    let payload: Value = serde_json::from_str(payload).map_err(|fault| CallFailure::Host(fault.to_string()))?;
    Ok(json!({ "build": BUILD, "payload": payload }).to_string())
}

fn with(payload: String, message: &GuestMessage) -> Result<GuestMessage, CallFailure> {
    let message_type = MessageType::parse(ANSWER).map_err(|fault| CallFailure::Host(fault.to_string()))?;
    Ok(GuestMessage { message_type, payload, id: None, correlation_id: None, timestamp: message.timestamp })
}
