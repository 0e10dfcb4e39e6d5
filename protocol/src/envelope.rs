//! The one envelope: how a frame becomes a message, and every way in which it can fail to.
//!
//! Only the outer fields are decoded. The payload stays the text that the client sent, because the
//! host has no business in it beyond its schema.

use std::{borrow::Cow, fmt, time::SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{ErrorCode, ErrorPayload, InvalidMessageType, MessageType, nests_deeper_than};

/// A message from a client, borrowed from the frame that it came in.
#[derive(Debug)]
pub struct ClientMessage<'frame> {
    /// What kind of message it is.
    pub message_type: MessageType,
    /// A JSON object; `None` stands for `{}`.
    pub payload: Option<&'frame RawValue>,
    /// Unix seconds, by the client's clock.
    pub timestamp: Option<f64>,
    /// The sender's own id of the message.
    pub id: Option<Cow<'frame, str>>,
    /// What an answer is to be marked with.
    pub correlation_id: Option<Cow<'frame, str>>,
}

impl<'frame> ClientMessage<'frame> {
    /// The longest `id` and `correlation_id`, in bytes: they are kept and echoed.
    pub const MAX_ID_BYTES: usize = 256;

    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// One fault for each way in which a frame can be wrong; see [`EnvelopeFault`].
    pub fn parse(frame: &'frame [u8], max_depth: u32) -> Result<Self, EnvelopeFault> {
        let text = std::str::from_utf8(frame).map_err(|fault| EnvelopeFault::Utf8 { at: fault.valid_up_to() })?;
        // Before parsing, so that no parser recurses deeper than this.
        if nests_deeper_than(text, max_depth) {
            return Err(EnvelopeFault::TooDeep { limit: max_depth });
        }
        if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
            return match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                Ok(_) => Err(EnvelopeFault::NotObject { found: kind_of(text) }),
                Err(fault) => Err(EnvelopeFault::Json(fault.to_string())),
            };
        }
        let fields: Fields<'frame> = serde_json::from_str(text).map_err(|fault| {
            if fault.is_data() {
                EnvelopeFault::Field { field: "envelope", problem: fault.to_string() }
            } else {
                EnvelopeFault::Json(fault.to_string())
            }
        })?;
        fields.check()
    }

    /// The payload as text.
    #[must_use]
    pub fn payload_text(&self) -> &'frame str {
        self.payload.map_or("{}", RawValue::get)
    }

    /// What answers are marked with: the `correlation_id`, else the `id`.
    #[must_use]
    pub fn answer_correlation(&self) -> Option<&str> {
        self.correlation_id.as_deref().or(self.id.as_deref())
    }
}

/// The envelope's fields before their types are known. Unknown fields are ignored.
#[derive(Deserialize)]
struct Fields<'frame> {
    #[serde(rename = "type", borrow)]
    message_type: Option<&'frame RawValue>,
    #[serde(borrow)]
    payload: Option<&'frame RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'frame RawValue>,
    #[serde(borrow)]
    id: Option<&'frame RawValue>,
    #[serde(borrow)]
    correlation_id: Option<&'frame RawValue>,
    #[serde(borrow)]
    jsonrpc: Option<&'frame RawValue>,
}

impl<'frame> Fields<'frame> {
    fn check(self) -> Result<ClientMessage<'frame>, EnvelopeFault> {
        // A JSON-RPC id may be a number, which is no fault of the envelope: there is none.
        if self.message_type.is_none() && self.jsonrpc.is_some() {
            return Err(EnvelopeFault::UnwrappedJsonrpc);
        }
        // Before the others, so that a fault in them can be answered with a correlation id.
        let id = text_field("id", self.id)?;
        let correlation_id = text_field("correlation_id", self.correlation_id)?;
        let correlated = |fault| EnvelopeFault::correlated(fault, correlation_id.as_deref().or(id.as_deref()));

