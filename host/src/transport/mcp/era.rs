//! Which of the two kinds of MCP a message belongs to: the one where each request says all about itself, or
//! the one that begins with a handshake (MCP 2026-07-28, "Versioning", backward compatibility).

use http::HeaderMap;

use super::{fault::Fault, message::Message};

pub(super) const VERSION_HEADER: &str = "mcp-protocol-version";

/// Revisions without a handshake.
const MODERN: [&str; 1] = ["2026-07-28"];

/// Revisions with a handshake. The first one had another transport, and its clients find their way here
/// through negotiation.
const WITH_HANDSHAKE: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    Modern,
    Handshake,
}

impl Era {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Handshake => "handshake",
        }
    }

    /// Modern if the body names its revision, or the header names a modern one.
    pub fn of_message(headers: &HeaderMap, message: &Message<'_>) -> Self {
        if message.params.version.is_some() { Self::Modern } else { Self::of_headers(headers) }
    }

    pub fn of_headers(headers: &HeaderMap) -> Self {
        let names_modern = |value: &http::HeaderValue| value.to_str().is_ok_and(|value| MODERN.contains(&value.trim()));
        if headers.get_all(VERSION_HEADER).iter().any(names_modern) { Self::Modern } else { Self::Handshake }
    }
}

/// Whether the header names a revision with a handshake. Without it, it is the one before there was such a
/// header (MCP 2025-11-25, "Transports", protocol version header).
pub(super) fn check_version(headers: &HeaderMap) -> Result<(), Fault> {
    let known = |value: &http::HeaderValue| value.to_str().is_ok_and(|value| WITH_HANDSHAKE.contains(&value.trim()));
    if headers.get_all(VERSION_HEADER).iter().all(known) {
        return Ok(());
    }
    let revisions: Vec<_> = MODERN.iter().chain(WITH_HANDSHAKE.iter().rev()).copied().collect();
    let known = revisions.join(", ");
    Err(Fault::invalid(format!("MCP-Protocol-Version names a revision that is not known here; known are {known}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn era(version: Option<&'static str>, body: &str) -> (Era, bool) {
        let mut headers = HeaderMap::new();
        if let Some(version) = version {
            headers.insert(VERSION_HEADER, version.parse().unwrap());
        }
        let message = Message::read(body.as_bytes(), 8).unwrap();
        (Era::of_message(&headers, &message), check_version(&headers).is_ok())
    }

    #[test]
    fn the_body_or_a_modern_header_makes_a_message_modern() {
        let plain = r#"{"id":1,"method":"initialize"}"#;
        let named = r#"{"id":1,"method":"m","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"v9"}}}"#;
        for (version, body, expected, known) in [
            (None, plain, Era::Handshake, true),
            (Some("2025-11-25"), plain, Era::Handshake, true),
            (Some("2025-06-18"), plain, Era::Handshake, true),
            (Some("1999-01-01"), plain, Era::Handshake, false),
            (Some(""), plain, Era::Handshake, false),
            (Some("2026-07-28"), plain, Era::Modern, false),
            (None, named, Era::Modern, true),
            (Some("v9"), named, Era::Modern, false),
        ] {
            assert_eq!(era(version, body), (expected, known), "{version:?} {body}");
        }
    }
}
