//! Frames that are wrong, in every way there is: an error that says what and where, and a connection
//! that goes on.

use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::harness::{Client, Server, within_patience};

/// Sends a frame, and returns the error that comes back after seeing that the connection goes on.
async fn error_for(client: &mut Client, frame: Message) -> Value {
    client.send_frame(frame).await;
    let error = client.expect("error").await;
    assert_eq!(client.request("ping", json!({})).await["type"], "pong", "the connection goes on after {error}");
    let payload = &error["payload"];
    assert!(payload["error"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    assert!(payload["help"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    assert!(payload["timestamp"].as_f64().is_some() && payload["recoverable"] == true, "{error}");
    error
}

#[tokio::test]
async fn each_malformed_frame_gets_its_error_and_the_connection_goes_on() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    let deep = format!(r#"{{"type":"ping","payload":{{"a":{}{}}}}}"#, "[".repeat(200), "]".repeat(200));
    let bottomless = "[".repeat(200_000);
    let large = format!(r#"{{"type":"ping","payload":{{"data":"{}"}}}}"#, "x".repeat(300 * 1024));
    for (frame, code, mentions) in [
        (Message::text(""), "INVALID_JSON", "line 1"),
        (Message::text("hello"), "INVALID_JSON", "line 1 column"),
        (Message::text(r#"{"type":"ping""#), "INVALID_JSON", "line 1 column"),
        (Message::text(r#"{"type":"ping"}{"type":"ping"}"#), "INVALID_JSON", "column"),
        (Message::text("[]"), "ENVELOPE_NOT_OBJECT", "array"),
        (Message::text("7"), "ENVELOPE_NOT_OBJECT", "number"),
        (Message::text("null"), "ENVELOPE_NOT_OBJECT", "null"),
        (Message::text(r#""ping""#), "ENVELOPE_NOT_OBJECT", "string"),
        (Message::text("{}"), "TYPE_MISSING", "type"),
        (Message::text(r#"{"payload":{}}"#), "TYPE_MISSING", "type"),
        (Message::text(r#"{"type":7}"#), "TYPE_INVALID", "a number"),
        (Message::text(r#"{"type":""}"#), "TYPE_INVALID", "empty"),
        (Message::text(r#"{"type":"Not Good"}"#), "TYPE_INVALID", "'N'"),
        (Message::text(r#"{"type":"ping","payload":"x"}"#), "FIELD_INVALID", "payload"),
        (Message::text(r#"{"type":"ping","payload":[1]}"#), "FIELD_INVALID", "payload"),
        (Message::text(r#"{"type":"ping","timestamp":"now"}"#), "FIELD_INVALID", "timestamp"),
        (Message::text(r#"{"type":"ping","id":7}"#), "FIELD_INVALID", "id"),
        (Message::text(r#"{"type":"ping","correlation_id":[]}"#), "FIELD_INVALID", "correlation_id"),
        (Message::text(r#"{"type":"ping","type":"pong"}"#), "FIELD_INVALID", "duplicate"),
        (Message::text(deep), "MESSAGE_TOO_DEEP", "64"),
        (Message::text(bottomless), "MESSAGE_TOO_DEEP", "64"),
        (Message::text(large), "MESSAGE_TOO_LARGE", "262144"),
        (Message::binary(Bytes::from_static(b"\xff\xfe{}")), "INVALID_UTF8", "byte 0"),
        (Message::text(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), "UNWRAPPED_JSONRPC", "JSON-RPC"),
        (Message::text(r#"{"type":"resumed"}"#), "RESERVED_MESSAGE_TYPE", "resumed"),
        (Message::text(r#"{"type":"error"}"#), "RESERVED_MESSAGE_TYPE", "error"),
        (Message::text(r#"{"type":"nobody_handles_this"}"#), "UNKNOWN_MESSAGE_TYPE", "nobody_handles_this"),
        (Message::text(r#"{"type":"subscribe","payload":{"topic":7}}"#), "PAYLOAD_INVALID", "/topic"),
        (Message::text(r#"{"type":"subscribe"}"#), "PAYLOAD_INVALID", "topic"),
    ] {
        let error = error_for(&mut client, frame.clone()).await;
        let shown = frame.to_text().map(|text| text.chars().take(60).collect::<String>()).unwrap_or_default();
        assert_eq!(error["payload"]["code"], code, "{shown}");
        let text = error["payload"]["error"].as_str().expect("a text");
        assert!(text.contains(mentions), "{shown}: {text:?} does not mention {mentions:?}");
    }
}

#[tokio::test]
async fn errors_carry_the_correlation_of_the_frame_and_help_that_knows_the_case() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    let error = error_for(&mut client, Message::text(r#"{"type":"pnig","id":"i1"}"#)).await;
    assert_eq!(error["correlation_id"], "i1");
    assert!(error["payload"]["help"].as_str().expect("help").contains("ping"), "{error}");

    let error =
        error_for(&mut client, Message::text(r#"{"type":"ping","payload":1,"id":"i2","correlation_id":"c2"}"#)).await;
    assert_eq!(error["correlation_id"], "c2");

    let error = error_for(&mut client, Message::text(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)).await;
    assert!(error["payload"]["help"].as_str().expect("help").contains(r#"{"type":"jsonrpc","payload""#), "{error}");
}

#[tokio::test]
async fn a_binary_frame_is_an_envelope_too_and_unknown_fields_are_ignored() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    let frame = br#"{"type":"ping","id":"b","payload":{"data":[1,"two"]},"from":"the future"}"#;
    client.send_frame(Message::binary(Bytes::from_static(frame))).await;
    let answer = client.answer_to("b").await;
    assert_eq!((&answer["type"], &answer["payload"]["data"]), (&json!("pong"), &json!([1, "two"])));
    assert!(answer["timestamp"].as_f64().is_some_and(|seconds| seconds > 1.7e9), "{answer}");
}

#[tokio::test]
async fn the_registered_close_codes_are_used_where_the_websocket_protocol_demands_it() {
    let server = Server::start().await;
    for (bytes, expected, what) in [
        (raw_frame(0x81, &[0xff, 0xfe]), 1007, "text that is not UTF-8"),
        (raw_frame(0x81, &vec![b'x'; 2 * 1024 * 1024]), 1009, "a message beyond the frame limit"),
        (raw_frame(0xf1, b"x"), 1002, "reserved bits"),
        (raw_frame(0x83, b"x"), 1002, "an unknown opcode"),
        (raw_frame(0x80, b"x"), 1002, "a continuation of nothing"),
    ] {
        let mut client = Client::connect(&server, "alice").await;
        write_raw(&mut client, &bytes).await;
        assert_eq!(client.closed().await, Some(expected), "{what}");
    }
    crate::harness::eventually("the closes to be counted", async || {
        (server.metric("switchboard_closes_total").await >= 5.0).then_some(())
    })
    .await;
}

/// A masked frame (RFC 6455, section 5.2) with a mask of zeros.
fn raw_frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first_byte];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).expect("below 126")),
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&u64::try_from(length).expect("a length").to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

async fn write_raw(client: &mut Client, bytes: &[u8]) {
    use tokio::io::AsyncWriteExt;
    // The server may close before it has read everything; that is what the test is about.
    let _ = client.socket().get_mut().write_all(bytes).await;
}

/// No bytes can close a socket other than by the documented codes, or stop the host: random frames,
/// random text, and JSON that was damaged at random.
#[test]
fn no_bytes_close_a_socket_otherwise_than_by_a_documented_code() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let server = runtime.block_on(Server::start());
    let documented: Vec<u16> = switchboard_protocol::CloseCode::ALL.iter().map(|code| code.code()).collect();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let frames = proptest::collection::vec(hostile_bytes(), 1..6);
    runner
        .run(&frames, |frames| {
            let closed = runtime.block_on(async {
                let mut client = Client::connect(&server, "mallory").await;
                for frame in &frames {
                    match frame {
                        Hostile::Text(text) => client.socket().send(Message::text(text.clone())).await.is_ok(),
                        Hostile::Binary(bytes) => client.socket().send(Message::binary(bytes.clone())).await.is_ok(),
                        Hostile::Raw(bytes) => {
                            write_raw(&mut client, bytes).await;
                            true
                        }
                    };
                }
                // Completes a raw frame that promised more than it held, or asks for a pong.
                write_raw(&mut client, &raw_frame(0x88, &[0x03, 0xe8])).await;
                drain(&mut client).await
            });
            prop_assert!(closed.is_none_or(|code| documented.contains(&code)), "closed with {closed:?}");
            Ok(())
        })
        .unwrap_or_else(|fault| panic!("{fault}"));
    runtime.block_on(async {
        let mut client = Client::connect(&server, "alice").await;
        assert_eq!(client.request("ping", json!({})).await["type"], "pong", "the host still serves");
    });
}

/// Reads until a close, or until the server has nothing to say to an incomplete frame.
async fn drain(client: &mut Client) -> Option<u16> {
    let reading = async {
        while let Some(Ok(frame)) = client.socket().next().await {
            if let Message::Close(close) = frame {
                return close.map(|close| close.code.into());
            }
        }
        None
    };
    // An incomplete frame is rightly waited for: the end of patience here is an outcome, not a failure.
    tokio::time::timeout(std::time::Duration::from_millis(300), reading).await.unwrap_or(None)
}

#[derive(Debug, Clone)]
enum Hostile {
    Text(String),
    Binary(Vec<u8>),
    Raw(Vec<u8>),
}

fn hostile_bytes() -> impl Strategy<Value = Hostile> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let damaged = (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| {
        let mut json = br#"{"type":"ping","payload":{"data":{"a":[1,2,{"b":null}]}},"id":"x"}"#.to_vec();
        let at = usize::from(at) % json.len();
        json[at] = byte;
        json
    });
    prop_oneof![
        ".{0,200}".prop_map(Hostile::Text),
        bytes().prop_map(Hostile::Binary),
        damaged.prop_map(Hostile::Binary),
        (any::<u8>(), bytes()).prop_map(|(first, bytes)| Hostile::Raw(raw_frame(first, &bytes))),
        bytes().prop_map(Hostile::Raw),
    ]
}

#[tokio::test]
async fn a_client_that_sends_nothing_but_faults_is_closed_in_the_end() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "mallory").await;
    let flood = async { while client.socket().send(Message::text("nonsense")).await.is_ok() {} };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), flood).await;
    assert_eq!(within_patience!("the close", client.closed()), Some(4008));
}

#[tokio::test]
async fn who_sends_what_the_operator_switched_off_is_not_closed_for_it() {
    let config = "[plugins.jsonrpc]\nenabled = false";
    let server = Server::builder().shipped(&["system", "jsonrpc"]).config(config).start().await;
    let mut client = Client::connect(&server, "alice").await;
    for _ in 0..120 {
        let answer = client.request("jsonrpc", json!({})).await;
        assert_eq!(answer["payload"]["code"], "PLUGIN_DISABLED", "{answer}");
    }
    assert_eq!(client.request("ping", json!({})).await["type"], "pong");
}
