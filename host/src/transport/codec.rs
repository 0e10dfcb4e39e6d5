//! Between the frames of a subprotocol and the one envelope that everything behind it knows.
//!
//! With `mcp`, frames are bare JSON-RPC objects. One that comes in is put into a `jsonrpc` message,
//! whose `id` is the JSON text of the request's own id, so that an error which the host makes can be
//! turned back into a JSON-RPC error with an id of the right type. What goes out is unwrapped; what is
//! neither `jsonrpc` nor an error cannot be said in JSON-RPC and is left out.
//!
//! An echo is no subprotocol: it stands in their place when the suite of conformance examines the
//! socket. No request can ask for it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use switchboard_protocol::{ClientMessage, ErrorCode, ErrorPayload, ServerMessage};

use super::wire::Kind;

/// JSON-RPC 2.0, section 5.1.
pub(super) const PARSE_ERROR: i32 = -32700;
pub(super) const INVALID_REQUEST: i32 = -32600;
pub(super) const INVALID_PARAMS: i32 = -32602;
pub(super) const INTERNAL_ERROR: i32 = -32603;

/// The envelope's id of a notification: no error may answer it.
const NOTIFICATION: &str = "";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Envelope,
    BareJsonrpc,
    /// Messages go back as they came, and nothing else is written.
    Echo,
}

/// A frame that came in.
#[derive(Debug)]
pub(crate) enum Inbound<'frame> {
    /// An envelope, or what should be one.
    Frame(Cow<'frame, [u8]>),
    /// Not fit to be wrapped; this JSON-RPC error answers it.
    Fault(Value),
}

impl Codec {
    pub fn inbound(self, frame: &[u8]) -> Inbound<'_> {
        match self {
            Self::Envelope | Self::Echo => Inbound::Frame(Cow::Borrowed(frame)),
            Self::BareJsonrpc => match wrap(frame) {
                Ok(wrapped) => Inbound::Frame(Cow::Owned(wrapped)),
                Err((code, message)) => {
                    let error = RpcError::new(None, code, &message, None);
                    Inbound::Fault(serde_json::to_value(error).unwrap_or_default())
                }
            },
        }
    }

    /// The frame for an encoded message; `None` if the subprotocol has none for it.
    pub fn outbound(self, message: Bytes) -> Option<(Kind, Bytes)> {
        match self {
            Self::Envelope => Some((Kind::Text, message)),
            Self::BareJsonrpc => unwrap(&message).map(|bytes| (Kind::Text, bytes)),
            Self::Echo => unmark(message),
        }
    }

    /// What answers a frame without being handled: an echo, marked for [`Codec::outbound`].
    pub fn echo(self, kind: Kind, frame: &[u8]) -> Option<Bytes> {
        (self == Self::Echo).then(|| [&[mark(kind)], frame].concat().into())
    }
}

/// The first byte of an echo in the outbox.
fn mark(kind: Kind) -> u8 {
    match kind {
        Kind::Text => b'T',
        Kind::Binary => b'B',
    }
}

/// The kind and the payload of an echo; `None` for the host's own messages, which begin with a brace.
fn unmark(mut message: Bytes) -> Option<(Kind, Bytes)> {
    let kind = [Kind::Text, Kind::Binary].into_iter().find(|&kind| message.first() == Some(&mark(kind)))?;
    Some((kind, message.split_off(1)))
}

/// Of a JSON-RPC object, what the envelope needs. Duplicates and types are the handler's business.
#[derive(Deserialize)]
struct Ids<'frame> {
    #[serde(borrow)]
    id: Option<&'frame RawValue>,
    #[serde(borrow)]
    method: Option<&'frame RawValue>,
}

/// The one object that bytes are, or the code and the reason why they are none.
pub(super) fn parse_object(bytes: &[u8]) -> Result<&RawValue, (i32, String)> {
    let raw: &RawValue = serde_json::from_slice(bytes).map_err(|fault| (PARSE_ERROR, fault.to_string()))?;
    if !raw.get().starts_with('{') {
        return Err((INVALID_REQUEST, "send one JSON-RPC object at a time, and no array".into()));
    }
    Ok(raw)
}

