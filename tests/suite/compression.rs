//! permessage-deflate (RFC 7692) on the socket: when it is agreed upon, what is compressed, and what a client cannot do with
//! it. The client here is bytes on a TCP connection, but for one that others wrote.

use std::io::{Read, Write};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Server, node, token, within_patience};

const OFFER: &str = "permessage-deflate; client_max_window_bits";
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// First bytes of frames: whole texts, plain and compressed, and a close.
const TEXT: u8 = 0x81;
const COMPRESSED: u8 = 0xC1;
const CLOSE: u8 = 0x88;

/// What an inflater wants at the end of a message, and the end that makes it stop (RFC 7692, section 7.2.2; RFC 1951).
const TAIL: &[u8] = &[0x00, 0x00, 0xFF, 0xFF, 0x03, 0x00];

struct Raw {
    stream: TcpStream,
    /// The answer's `Sec-WebSocket-Extensions`.
    extensions: Option<String>,
}

impl Raw {
    /// An open socket, and `connection_established`, which comes first.
    async fn open(server: &Server, user: &str, offer: Option<&str>) -> (Self, Value) {
        let mut stream = TcpStream::connect(server.address()).await.expect("the server listens");
        let offer = offer.map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n")).unwrap_or_default();
        let head = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}Authorization: Bearer {}\r\n\r\n",
            server.address(),
            token(user)
        );
        stream.write_all(head.as_bytes()).await.expect("the request is sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(within_patience!("the answer to the upgrade", stream.read_u8()).expect("an answer"));
        }
        let answer = String::from_utf8(answer).expect("ASCII");
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        let extension = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("sec-websocket-extensions").then(|| value.to_owned())
        };
        let mut raw = Self { stream, extensions: answer.lines().find_map(extension) };
        let established = raw.expect("connection_established").await.0;
        (raw, established)
    }

    async fn send(&mut self, first: u8, payload: &[u8]) {
        // The server may close before it has read everything.
        let _ = self.stream.write_all(&masked(first, payload)).await;
    }

    /// The first byte and the payload of the next frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let read = async {
            let first = self.stream.read_u8().await?;
            let length = match self.stream.read_u8().await? {
                126 => usize::from(self.stream.read_u16().await?),
                127 => usize::try_from(self.stream.read_u64().await?).expect("a length"),
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await?;
            Ok::<_, std::io::Error>((first, payload))
        };
        within_patience!("a frame", read).expect("a frame")
    }

    /// The next message of a type, and whether it was compressed.
    async fn expect(&mut self, message_type: &str) -> (Value, bool) {
        loop {
            let (first, payload) = self.frame().await;
            let text = match first {
                TEXT => payload,
                COMPRESSED => inflated(&payload),
                _ => continue,
            };
            let message: Value = serde_json::from_slice(&text).expect("JSON");
            if message["type"] == message_type {
                return (message, first == COMPRESSED);
            }
        }
    }

    /// The code of the close that comes.
    async fn closed(&mut self) -> u16 {
        loop {
            if let (CLOSE, payload) = self.frame().await {
                return u16::from_be_bytes(*payload.first_chunk().expect("a code"));
            }
        }
    }
}

/// A frame with a mask of zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u64::try_from(payload.len()).expect("a length").to_be_bytes();
    [&[first, 0x80 | 127], &length[..], &[0; 4], payload].concat()
}

/// As a client compresses a message: flushed, and without the end of that.
fn deflated(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("it is compressed");
    encoder.flush().expect("it is flushed");
    let mut bytes = encoder.get_ref().clone();
    bytes.truncate(bytes.len() - 4);
    bytes
}

fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    DeflateDecoder::new(&[bytes, TAIL].concat()[..]).read_to_end(&mut text).expect("it is whole");
    text
}

fn ping(id: &str, bytes: usize) -> Vec<u8> {
    json!({ "type": "ping", "id": id, "payload": { "data": "yes and no, ".repeat(bytes / 12) } }).to_string().into()
}

