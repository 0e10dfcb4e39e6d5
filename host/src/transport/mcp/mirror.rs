//! Headers that repeat what is in the body, so that those in the middle need not read it: they have to say
//! the same, or someone in the middle decides on another message than the plugin gets.
//!
//! MCP 2026-07-28, Streamable HTTP, "Request Metadata" and "Server Validation".

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderMap;
use serde_json::Value;

use super::{
    era::VERSION_HEADER,
    fault::Fault,
    message::{Message, Params},
};

const METHOD_HEADER: &str = "mcp-method";
const NAME_HEADER: &str = "mcp-name";

/// Around a value that no header could hold as it is. In exactly these characters.
const ENCODED: (&str, &str) = ("=?base64?", "?=");

/// The largest integer that has a neighbour of its own on either side, in 64-bit floats (MCP 2026-07-28, Streamable
/// HTTP, "Schema Extension").
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// How much of a header an error repeats.
const SHOWN_CHARACTERS: usize = 100;

/// An argument of a tool that clients repeat in a header.
#[derive(Debug, Clone, Copy)]
pub(super) struct MirroredArgument<'a> {
    pub header: &'a str,
    /// Names of the members that lead to it, from the arguments down.
    pub path: &'a [String],
}

/// Holds the headers of every request against its body. A notification has none that it needs.
pub(super) fn check(headers: &HeaderMap, message: &Message<'_>) -> Result<(), Fault> {
    let Some(version) = &message.params.version else {
        let missing = "`params._meta` lacks `io.modelcontextprotocol/protocolVersion`, which every request needs";
        return Err(Fault::invalid_params(missing));
    };
    same(headers, VERSION_HEADER, Some(version), false)?;
    // A method that is no text is refused by whoever would handle it.
    let Some(method) = &message.method else { return Ok(()) };
    same(headers, METHOD_HEADER, Some(method), false)?;
    match named_by(method, &message.params) {
        Some(name) => same(headers, NAME_HEADER, name, true),
        None => Ok(()),
    }
}

/// The member that `Mcp-Name` repeats, for the methods that have one.
fn named_by<'a>(method: &str, params: &'a Params<'_>) -> Option<Option<&'a String>> {
    match method {
        "tools/call" | "prompts/get" => Some(params.name.as_ref()),
        "resources/read" => Some(params.uri.as_ref()),
        _ => None,
    }
}

/// The tool that is called, whose arguments may be in headers.
pub(super) fn called_tool<'a>(message: &'a Message<'_>) -> Option<&'a str> {
    message.params.name.as_deref().filter(|_| message.method.as_deref() == Some("tools/call"))
}

/// Holds the headers of a tool's arguments against them.
pub(super) fn check_arguments<'a>(
    headers: &HeaderMap,
    params: &Params<'_>,
    mirrored: impl IntoIterator<Item = MirroredArgument<'a>>,
) -> Result<(), Fault> {
    for MirroredArgument { header, path } in mirrored {
        let value = params.argument(path);
        let said = single(headers, header)?;
        match (&value, said) {
            (None, None) => {}
            (Some(value), Some(said)) if says(&said, value) => {}
            (Some(_), None) => return Err(Fault::mismatch(format!("the header {header} is missing"))),
            _ => return Err(differs(header)),
        }
    }
    Ok(())
}

/// Whether a header says the value of an argument. Integers are compared as numbers.
fn says(header: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => header == text,
        Value::Bool(value) => header == if *value { "true" } else { "false" },
        Value::Number(number) => header == number.to_string() || is_same_number(header, number),
        // Only the types above are repeated; the tool's schema refuses others.
        _ => true,
    }
}

/// Integers that a 64-bit float does not hold are only the same if all their digits are.
fn is_same_number(header: &str, number: &serde_json::Number) -> bool {
    let Some(value) = number.as_f64().filter(|value| value.abs() <= MAX_SAFE) else { return false };
    header.parse::<f64>().is_ok_and(|said| said == value)
}

/// `in_body` is `None` where the body lacks it, and then the header has to be absent as well.
fn same(headers: &HeaderMap, name: &'static str, in_body: Option<&String>, may_be_encoded: bool) -> Result<(), Fault> {
    let said = if may_be_encoded { single(headers, name)? } else { plain(headers, name)? };
    match (said, in_body) {
        (None, None) => Ok(()),
        (Some(said), Some(in_body)) if said == *in_body => Ok(()),
        (None, Some(_)) => Err(Fault::mismatch(format!("the header {name} is missing"))),
        (Some(_), _) => Err(differs(name)),
    }
}

fn differs(name: &str) -> Fault {
    let name: String = name.chars().take(SHOWN_CHARACTERS).collect();
    Fault::mismatch(format!("the header {name} says something else than the body"))
}

/// The one value of a header, decoded if it is encoded.
fn single(headers: &HeaderMap, name: &str) -> Result<Option<String>, Fault> {
    let Some(value) = plain(headers, name)? else { return Ok(None) };
    let Some(encoded) = value.strip_prefix(ENCODED.0).and_then(|rest| rest.strip_suffix(ENCODED.1)) else {
        return Ok(Some(value));
    };
    let decoded = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map(Some).ok_or_else(|| Fault::mismatch(format!("the header {name} is not base64 of UTF-8")))
}

