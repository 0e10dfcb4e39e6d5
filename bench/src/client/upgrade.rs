//! The opening handshake of RFC 6455, section 4.1, as a client makes it.

/// The key of the RFC's own example, and what a server has to make of it: whether a server understands the protocol is
/// known by that, and random keys would say no more.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A response longer than this is no answer to a handshake.
const MAX_RESPONSE: usize = 16 * 1024;

/// What a client says who it is with.
#[derive(Debug, Clone)]
pub struct Hello<'a> {
    pub host: &'a str,
    pub path: &'a str,
    pub token: &'a str,
    pub subprotocol: Option<&'a str>,
}

impl Hello<'_> {
    pub fn append(&self, out: &mut Vec<u8>) {
        let Self { host, path, token, subprotocol } = self;
        let offer = subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{offer}Authorization: Bearer {token}\r\n\r\n"
        );
        out.extend_from_slice(text.as_bytes());
    }
}

/// What the server made of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Response {
    Partial,
    /// Frames follow from here on.
    Open {
        end: usize,
    },
    /// With this status, or with none that could be read.
    Refused(u16),
}

pub fn response(bytes: &[u8]) -> Response {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > MAX_RESPONSE { Response::Refused(0) } else { Response::Partial };
    };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else { return Response::Refused(0) };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
    let accepted = lines
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT);
    if status == 101 && accepted { Response::Open { end: end + 4 } } else { Response::Refused(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_open_only_with_the_right_answer_to_its_key() {
        let good = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n");
        assert_eq!(response(good.as_bytes()), Response::Open { end: good.len() });
        assert_eq!(response(&good.as_bytes()[..good.len() - 1]), Response::Partial);
        assert_eq!(response(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Response::Refused(101));
        assert_eq!(response(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"), Response::Refused(401));
        assert_eq!(response(&[b'a'; MAX_RESPONSE + 1]), Response::Refused(0));
    }
}