fn wrap(frame: &[u8]) -> Result<Vec<u8>, (i32, String)> {
    let raw = parse_object(frame)?;
    let id = match serde_json::from_str::<Ids<'_>>(raw.get()) {
        Ok(Ids { id: Some(id), .. }) => Some(id.get()).filter(|id| id.len() <= ClientMessage::MAX_ID_BYTES),
        Ok(Ids { id: None, method: Some(_) }) => Some(NOTIFICATION),
        _ => None,
    };
    Ok(envelope(id, raw))
}

/// What an envelope adds to an object, at most: with a short id.
pub(super) const ENVELOPE_BYTES: usize = 64;

/// Levels that it adds.
pub(super) const ENVELOPE_DEPTH: u32 = 1;

/// A `jsonrpc` message with this id around an object, which stays verbatim, so that no digit of a large number
/// is lost.
pub(super) fn envelope(id: Option<&str>, object: &RawValue) -> Vec<u8> {
    let mut text = Vec::with_capacity(object.get().len() + ClientMessage::MAX_ID_BYTES);
    text.extend_from_slice(b"{\"type\":\"jsonrpc\"");
    if let Some(id) = id {
        text.extend_from_slice(b",\"id\":");
        text.extend_from_slice(Value::from(id).to_string().as_bytes());
    }
    text.extend_from_slice(b",\"payload\":");
    text.extend_from_slice(object.get().as_bytes());
    text.push(b'}');
    text
}

fn unwrap(message: &[u8]) -> Option<Bytes> {
    let message: ServerMessage<'_, &RawValue> = serde_json::from_slice(message).ok()?;
    match &*message.message_type {
        "jsonrpc" => Some(Bytes::copy_from_slice(message.payload.get().as_bytes())),
        "error" => {
            let correlation_id = message.correlation_id.as_deref().filter(|id| *id != NOTIFICATION);
            if message.correlation_id.is_some() && correlation_id.is_none() {
                return None;
            }
            let id = correlation_id.and_then(|text| RawValue::from_string(text.to_owned()).ok());
            let payload: ErrorPayload = serde_json::from_str(message.payload.get()).ok()?;
            Some(error_of_host(id.as_deref(), &payload, message.payload).into())
        }
        _ => None,
    }
}

/// What a message says in JSON-RPC, to one whose request had an id of its own.
#[derive(Debug)]
pub(super) enum Said {
    /// A request or a notification of the server.
    Ahead(Bytes),
    /// The answer.
    Answer(Bytes),
    /// The host's error in the place of the answer.
    Error(Bytes, Box<ErrorPayload>),
}

impl Said {
    /// `None` for what JSON-RPC cannot say.
    pub fn read(message: &[u8], id: Option<&RawValue>) -> Option<Self> {
        let message: ServerMessage<'_, &RawValue> = serde_json::from_slice(message).ok()?;
        let text = message.payload.get();
        match &*message.message_type {
            "jsonrpc" => {
                let bytes = Bytes::copy_from_slice(text.as_bytes());
                let is_ahead = serde_json::from_str::<Ids<'_>>(text).is_ok_and(|ids| ids.method.is_some());
                Some(if is_ahead { Self::Ahead(bytes) } else { Self::Answer(bytes) })
            }
            "error" => {
                let payload: ErrorPayload = serde_json::from_str(text).ok()?;
                let bytes = error_of_host(id, &payload, message.payload);
                Some(Self::Error(bytes.into(), Box::new(payload)))
            }
            _ => None,
        }
    }
}

/// The host's error, with all that it says.
fn error_of_host(id: Option<&RawValue>, payload: &ErrorPayload, data: &RawValue) -> Vec<u8> {
    let client_fault =
        [ErrorCode::MessageTooLarge, ErrorCode::MessageTooDeep, ErrorCode::InvalidUtf8, ErrorCode::PayloadInvalid];
    let code =
        if client_fault.iter().any(|code| code.as_str() == payload.code) { INVALID_REQUEST } else { INTERNAL_ERROR };
    rpc_error(id, code, &payload.error, Some(data))
}

/// A JSON-RPC error response.
pub(super) fn rpc_error(id: Option<&RawValue>, code: i32, message: &str, data: Option<&RawValue>) -> Vec<u8> {
    // Strings, a number and what is JSON already can be written.
    serde_json::to_vec(&RpcError::new(id, code, message, data)).unwrap_or_default()
}