        let Some(message_type) = self.message_type else {
            return Err(correlated(EnvelopeFault::TypeMissing));
        };
        let name: Cow<'_, str> = serde_json::from_str::<BorrowedText<'_>>(message_type.get())
            .map_err(|_| correlated(wrong_type("type", "a string", message_type)))?
            .0;
        let message_type = MessageType::parse(&name)
            .map_err(|problem| correlated(EnvelopeFault::Type { name: shortened(&name), problem }))?;
        if let Some(payload) = self.payload
            && !payload.get().starts_with('{')
        {
            return Err(correlated(wrong_type("payload", "an object", payload)));
        }
        let timestamp = match self.timestamp {
            None => None,
            Some(raw) => Some(
                serde_json::from_str::<f64>(raw.get())
                    .map_err(|_| correlated(wrong_type("timestamp", "a number of seconds", raw)))?,
            ),
        };
        Ok(ClientMessage { message_type, payload: self.payload, timestamp, id, correlation_id })
    }
}

#[derive(Deserialize)]
struct BorrowedText<'frame>(#[serde(borrow)] Cow<'frame, str>);

fn text_field<'frame>(
    field: &'static str,
    raw: Option<&'frame RawValue>,
) -> Result<Option<Cow<'frame, str>>, EnvelopeFault> {
    let Some(raw) = raw else { return Ok(None) };
    let text =
        serde_json::from_str::<BorrowedText<'frame>>(raw.get()).map_err(|_| wrong_type(field, "a string", raw))?.0;
    if text.len() > ClientMessage::MAX_ID_BYTES {
        let problem = format!("has {} bytes, and {} are allowed", text.len(), ClientMessage::MAX_ID_BYTES);
        return Err(EnvelopeFault::Field { field, problem });
    }
    Ok(Some(text))
}

fn wrong_type(field: &'static str, wanted: &str, raw: &RawValue) -> EnvelopeFault {
    EnvelopeFault::Field { field, problem: format!("must be {wanted}, and is {}", kind_of(raw.get())) }
}

/// What a JSON text is, by its first character.
fn kind_of(json: &str) -> &'static str {
    match json.trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Enough of a client's text to recognise it by.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Why a frame is not a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeFault {
    /// Not UTF-8 from this byte on.
    Utf8 {
        /// The first byte that is wrong.
        at: usize,
    },
    /// Brackets nest deeper than the limit.
    TooDeep {
        /// Levels that are allowed.
        limit: u32,
    },
    /// Not JSON; the text says where.
    Json(String),
    /// JSON, but something else than an object.
    NotObject {
        /// What it is instead.
        found: &'static str,
    },
    /// A JSON-RPC object stands where an envelope should.
    UnwrappedJsonrpc,
    /// No `type`.
    TypeMissing,
    /// A `type` that is not in the form of one.
    Type {
        /// The name, shortened.
        name: String,
        /// What is wrong with it.
        problem: InvalidMessageType,
    },
    /// A field of the wrong JSON type, or twice.
    Field {
        /// Which one.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Any of the others, in a frame whose sender marked it.
    Correlated {
        /// What the error message is to be marked with.
        correlation_id: String,
        /// The fault itself.
        fault: Box<EnvelopeFault>,
    },
}

impl EnvelopeFault {
    fn correlated(fault: Self, correlation_id: Option<&str>) -> Self {
        match correlation_id {
            Some(id) => Self::Correlated { correlation_id: id.to_owned(), fault: Box::new(fault) },
            None => fault,
        }
    }

    /// What the error message is to be marked with.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        match self {
            Self::Correlated { correlation_id, .. } => Some(correlation_id),
            _ => None,
        }
    }

    /// The code of the error message.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Utf8 { .. } => ErrorCode::InvalidUtf8,
            Self::TooDeep { .. } => ErrorCode::MessageTooDeep,
            Self::Json(_) => ErrorCode::InvalidJson,
            Self::NotObject { .. } => ErrorCode::EnvelopeNotObject,
            Self::UnwrappedJsonrpc => ErrorCode::UnwrappedJsonrpc,
            Self::TypeMissing => ErrorCode::TypeMissing,
            Self::Type { .. } => ErrorCode::TypeInvalid,
            Self::Field { field: "type", .. } => ErrorCode::TypeInvalid,
            Self::Field { .. } => ErrorCode::FieldInvalid,
            Self::Correlated { fault, .. } => fault.code(),
        }
    }

    /// The payload of the error message.
    #[must_use]
    pub fn to_payload(&self) -> ErrorPayload {
        ErrorPayload::new(self.code(), self.to_string())
    }
}

