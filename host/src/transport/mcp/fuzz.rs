//! The door for fuzzing: a posted body and its headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use switchboard_protocol::ClientMessage;

use super::{
    era::{self, Era},
    message::Message,
    mirror::{self, MirroredArgument},
    negotiate::{JSON, accepts, sends_json},
};
use crate::transport::codec::{ENVELOPE_BYTES, ENVELOPE_DEPTH, envelope};

/// As deep as clients may nest by default.
const MAX_DEPTH: u32 = 64;

/// Lines of headers, an empty line, and a body.
pub(crate) fn posted(bytes: &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((&[][..], bytes), |end| (&bytes[..end], &bytes[end + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(MAX_DEPTH as usize) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            headers.append(name, value);
        }
    }
    let _ = (accepts(&headers, JSON), sends_json(&headers), era::check_version(&headers));
    let Ok(message) = Message::read(body, MAX_DEPTH - ENVELOPE_DEPTH) else { return };
    if Era::of_message(&headers, &message) == Era::Modern {
        let _ = mirror::check(&headers, &message);
    }
    let path = ["a".to_owned(), "b".to_owned()];
    let mirrored = (0..=path.len()).map(|depth| MirroredArgument { header: "mcp-param-a", path: &path[..depth] });
    let _ = mirror::check_arguments(&headers, &message.params, mirrored);
    // What is handed on is what was sent, whatever it was.
    let wrapped = envelope(Some("1"), message.raw);
    assert!(wrapped.len() <= body.len() + ENVELOPE_BYTES);
    let parsed = ClientMessage::parse(&wrapped, MAX_DEPTH).map(|parsed| parsed.payload_text().to_owned());
    assert_eq!(parsed.ok().as_deref(), Some(message.raw.get()));
}