/// A JSON-RPC error response. The id stays the text that the client sent.
#[derive(Serialize)]
struct RpcError<'a> {
    jsonrpc: &'static str,
    /// Left out where none is known: clients refuse an error whose id is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    error: RpcFault<'a>,
}

#[derive(Serialize)]
struct RpcFault<'a> {
    code: i32,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

impl<'a> RpcError<'a> {
    fn new(id: Option<&'a RawValue>, code: i32, message: &'a str, data: Option<&'a RawValue>) -> Self {
        Self { jsonrpc: "2.0", id, error: RpcFault { code, message, data } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrapped(frame: &str) -> String {
        match Codec::BareJsonrpc.inbound(frame.as_bytes()) {
            Inbound::Frame(bytes) => String::from_utf8(bytes.into_owned()).unwrap(),
            Inbound::Fault(fault) => fault.to_string(),
        }
    }

    fn unwrapped(message: &str) -> Option<Value> {
        Codec::BareJsonrpc
            .outbound(Bytes::copy_from_slice(message.as_bytes()))
            .map(|(_, bytes)| serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn a_request_is_wrapped_verbatim_and_keeps_the_type_of_its_id() {
        let frame = r#"{"jsonrpc":"2.0","id":"7","method":"m","params":{"n":12345678901234567890123}}"#;
        let text = wrapped(frame);
        let message = ClientMessage::parse(text.as_bytes(), 8).unwrap();
        assert_eq!((message.payload_text(), message.id.as_deref()), (frame, Some(r#""7""#)));
        assert_eq!(
            wrapped(r#" {"id":0,"method":"m"} "#),
            r#"{"type":"jsonrpc","id":"0","payload":{"id":0,"method":"m"}}"#
        );
        assert_eq!(wrapped(r#"{"method":"m"}"#), r#"{"type":"jsonrpc","id":"","payload":{"method":"m"}}"#);
    }

    #[test]
    fn an_echo_keeps_its_kind_and_the_hosts_own_messages_are_left_out() {
        for kind in [Kind::Text, Kind::Binary] {
            let echo = Codec::Echo.echo(kind, b"{}").unwrap();
            assert_eq!(Codec::Echo.outbound(echo), Some((kind, Bytes::from_static(b"{}"))));
            assert_eq!(Codec::Envelope.echo(kind, b"{}"), None);
        }
        assert_eq!(Codec::Echo.outbound(Bytes::from_static(b"{}")), None);
    }

    #[test]
    fn what_is_no_object_is_answered_without_an_id() {
        for (frame, code) in [
            ("nope", PARSE_ERROR),
            ("{} {}", PARSE_ERROR),
            ("", PARSE_ERROR),
            ("[]", INVALID_REQUEST),
            ("7", INVALID_REQUEST),
        ] {
            let fault: Value = serde_json::from_str(&wrapped(frame)).unwrap();
            assert_eq!(fault["error"]["code"], code, "{frame}");
            assert!(fault.get("id").is_none());
        }
    }

    #[test]
    fn answers_are_unwrapped_and_what_json_rpc_cannot_say_is_left_out() {
        let answer = unwrapped(r#"{"type":"jsonrpc","payload":{"jsonrpc":"2.0","id":0,"result":{}},"timestamp":1.0}"#);
        assert_eq!(answer, Some(json!({ "jsonrpc": "2.0", "id": 0, "result": {} })));
        assert_eq!(unwrapped(r#"{"type":"heartbeat","payload":{},"timestamp":1.0}"#), None);
    }

    #[test]
    fn an_error_of_the_host_becomes_one_of_json_rpc() {
        let error = |correlation_id: &str| {
            let payload = serde_json::to_value(ErrorPayload::new(ErrorCode::PluginTimeout, "late")).unwrap();
            json!({ "type": "error", "payload": payload, "timestamp": 1.0, "correlation_id": correlation_id })
                .to_string()
        };
        let object = unwrapped(&error(r#""7""#)).unwrap();
        assert_eq!((&object["id"], &object["error"]["code"]), (&json!("7"), &json!(INTERNAL_ERROR)));
        assert_eq!(object["error"]["data"]["code"], "PLUGIN_TIMEOUT");
        assert_eq!(unwrapped(&error("7")).unwrap()["id"], 7);
        assert_eq!(unwrapped(&error(NOTIFICATION)), None);
    }
}