impl fmt::Display for EnvelopeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8 { at } => write!(f, "the frame is not UTF-8 at byte {at}"),
            Self::TooDeep { limit } => write!(f, "the message nests deeper than {limit} levels"),
            Self::Json(problem) => write!(f, "the frame is not JSON: {problem}"),
            Self::NotObject { found } => write!(f, "the frame is {found}, and has to be an object"),
            Self::UnwrappedJsonrpc => write!(f, "the frame is a JSON-RPC object without an envelope"),
            Self::TypeMissing => write!(f, "the message has no `type`"),
            Self::Type { name, problem } => write!(f, "`type` {name:?} is not a message type: {problem}"),
            Self::Field { field: "envelope", problem } => write!(f, "the envelope is wrong: {problem}"),
            Self::Field { field, problem } => write!(f, "`{field}` {problem}"),
            Self::Correlated { fault, .. } => fault.fmt(f),
        }
    }
}

impl std::error::Error for EnvelopeFault {}

/// A message from the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerMessage<'a, P> {
    /// What kind of message it is.
    #[serde(rename = "type")]
    pub message_type: Cow<'a, str>,
    /// Always a JSON object.
    pub payload: P,
    /// Unix seconds.
    pub timestamp: f64,
    /// Copied from the request that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Cow<'a, str>>,
    /// The topic that this was published to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Cow<'a, str>>,
    /// Position in the topic, rising by one with each publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Names the run of offsets; after a change of it, positions start anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Cow<'a, str>>,
    /// Position in the session, rising by one with each message that a resumption brings back. Written
    /// by [`with_seq`], because the rest of a message is shared by all of its receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// The frame of an encoded message with its `seq` added as the last field.
#[must_use]
pub fn with_seq(message: &[u8], seq: u64) -> Vec<u8> {
    let (message, tail) = seq_parts(message, seq);
    [message, &tail].concat()
}

/// The same in two parts: what all receivers of a message have in common, and what only this one has.
#[must_use]
pub fn seq_parts(message: &[u8], seq: u64) -> (&[u8], SeqTail) {
    // An encoded message ends with a brace, and has fields before it.
    (message.strip_suffix(b"}").unwrap_or(message), SeqTail::new(seq))
}

/// The end of a frame that has a `seq`. It is used as bytes.
#[derive(Debug, Clone, Copy)]
pub struct SeqTail {
    bytes: [u8; Self::MOST],
    length: usize,
}

impl SeqTail {
    /// `,"seq":`, the digits of the largest number, and a brace.
    const MOST: usize = 7 + 20 + 1;

    fn new(seq: u64) -> Self {
        use std::io::Write as _;
        let mut bytes = [0; Self::MOST];
        let mut rest = &mut bytes[..];
        // There is room for any number.
        let _ = write!(rest, ",\"seq\":{seq}}}");
        let length = Self::MOST - rest.len();
        Self { bytes, length }
    }
}

impl std::ops::Deref for SeqTail {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<'a, P: Serialize> ServerMessage<'a, P> {
    /// A message of this moment.
    pub fn new(message_type: impl Into<Cow<'a, str>>, payload: P) -> Self {
        Self {
            message_type: message_type.into(),
            payload,
            timestamp: unix_seconds(SystemTime::now()),
            correlation_id: None,
            topic: None,
            offset: None,
            epoch: None,
            seq: None,
        }
    }

    /// Marks it as an answer.
    #[must_use]
    pub fn answering(mut self, correlation_id: Option<impl Into<Cow<'a, str>>>) -> Self {
        self.correlation_id = correlation_id.map(Into::into);
        self
    }

    /// The frame.
    ///
    /// # Errors
    ///
    /// When the payload cannot be written as JSON.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

/// Seconds since 1970-01-01T00:00:00Z, with milliseconds as the fraction.
#[must_use]
pub fn unix_seconds(time: SystemTime) -> f64 {
    let millis = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis());
    #[expect(clippy::cast_precision_loss, reason = "milliseconds stay exact in an f64 for 285,000 years")]
    let millis = millis as f64;
    millis / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(frame: &[u8]) -> EnvelopeFault {
        ClientMessage::parse(frame, 8).expect_err("the frame is wrong")
    }

