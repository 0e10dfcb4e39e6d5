//! How one subscribes and publishes: with the host, and with NATS, whose own protocol goes through WebSocket frames as a
//! stream (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).

use crate::{
    client::template::{NUMBER, text_after},
    fleet::Door,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Switchboard,
    Nats,
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum News<'a> {
    Publication(&'a [u8]),
    Subscribed,
    /// The server wants to know whether anybody is there.
    Ping,
    Refusal(&'a str),
    Other,
}

/// What stands in a publication where its time goes.
pub const AT: &str = r#""at":""#;

/// The answer to a ping of the stream.
pub const PONG: &str = "PONG\r\n";

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

impl Dialect {
    pub fn door(self) -> Door {
        match self {
            Self::Switchboard => Door::Greeted("/ws"),
            Self::Nats => Door::Greeted("/"),
        }
    }

    /// What the publisher says first, if anything.
    pub fn introduction(self) -> Option<&'static str> {
        (self == Self::Nats).then_some(CONNECT)
    }

    pub fn subscription(self) -> String {
        match self {
            Self::Switchboard => r#"{"type":"subscribe","payload":{"topic":"bench"}}"#.to_owned(),
            // Its answer to the ping says that it has read what came before.
            Self::Nats => format!("{CONNECT}SUB bench 1\r\nPING\r\n"),
        }
    }

    /// With a place for its time.
    pub fn publication(self, data: &str) -> String {
        let payload = format!(r#"{{"at":"{NUMBER}","data":{data}}}"#);
        match self {
            Self::Switchboard => {
                format!(r#"{{"type":"publish","payload":{{"topic":"bench","type":"tick","payload":{payload}}}}}"#)
            }
            Self::Nats => format!("PUB bench {}\r\n{payload}\r\n", payload.len()),
        }
    }

    /// What stands at the start, and how long it is; `None` if it is not all there.
    pub fn news(self, bytes: &[u8]) -> Option<(News<'_>, usize)> {
        match self {
            Self::Switchboard => Some((in_envelope(bytes), bytes.len())),
            Self::Nats => in_stream(bytes),
        }
    }
}

fn in_envelope(text: &[u8]) -> News<'_> {
    match text {
        text if text.starts_with(br#"{"type":"tick""#) => News::Publication(text),
        text if text.starts_with(br#"{"type":"subscribed""#) => News::Subscribed,
        text if text.starts_with(br#"{"type":"error""#) => {
            News::Refusal(text_after(text, r#""code":""#).unwrap_or("error"))
        }
        _ => News::Other,
    }
}

fn in_stream(bytes: &[u8]) -> Option<(News<'_>, usize)> {
    let end = memchr::memmem::find(bytes, b"\r\n")?;
    let (line, next) = (std::str::from_utf8(&bytes[..end]).unwrap_or("no text"), end + 2);
    match line.split(' ').next() {
        Some("MSG") => {
            let Some(length) = line.rsplit(' ').next().and_then(|word| word.parse::<usize>().ok()) else {
                return Some((News::Refusal("a message without a length"), next));
            };
            let payload = bytes.get(next..next + length)?;
            (bytes.len() >= next + length + 2).then_some((News::Publication(payload), next + length + 2))
        }
        Some("PONG") => Some((News::Subscribed, next)),
        Some("PING") => Some((News::Ping, next)),
        Some("-ERR") => Some((News::Refusal(line), next)),
        _ => Some((News::Other, next)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_message_by_message() {
        let bytes = b"PONG\r\nMSG bench 1 5\r\nhello\r\nPING\r\n-ERR 'x'\r\n+OK\r\n";
        let (mut at, mut seen) = (0, Vec::new());
        while let Some((news, length)) = Dialect::Nats.news(&bytes[at..]) {
            seen.push(news);
            at += length;
        }
        assert_eq!(at, bytes.len());
        assert_eq!(seen.len(), 5);
        assert!(matches!(seen[..3], [News::Subscribed, News::Publication(b"hello"), News::Ping]));
        assert_eq!(seen[3], News::Refusal("-ERR 'x'"));
        let message = &bytes[6..28];
        assert!((0..message.len()).all(|cut| Dialect::Nats.news(&message[..cut]).is_none()));
    }

    #[test]
    fn an_envelope_is_one_message() {
        let text = br#"{"type":"tick","payload":{"at":"0"}}"#;
        assert_eq!(Dialect::Switchboard.news(text), Some((News::Publication(text), text.len())));
        let (news, _) = Dialect::Switchboard.news(br#"{"type":"error","payload":{"code":"BUSY"}}"#).unwrap();
        assert_eq!(news, News::Refusal("BUSY"));
    }

    #[test]
    fn a_publication_says_how_long_it_is() {
        let text = Dialect::Nats.publication("1");
        let (head, rest) = text.split_once("\r\n").unwrap();
        assert_eq!(head, format!("PUB bench {}", rest.len() - 2));
    }
}