/// The one value of a header, without the space around it (RFC 9110, section 5.5).
fn plain(headers: &HeaderMap, name: &str) -> Result<Option<String>, Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Fault::mismatch(format!("the header {name} stands there twice"))),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| Fault::mismatch(format!("the header {name} is not ASCII")))?;
            Ok(Some(text.trim_matches([' ', '\t']).to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VERSION: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn body(method: &str, mut params: Value) -> String {
        params["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
    }

    /// The code of the refusal, or 0.
    fn code(pairs: &[(&str, &str)], body: &str) -> i32 {
        let message = Message::read(body.as_bytes(), 16).unwrap();
        check(&headers(pairs), &message).err().map_or(0, |fault| fault.code)
    }

    #[test]
    fn the_version_and_the_method_have_to_be_there_and_the_same() {
        let list = body("tools/list", json!({}));
        let method = ("Mcp-Method", "tools/list");
        for (pairs, expected) in [
            (&[VERSION, method][..], 0),
            (&[("mcp-protocol-version", "2026-07-28"), ("MCP-METHOD", " tools/list ")], 0),
            (&[VERSION, method, ("Mcp-Name", "whatever")], 0),
            (&[method], -32020),
            (&[VERSION], -32020),
            (&[VERSION, ("Mcp-Method", "prompts/list")], -32020),
            (&[VERSION, ("Mcp-Method", "TOOLS/LIST")], -32020),
            (&[VERSION, ("Mcp-Method", "=?base64?dG9vbHMvbGlzdA==?=")], -32020),
            (&[VERSION, method, method], -32020),
            (&[VERSION, ("Mcp-Method", "t\u{f6}ols/list")], -32020),
            (&[("MCP-Protocol-Version", "2025-11-25"), method], -32020),
        ] {
            assert_eq!(code(pairs, &list), expected, "{pairs:?}");
        }
        let unversioned = r#"{"id":1,"method":"tools/list","params":{}}"#;
        assert_eq!(code(&[VERSION, method], unversioned), -32602);
    }

    #[test]
    fn the_name_is_that_of_the_tool_the_prompt_or_the_resource() {
        for (method, params, name, expected) in [
            ("tools/call", json!({ "name": "add" }), Some("add"), 0),
            ("tools/call", json!({ "name": "add" }), Some("  add  "), 0),
            ("tools/call", json!({ "name": "add" }), Some("Add"), -32020),
            ("tools/call", json!({ "name": "add" }), None, -32020),
            ("tools/call", json!({}), Some("add"), -32020),
            ("tools/call", json!({}), None, 0),
            ("prompts/get", json!({ "name": "gr\u{fc}\u{df}" }), Some("=?base64?Z3LDvMOf?="), 0),
            ("prompts/get", json!({ "name": "gr\u{fc}\u{df}" }), Some("=?base64?Z3LDvMO?="), -32020),
            ("prompts/get", json!({ "name": "gr\u{fc}\u{df}" }), Some("gr\u{fc}\u{df}"), -32020),
            ("prompts/get", json!({ "name": "Z3LDvMOf" }), Some("Z3LDvMOf"), 0),
            ("prompts/get", json!({ "name": "=?BASE64?eA==?=" }), Some("=?BASE64?eA==?="), 0),
            ("resources/read", json!({ "uri": "file:///a", "name": "n" }), Some("file:///a"), 0),
            ("resources/read", json!({ "uri": "file:///a", "name": "n" }), Some("n"), -32020),
            ("resources/read", json!({ "uri": "=?base64?literal?=" }), Some("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="), 0),
        ] {
            let mut pairs = vec![VERSION, ("Mcp-Method", method)];
            pairs.extend(name.map(|name| ("Mcp-Name", name)));
            assert_eq!(code(&pairs, &body(method, params.clone())), expected, "{method} {params} {name:?}");
        }
    }

    #[test]
    fn arguments_in_headers_are_compared_by_their_type() {
        let path = ["at".to_owned(), "x".to_owned()];
        for (value, header, expected) in [
            (json!("Hello"), Some("Hello"), 0),
            (json!("Hello"), Some("=?base64?SGVsbG8=?="), 0),
            (json!("Hello"), Some("=?base64?SGVsbG8?="), -32020),
            (json!("Hello"), Some("=?base64?SGVs!!!bG8=?="), -32020),
            (json!("SGVsbG8="), Some("SGVsbG8="), 0),
            (json!("=?base64?SGVsbG8="), Some("=?base64?SGVsbG8="), 0),
            (json!("Hello"), Some("hello"), -32020),
            (json!("Hello"), None, -32020),
            (json!(42), Some("42"), 0),
            (json!(42), Some("42.0"), 0),
            (json!(42), Some("43"), -32020),
            (json!(true), Some("true"), 0),
            (json!(true), Some("True"), -32020),
            (json!(9_007_199_254_740_993_u64), Some("9007199254740993"), 0),
            (json!(9_007_199_254_740_993_u64), Some("9007199254740992"), -32020),
            (Value::Null, None, 0),
            (Value::Null, Some("x"), -32020),
        ] {
            let body = body("tools/call", json!({ "name": "t", "arguments": { "at": { "x": value } } }));
            let message = Message::read(body.as_bytes(), 16).unwrap();
            assert_eq!(called_tool(&message), Some("t"));
            let pairs: Vec<_> = header.map(|header| ("Mcp-Param-X", header)).into_iter().collect();
            let mirrored = [MirroredArgument { header: "mcp-param-x", path: &path }];
            let checked = check_arguments(&headers(&pairs), &message.params, mirrored);
            assert_eq!(checked.err().map_or(0, |fault| fault.code), expected, "{value} {header:?}");
        }
    }
}