    #[test]
    fn a_whole_envelope_is_read_and_its_payload_left_as_it_is() {
        let frame = br#"{"type":"a.b","payload":{"n": 12345678901234567890123},"timestamp":1.5,"id":"x\u0041","correlation_id":"c","extra":[]}"#;
        let message = ClientMessage::parse(frame, 8).expect("valid");
        assert_eq!(message.message_type.as_str(), "a.b");
        assert_eq!(message.payload_text(), r#"{"n": 12345678901234567890123}"#);
        assert_eq!(message.timestamp, Some(1.5));
        assert_eq!(message.id.as_deref(), Some("xA"));
        assert_eq!(message.answer_correlation(), Some("c"));
    }

    #[test]
    fn an_absent_payload_is_an_empty_object_and_the_id_correlates() {
        let message = ClientMessage::parse(br#"{"type":"ping","id":"7"}"#, 8).expect("valid");
        assert_eq!((message.payload_text(), message.answer_correlation()), ("{}", Some("7")));
    }

    #[test]
    fn each_way_to_be_wrong_has_its_code() {
        for (frame, code) in [
            (&b"\xff"[..], ErrorCode::InvalidUtf8),
            (b"", ErrorCode::InvalidJson),
            (b"nope", ErrorCode::InvalidJson),
            (b"{\"type\":\"ping\"", ErrorCode::InvalidJson),
            (b"{\"type\":\"ping\"} x", ErrorCode::InvalidJson),
            (b"[1]", ErrorCode::EnvelopeNotObject),
            (b" null", ErrorCode::EnvelopeNotObject),
            (b"{}", ErrorCode::TypeMissing),
            (b"{\"type\":null}", ErrorCode::TypeMissing),
            (b"{\"type\":7}", ErrorCode::TypeInvalid),
            (b"{\"type\":\"\"}", ErrorCode::TypeInvalid),
            (b"{\"type\":\"No\"}", ErrorCode::TypeInvalid),
            (b"{\"type\":\"a\",\"type\":\"b\"}", ErrorCode::FieldInvalid),
            (b"{\"type\":\"a\",\"payload\":[]}", ErrorCode::FieldInvalid),
            (b"{\"type\":\"a\",\"timestamp\":\"now\"}", ErrorCode::FieldInvalid),
            (b"{\"type\":\"a\",\"id\":7}", ErrorCode::FieldInvalid),
            (b"{\"type\":\"a\",\"correlation_id\":{}}", ErrorCode::FieldInvalid),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", ErrorCode::UnwrappedJsonrpc),
            (b"{\"type\":\"a\",\"payload\":{\"a\":[[[[[[[[]]]]]]]]}}", ErrorCode::MessageTooDeep),
        ] {
            assert_eq!(fault(frame).code(), code, "{}", String::from_utf8_lossy(frame));
        }
    }

    #[test]
    fn a_fault_keeps_the_correlation_of_its_frame() {
        let fault = fault(br#"{"id":"7","type":"a","payload":3}"#);
        assert_eq!(fault.correlation_id(), Some("7"));
        assert_eq!(fault.to_string(), "`payload` must be an object, and is a number");
    }

    #[test]
    fn a_seq_is_added_to_what_was_encoded() {
        let message = ServerMessage::new("a", serde_json::json!({})).encode().expect("it is JSON");
        let frame = with_seq(&message, u64::MAX);
        let read: ServerMessage<'_, serde_json::Value> = serde_json::from_slice(&frame).expect("it is JSON");
        assert_eq!((read.seq, &*read.message_type), (Some(u64::MAX), "a"));
    }

    #[test]
    fn brackets_in_strings_do_not_count_as_depth() {
        let frame = br#"{"type":"a","payload":{"s":"[[[[[[[[[[\"[[[[["}}"#;
        assert!(ClientMessage::parse(frame, 2).is_ok());
    }
}
