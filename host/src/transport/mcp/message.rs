//! What the edge has to know of a posted message before it hands it on: its kind, its id, its era, and what
//! headers repeat of it. Everything else in it is the plugin's business, and stays the text that was sent.

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Value, value::RawValue};
use switchboard_protocol::nests_deeper_than;

use super::fault::Fault;
use crate::transport::codec::{INVALID_REQUEST, parse_object};

/// JSON-RPC 2.0, sections 4 and 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It wants an answer, be it that it is none of the three.
    Request,
    Notification,
    /// To a request of the server.
    Response,
}

/// One posted message.
#[derive(Debug)]
pub(super) struct Message<'body> {
    pub raw: &'body RawValue,
    pub kind: Kind,
    /// As it was sent, `null` included.
    pub id: Option<&'body RawValue>,
    pub method: Option<String>,
    pub params: Params<'body>,
}

/// Of `params`, what headers repeat.
#[derive(Debug, Default)]
pub(super) struct Params<'body> {
    pub name: Option<String>,
    pub uri: Option<String>,
    pub arguments: Option<&'body RawValue>,
    /// `_meta["io.modelcontextprotocol/protocolVersion"]`.
    pub version: Option<String>,
}

impl<'body> Message<'body> {
    /// Reads one message that is no deeper than it may be.
    pub fn read(body: &'body [u8], max_depth: u32) -> Result<Self, Fault> {
        let text = std::str::from_utf8(body).map_err(|fault| Fault::unparsed(&fault.to_string()))?;
        if nests_deeper_than(text, max_depth) {
            return Err(Fault::invalid(format!("the message nests deeper than {max_depth} levels")));
        }
        let raw = parse_object(body).map_err(|(code, message)| Fault::bad_request(code, message))?;
        // The parser that handles it later might take the other one of the two.
        let object: Object<'_> = serde_json::from_str(raw.get())
            .map_err(|fault| Fault::bad_request(INVALID_REQUEST, format!("the message: {fault}")))?;
        let kind = match (object.id, object.method) {
            (Some(_), Some(_)) => Kind::Request,
            (None, Some(_)) => Kind::Notification,
            (_, None) if object.result.is_some() || object.error.is_some() => Kind::Response,
            (_, None) => Kind::Request,
        };
        let params = Params::read(object.params).map_err(|fault| fault.of(object.id))?;
        Ok(Self { raw, kind, id: object.id, method: object.method.and_then(text_of), params })
    }
}

impl<'body> Params<'body> {
    fn read(params: Option<&'body RawValue>) -> Result<Self, Fault> {
        // Others than objects are refused by whoever handles the method.
        let Some(params) = params.filter(|params| params.get().starts_with('{')) else { return Ok(Self::default()) };
        let twice = |fault: serde_json::Error| Fault::invalid(format!("`params`: {fault}"));
        let object: ParamsObject<'_> = serde_json::from_str(params.get()).map_err(twice)?;
        let meta = object.meta.filter(|meta| meta.get().starts_with('{'));
        let meta = meta.map(|meta| serde_json::from_str::<Meta<'_>>(meta.get())).transpose().map_err(twice)?;
        Ok(Self {
            name: object.name.and_then(text_of),
            uri: object.uri.and_then(text_of),
            arguments: object.arguments,
            version: meta.and_then(|meta| meta.version).map(|version| {
                // What is no text is a version that nobody knows, and the plugin says so.
                text_of(version).unwrap_or_else(|| version.get().to_owned())
            }),
        })
    }

    /// The value at a path of properties in the arguments. `None` for null, too.
    pub fn argument(&self, path: &[String]) -> Option<Value> {
        let mut at: Value = serde_json::from_str(self.arguments?.get()).ok()?;
        for name in path {
            at = at.get_mut(name)?.take();
        }
        Some(at).filter(|value| !value.is_null())
    }
}

#[derive(Deserialize)]
struct Object<'body> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'body RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'body RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'body RawValue>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ParamsObject<'body> {
    #[serde(borrow, default, deserialize_with = "present")]
    name: Option<&'body RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    uri: Option<&'body RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    arguments: Option<&'body RawValue>,
    #[serde(borrow, default, rename = "_meta", deserialize_with = "present")]
    meta: Option<&'body RawValue>,
}

#[derive(Deserialize)]
struct Meta<'body> {
    #[serde(borrow, default, rename = "io.modelcontextprotocol/protocolVersion", deserialize_with = "present")]
    version: Option<&'body RawValue>,
}

/// Present means present, even as `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH: u32 = 8;

    fn read(text: &str) -> Message<'_> {
        Message::read(text.as_bytes(), DEPTH).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    #[test]
    fn a_message_is_known_by_its_members_and_an_id_of_null_is_one() {
        for (text, kind) in [
            (r#"{"id":1,"method":"m"}"#, Kind::Request),
            (r#"{"id":null,"method":"m"}"#, Kind::Request),
            (r#"{"method":"m"}"#, Kind::Notification),
            (r#"{"method":7}"#, Kind::Notification),
            (r#"{"id":1,"result":{}}"#, Kind::Response),
            (r#"{"error":{}}"#, Kind::Response),
            (r#"{"id":1}"#, Kind::Request),
            ("{}", Kind::Request),
        ] {
            assert_eq!(read(text).kind, kind, "{text}");
        }
        assert_eq!(read(r#"{"id":null,"method":"m"}"#).id.unwrap().get(), "null");
        assert_eq!(read(r#"{"id":12345678901234567890123,"method":"m"}"#).id.unwrap().get(), "12345678901234567890123");
    }

    #[test]
    fn what_headers_repeat_is_read_and_other_types_are_left_alone() {
        let text = r#"{"id":1,"method":"tools/call","params":{"name":"a\u0062","uri":7,"arguments":{"x":{"y":[1]},"n":null},
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","other":1}}}"#;
        let message = read(text);
        assert_eq!((message.params.name.as_deref(), message.params.uri.as_deref()), (Some("ab"), None));
        assert_eq!(message.params.version.as_deref(), Some("2026-07-28"));
        let path = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(message.params.argument(&path(&["x", "y"])), Some(serde_json::json!([1])));
        for names in [&["n"][..], &["z"], &["x", "y", "z"]] {
            assert_eq!(message.params.argument(&path(names)), None);
        }
        for params in ["7", "[]", "null", r#"{"_meta":7}"#, r#"{"_meta":null}"#] {
            assert!(read(&format!(r#"{{"id":1,"method":"m","params":{params}}}"#)).params.version.is_none());
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_so_is_what_can_be_read_in_two_ways() {
        for (text, code) in [
            ("", -32700),
            ("nope", -32700),
            ("{} {}", -32700),
            ("[]", -32600),
            (r#"[{"id":1,"method":"m"}]"#, -32600),
            ("7", -32600),
            (r#"{"id":1,"id":2,"method":"m"}"#, -32600),
            (r#"{"id":1,"method":"a","method":"b"}"#, -32600),
            (r#"{"id":1,"method":"m","params":{"name":"a","name":"b"}}"#, -32600),
            (r#"{"id":1,"method":"m","params":{"_meta":{},"_meta":{}}}"#, -32600),
            ("[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", -32600),
        ] {
            let fault = Message::read(text.as_bytes(), DEPTH).unwrap_err();
            assert_eq!((fault.code, fault.status.as_u16()), (code, 400), "{text}");
        }
        assert_eq!(Message::read(b"\"\xff\"", DEPTH).unwrap_err().code, -32700);
    }
}
