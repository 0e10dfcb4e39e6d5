//! What a plugin wants from the user before it can go on (MCP, revision 2026-07-28, multi round-trip requests).

use serde_json::value::RawValue;

use super::content::{object, optional_text};
use crate::plugin::json_object::Members;

/// Questions at one time. Each is a window that somebody has to answer.
const MAX_REQUESTS: usize = 16;

/// The longest state, in bytes: sealed and with what the protocol adds, it has to fit into the 64 KiB of a seal.
const MAX_STATE_BYTES: usize = 48 << 10;

/// What clients can be asked.
const METHODS: [&str; 3] = ["elicitation/create", "sampling/createMessage", "roots/list"];

/// Checks the members of an `InputRequiredResult`.
pub(super) fn check(members: &Members<'_>) -> Result<(), String> {
    optional_text(members, "requestState")?;
    let state = members.get("requestState");
    if let Some(state) = state.filter(|state| state.get().len() > MAX_STATE_BYTES) {
        return Err(format!("`requestState` has {} bytes, and {MAX_STATE_BYTES} are allowed", state.get().len()));
    }
    let Some(_) = members.get("inputRequests") else {
        let neither = "it needs input, and has neither `inputRequests` nor `requestState`";
        return state.map(drop).ok_or_else(|| neither.to_owned());
    };
    let requests = Members::parse(object(members, "inputRequests")?.get())?;
    if requests.0.len() > MAX_REQUESTS {
        return Err(format!("`inputRequests` has {} members, and {MAX_REQUESTS} are allowed", requests.0.len()));
    }
    for (key, request) in &requests.0 {
        self::request(request).map_err(|problem| format!("`inputRequests/{key}`: {problem}"))?;
    }
    Ok(())
}

fn request(text: &RawValue) -> Result<(), String> {
    let members = Members::parse(text.get())?;
    let method = members.text("method").unwrap_or_default();
    if !METHODS.contains(&method.as_str()) {
        return Err(format!("its method is {method:?}, and clients can only be asked {}", METHODS.join(", ")));
    }
    match members.get("params") {
        None if method == "roots/list" => Ok(()),
        _ => object(&members, "params").map(drop),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problem(result: &Value) -> Option<String> {
        let text = result.to_string();
        check(&Members::parse(&text).unwrap()).err()
    }

    #[test]
    fn a_client_is_asked_only_what_clients_can_be_asked() {
        let one = |request: Value| json!({ "inputRequests": { "a": request } });
        for right in [
            json!({ "requestState": "" }),
            json!({ "inputRequests": {} }),
            one(json!({ "method": "roots/list" })),
            one(json!({ "method": "elicitation/create", "params": {} })),
            one(json!({ "method": "sampling/createMessage", "params": {} })),
        ] {
            assert_eq!(problem(&right), None, "{right}");
        }
        for wrong in [
            json!({}),
            json!({ "requestState": 1 }),
            json!({ "requestState": "x".repeat(MAX_STATE_BYTES) }),
            json!({ "inputRequests": [] }),
            one(json!({ "method": "tools/call", "params": {} })),
            one(json!({ "method": "elicitation/create" })),
            one(json!("roots/list")),
        ] {
            assert!(problem(&wrong).is_some(), "{wrong}");
        }
        let many: serde_json::Map<_, _> =
            (0..=MAX_REQUESTS).map(|key| (key.to_string(), json!({ "method": "roots/list" }))).collect();
        assert!(problem(&json!({ "inputRequests": many })).is_some());
    }
}