async fn compressing() -> Server {
    Server::builder().setting("server.compression", "true").system().start().await
}

#[tokio::test]
async fn compression_is_off_until_an_operator_turns_it_on_and_a_client_offers_it() {
    let server = Server::start().await;
    let (mut raw, _) = Raw::open(&server, "alice", Some(OFFER)).await;
    assert_eq!(raw.extensions, None);
    raw.send(COMPRESSED, &deflated(&ping("1", 2_000))).await;
    assert_eq!(raw.closed().await, 1002, "what was not agreed upon is not read");

    let server = compressing().await;
    for (offer, agreed) in [
        (None, None),
        (Some(OFFER), Some(AGREED.to_owned())),
        (Some("permessage-deflate; server_max_window_bits=10"), Some(format!("{AGREED}; server_max_window_bits=9"))),
        (Some("permessage-deflate; server_max_window_bits=8"), None),
        (Some("permessage-deflate; unheard_of, permessage-deflate"), Some(AGREED.to_owned())),
    ] {
        let (mut raw, _) = Raw::open(&server, "alice", offer).await;
        assert_eq!(raw.extensions, agreed, "{offer:?}");
        raw.send(TEXT, &ping("1", 2_000)).await;
        let (pong, was_compressed) = raw.expect("pong").await;
        assert_eq!(pong["payload"]["data"].as_str().map(str::len), Some(1_992));
        assert_eq!(was_compressed, agreed.is_some(), "{offer:?}");
    }
}

#[tokio::test]
async fn messages_are_read_compressed_and_plain_and_short_answers_are_not_compressed() {
    let server = compressing().await;
    let (mut raw, _) = Raw::open(&server, "alice", Some(OFFER)).await;
    raw.send(COMPRESSED, &deflated(&ping("1", 20_000))).await;
    let (pong, was_compressed) = raw.expect("pong").await;
    assert!(was_compressed && pong["correlation_id"] == "1" && pong["seq"].as_u64().is_some(), "{pong}");

    let short = deflated(&ping("2", 12));
    let (begin, end) = short.split_at(short.len() / 2);
    raw.send(COMPRESSED & 0x7F, begin).await;
    raw.send(0x80, end).await;
    let (pong, was_compressed) = raw.expect("pong").await;
    assert!(!was_compressed && pong["correlation_id"] == "2", "{pong}");
    assert!(server.metric("switchboard_frames_compressed_total").await >= 1.0);
    assert!(server.metric("switchboard_compression_saved_bytes_total").await >= 15_000.0);
}

