//! The rules of the real host that a native test can break.

use serde_json::Value;

use crate::Plugin;

/// The types that belong to the host: no plugin can claim or send them.
const RESERVED: &[&str] = &[
    "ack",
    "connection_established",
    "error",
    "heartbeat",
    "presence_joined",
    "presence_left",
    "reconnect",
    "refresh_token",
    "replay_complete",
    "resume",
    "resume_failed",
    "resumed",
    "token_expiring",
    "token_refreshed",
];
const MAX_TYPE_LENGTH: usize = 128;
const MAX_TOPIC_BYTES: usize = 256;
const MAX_TOOL_NAME_LENGTH: usize = 64;

pub(super) fn check_type(kind: &str) -> Result<(), String> {
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-');
    if kind.is_empty() || kind.len() > MAX_TYPE_LENGTH || !kind.chars().all(allowed) {
        return Err(format!("{kind:?} is not a message type: use 1 to 128 characters of a-z 0-9 _ . -"));
    }
    if RESERVED.contains(&kind) {
        return Err(format!("the type {kind:?} belongs to the host"));
    }
    Ok(())
}

pub(super) fn check_code(code: &str) -> Result<(), String> {
    let allowed = |c: char| matches!(c, 'A'..='Z' | '0'..='9' | '_');
    if code.is_empty() || code.len() > crate::Error::MAX_CODE_LENGTH || !code.chars().all(allowed) {
        return Err(format!("{code:?} is not an error code: use 1 to 64 characters of A-Z 0-9 _"));
    }
    Ok(())
}

pub(super) fn check_topic(topic: &str, patterns: bool) -> Result<(), String> {
    if topic.is_empty() || topic.len() > MAX_TOPIC_BYTES {
        return Err(format!("a topic has 1 to {MAX_TOPIC_BYTES} bytes, and this one has {}", topic.len()));
    }
    if topic.split(['.', '/']).any(str::is_empty) {
        return Err(format!("{topic:?} has an empty level"));
    }
    if !patterns && topic.contains('*') {
        return Err(format!("{topic:?} is a pattern, and one topic is wanted"));
    }
    Ok(())
}

/// The object in a JSON text.
pub(super) fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err("the payload is not a JSON object".to_owned()),
        Err(fault) => Err(format!("the payload is not JSON: {fault}")),
    }
}

/// The path of what does not fit, and why.
pub(super) fn check_schema(schema: &Value, value: &Value) -> Result<(), String> {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(fault) => panic!("the host would refuse this JSON Schema: {fault}\n{schema:#}"),
    };
    validator.validate(value).map_err(|fault| format!("`{}`: {fault}", fault.instance_path()))
}

/// The manifest of a plugin, if the real host would accept it.
pub(super) fn checked_manifest<P: Plugin>() -> Value {
    let manifest = P::manifest().to_value();
    if let Err(fault) = check_manifest(&manifest) {
        panic!("the host would refuse this manifest: {fault}\n{manifest:#}");
    }
    manifest
}

fn check_manifest(manifest: &Value) -> Result<(), String> {
    if name_of(manifest).is_empty() {
        return Err("`name` is empty".to_owned());
    }
    let version = manifest["version"].as_str().unwrap_or_default();
    let core = version.split(['-', '+']).next().unwrap_or_default();
    if core.split('.').count() != 3 || core.split('.').any(|part| part.parse::<u64>().is_err()) {
        return Err(format!("`version` {version:?} is not a semantic version"));
    }
    for (index, handled) in manifest["handles"].as_array().into_iter().flatten().enumerate() {
        let name = handled["type"].as_str().or(handled["prefix"].as_str()).unwrap_or_default();
        check_type(name).map_err(|fault| format!("`handles[{index}]`: {fault}"))?;
        if let Some(schema) = handled.get("schema") {
            jsonschema::validator_for(schema).map_err(|fault| format!("`handles[{index}].schema`: {fault}"))?;
        }
    }
    Ok(())
}

pub(super) fn name_of(manifest: &Value) -> String {
    manifest["name"].as_str().unwrap_or_default().to_owned()
}

/// What the manifest says of a type: the exact one first, then the longest prefix.
pub(super) fn handled<'a>(manifest: &'a Value, kind: &str) -> Option<&'a Value> {
    let claims = manifest["handles"].as_array()?;
    let prefix = |claim: &&Value| claim["prefix"].as_str().is_some_and(|prefix| kind.starts_with(prefix));
    claims
        .iter()
        .find(|claim| claim["type"] == kind)
        .or_else(|| claims.iter().filter(prefix).max_by_key(|claim| claim["prefix"].as_str().map_or(0, str::len)))
}

/// Fails the test if the host would not offer this tool.
pub(super) fn check_tool(tool: &Value) {
    let name = tool["name"].as_str().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.len() > MAX_TOOL_NAME_LENGTH || !name.chars().all(allowed) {
        panic!("the host would refuse the tool {name:?}: a name has 1 to 64 characters of A-Z a-z 0-9 _ . -");
    }
    if tool["inputSchema"]["type"] != "object" {
        panic!("the host would refuse the tool {name:?}: its `inputSchema` has to be of type object");
    }
    if let Err(fault) = jsonschema::validator_for(&tool["inputSchema"]) {
        panic!("the host would refuse the tool {name:?}: `inputSchema`: {fault}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_of_the_host_and_malformed_ones_are_refused() {
        assert!(check_type("chat.message-1").is_ok());
        for kind in ["", "error", "Chat", "a b", &"x".repeat(129)] {
            assert!(check_type(kind).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn topics_have_no_empty_levels() {
        assert!(check_topic("room.42/chat", false).is_ok() && check_topic("room.*", true).is_ok());
        for topic in ["", ".", "room..42", "room.", "room.*", &"x".repeat(257)] {
            assert!(check_topic(topic, false).is_err(), "{topic:?}");
        }
    }

    #[test]
    fn an_exact_claim_goes_before_the_longest_prefix() {
        let manifest = json!({ "handles": [{ "prefix": "a." }, { "prefix": "a.b." }, { "type": "a.b.c" }] });
        assert_eq!(handled(&manifest, "a.b.c").unwrap()["type"], "a.b.c");
        assert_eq!(handled(&manifest, "a.b.d").unwrap()["prefix"], "a.b.");
        assert_eq!(handled(&manifest, "a.x").unwrap()["prefix"], "a.");
        assert!(handled(&manifest, "b").is_none());
    }

    #[test]
    fn manifests_are_refused_with_the_culprit() {
        let check = |name: &str, version: &str, kind: &str| {
            check_manifest(&json!({ "name": name, "version": version, "handles": [{ "type": kind }] }))
        };
        assert_eq!(check("p", "1.0.0-rc.1", "x"), Ok(()));
        assert!(check("", "1.0.0", "x").unwrap_err().contains("`name`"));
        assert!(check("p", "1.0", "x").unwrap_err().contains("`version`"));
        assert!(check("p", "1.0.0", "error").unwrap_err().contains("`handles[0]`"));
    }
}
