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

/// Fails the test if the host would not offer this resource, or template of resources.
pub(super) fn check_resource(resource: &Value, key: &str) {
    let uri = resource[key].as_str().unwrap_or_default();
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-');
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(allowed) {
        panic!("the host would refuse the resource {uri:?}: `{key}` has to be absolute");
    }
    if resource["name"].as_str().is_none_or(str::is_empty) {
        panic!("the host would refuse the resource {uri:?}: it has no `name`");
    }
}

/// Fails the test if the host would not offer this prompt.
pub(super) fn check_prompt(prompt: &Value) {
    let name = prompt["name"].as_str().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.len() > MAX_TOOL_NAME_LENGTH || !name.chars().all(allowed) {
        panic!("the host would refuse the prompt {name:?}: a name has 1 to 64 characters of A-Z a-z 0-9 _ . -");
    }
}

/// All are strings, and the required ones are there.
pub(super) fn check_prompt_arguments(prompt: &Value, arguments: &Value) -> Result<(), String> {
    for argument in prompt["arguments"].as_array().into_iter().flatten() {
        let name = argument["name"].as_str().unwrap_or_default();
        if argument["required"] == true && arguments.get(name).is_none() {
            return Err(format!("`/{name}`: it is required"));
        }
    }
    let given = arguments.as_object().ok_or("the arguments are not a JSON object")?;
    match given.iter().find(|(_, value)| !value.is_string()) {
        Some((name, _)) => Err(format!("`/{name}`: it has to be a string")),
        None => Ok(()),
    }
}

/// A result that asks for input has a form of its own; any other is checked as its kind.
pub(super) fn check_result(result: &Value, check: fn(&Value) -> Result<(), String>) -> Result<(), String> {
    if result["resultType"] != "input_required" {
        return check(result);
    }
    let (requests, state) = (result.get("inputRequests"), result.get("requestState"));
    if requests.is_none() && state.is_none() {
        return Err("it has neither `inputRequests` nor `requestState`".to_owned());
    }
    if state.is_some_and(|state| !state.is_string()) {
        return Err("`requestState` has to be a string".to_owned());
    }
    let Some(requests) = requests else { return Ok(()) };
    for (key, request) in requests.as_object().ok_or("`inputRequests` has to be an object")? {
        let method = request["method"].as_str().unwrap_or_default();
        if !["elicitation/create", "sampling/createMessage", "roots/list"].contains(&method) {
            return Err(format!("`inputRequests.{key}`: {method:?} cannot be asked of a client"));
        }
    }
    Ok(())
}

/// What reading gives.
pub(super) fn check_contents(result: &Value) -> Result<(), String> {
    for content in result["contents"].as_array().ok_or("it has no array `contents`")? {
        let (text, blob) = (content["text"].is_string(), content["blob"].is_string());
        if !content["uri"].is_string() || text == blob {
            return Err("each of `contents` has `uri`, and `text` or `blob`".to_owned());
        }
    }
    Ok(())
}

/// What a prompt becomes.
pub(super) fn check_messages(result: &Value) -> Result<(), String> {
    for message in result["messages"].as_array().ok_or("it has no array `messages`")? {
        let role = message["role"].as_str().unwrap_or_default();
        if !matches!(role, "user" | "assistant") || !message["content"]["type"].is_string() {
            return Err("each of `messages` has a `role` and a content block".to_owned());
        }
    }
    Ok(())
}

/// Whether a URI fits a template of RFC 6570: `{var}` takes no `/`, `{+var}` takes anything.
pub(super) fn fits_template(template: &str, uri: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else { return template == uri };
    let (Some(uri), Some((variable, rest))) = (uri.strip_prefix(literal), rest.split_once('}')) else { return false };
    let anything = variable.starts_with('+');
    let longest = if anything { uri.len() } else { uri.find('/').unwrap_or(uri.len()) };
    (1..=longest).filter(|end| uri.is_char_boundary(*end)).any(|end| fits_template(rest, &uri[end..]))
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
    fn templates_take_one_level_or_with_a_plus_all() {
        for (template, uri, fits) in [
            ("test://a", "test://a", true),
            ("test://a", "test://b", false),
            ("test://{x}", "test://a", true),
            ("test://{x}", "test://", false),
            ("test://{x}", "test://a/b", false),
            ("test://{+x}", "test://a/b", true),
            ("test://{x}/data/{y}", "test://1/data/2", true),
            ("test://{x}/data/{y}", "test://1/date/2", false),
            ("test://{x}-{y}.txt", "test://a-b-c.txt", true),
        ] {
            assert_eq!(fits_template(template, uri), fits, "{template} {uri}");
        }
    }

    #[test]
    fn what_asks_for_input_asks_what_clients_know() {
        let check = |result: Value| check_result(&result, |_| Err("another kind".into()));
        assert_eq!(check(json!({})), Err("another kind".into()));
        assert!(check(json!({ "resultType": "input_required" })).is_err());
        assert!(check(json!({ "resultType": "input_required", "requestState": "s" })).is_ok());
        let asks =
            |method: &str| json!({ "resultType": "input_required", "inputRequests": { "k": { "method": method } } });
        assert!(check(asks("roots/list")).is_ok() && check(asks("tools/list")).is_err());
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