#[tokio::test]
async fn a_publication_is_one_text_for_all_and_a_number_for_each() {
    let server = compressing().await;
    let mut readers = Vec::new();
    for (user, offer) in [
        ("alice", Some(OFFER)),
        ("bob", Some("permessage-deflate; server_max_window_bits=9")),
        ("carol", None),
        ("dave", Some(OFFER)),
    ] {
        let (mut raw, _) = Raw::open(&server, user, offer).await;
        // So that no two have the same number.
        for id in 0..readers.len() {
            raw.send(TEXT, &ping(&id.to_string(), 12)).await;
            raw.expect("pong").await;
        }
        raw.send(TEXT, br#"{"type":"subscribe","id":"s","payload":{"topic":"room"}}"#).await;
        raw.expect("subscribed").await;
        readers.push((raw, offer.is_some()));
    }
    let payload = json!({ "text": "one line after another, ".repeat(200) });
    let publish = json!({
        "type": "publish", "id": "p", "payload": { "topic": "room", "type": "news", "payload": payload },
    });
    readers[0].0.send(TEXT, publish.to_string().as_bytes()).await;
    let mut numbers = Vec::new();
    for (raw, compresses) in &mut readers {
        let (news, was_compressed) = raw.expect("news").await;
        assert_eq!((&news["payload"], was_compressed), (&payload, *compresses));
        numbers.push(news["seq"].as_u64().expect("a number"));
    }
    numbers.dedup();
    assert_eq!(numbers.len(), 4, "each counts by itself: {numbers:?}");
}

#[tokio::test]
async fn what_inflates_beyond_a_bound_is_treated_as_a_message_of_that_size() {
    let server = compressing().await;
    let (mut raw, _) = Raw::open(&server, "alice", Some(OFFER)).await;
    raw.send(COMPRESSED, &deflated(&ping("large", 500_000))).await;
    let (error, _) = raw.expect("error").await;
    assert_eq!(error["payload"]["code"], "MESSAGE_TOO_LARGE", "{error}");

    // A thousand times as large as what is sent. Ten of them at once are as harmless as one.
    let bomb = deflated(&vec![b' '; 200 << 20]);
    assert!(bomb.len() < 1 << 20, "{} bytes go through as a frame", bomb.len());
    let before = server.resident_bytes();
    let mut bombers = Vec::new();
    for _ in 0..10 {
        let (mut raw, _) = Raw::open(&server, "alice", Some(OFFER)).await;
        raw.send(COMPRESSED, &bomb).await;
        bombers.push(raw);
    }
    for raw in &mut bombers {
        assert_eq!(raw.closed().await, 1009);
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");

    raw.send(COMPRESSED, &deflated(&ping("after", 1_000))).await;
    assert_eq!(raw.expect("pong").await.0["correlation_id"], "after", "others go on");
}

#[tokio::test]
async fn damaged_data_closes_and_a_last_block_ends_its_message() {
    let server = compressing().await;
    let (mut raw, _) = Raw::open(&server, "alice", Some(OFFER)).await;
    // As some senders end each message: a last block, and a byte that fills up.
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&ping("last", 1_000)).expect("it is compressed");
    let whole = encoder.finish().expect("it is ended");
    raw.send(COMPRESSED, &[&whole[..], &[0x00]].concat()).await;
    assert_eq!(raw.expect("pong").await.0["correlation_id"], "last");
    // Four bytes that made another server spin.
    raw.send(0xC2, &[0x03, 0x80]).await;
    assert_eq!(raw.expect("error").await.0["payload"]["code"], "INVALID_JSON");

    for (first, payload, code) in [
        (COMPRESSED, &[0x07][..], 1002),
        (COMPRESSED, &deflated(b"{\"type\":\"\xFF\"}"), 1007),
        (0xC9, b"ping", 1002),
        (0xA1, b"x", 1002),
    ] {
        let (mut raw, _) = Raw::open(&server, "alice", Some(OFFER)).await;
        raw.send(first, payload).await;
        assert_eq!(raw.closed().await, code, "{first:x} {payload:x?}");
    }
}

/// The WebSocket that is part of Node.
#[tokio::test]
async fn a_client_of_others_agrees_and_reads_what_is_compressed() {
    const SCRIPT: &str = r#"
        const [url, token] = process.argv.slice(1);
        const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } });
        socket.onmessage = ({ data }) => {
            const message = JSON.parse(data);
            if (message.type === "connection_established") {
                const text = "yes and no, ".repeat(1000);
                socket.send(JSON.stringify({ type: "ping", id: "1", payload: { data: text } }));
            }
            if (message.type === "pong") {
                console.log(JSON.stringify({ extensions: socket.extensions, length: message.payload.data.length }));
                socket.close();
            }
        };
        socket.onerror = (error) => { console.log(String(error.message)); process.exit(1); };
    "#;
    let server = compressing().await;
    let mut command = node();
    let output = command.args(["-e", SCRIPT, "--", server.url(), &token("alice")]).output();
    let output = within_patience!("Node", output).expect("Node runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((&said["extensions"], &said["length"]), (&json!(AGREED), &json!(12_000)), "{said}");
    assert!(server.metric("switchboard_frames_compressed_total").await >= 1.0);
}
