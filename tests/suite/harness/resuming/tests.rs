//! The checker, checked: a scripted server that keeps the protocol is believed, and one that breaks it
//! is found out.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::{accept_async, tungstenite::Message};

use super::{Outcome, ResumingClient};

/// What the server does on one connection.
enum Step {
    Send(Value),
    /// Waits for a frame of this type.
    Await(&'static str),
    /// Answers the request that was awaited last.
    Answer(u64),
}

fn established(session: &str) -> Step {
    let payload = json!({ "session_id": session, "resume_token": format!("token of {session}"), "epoch": "e" });
    Step::Send(json!({ "type": "connection_established", "payload": payload }))
}

fn news(seq: u64) -> Step {
    Step::Send(json!({ "type": "news", "payload": {}, "seq": seq }))
}

fn resumed(token: &str, from: u64, to: u64) -> Step {
    let payload = json!({ "session_id": "first", "resume_token": token, "replay_from": from, "replay_to": to });
    Step::Send(json!({ "type": "resumed", "payload": payload }))
}

fn complete(seq: u64) -> Step {
    Step::Send(json!({ "type": "replay_complete", "payload": { "seq": seq } }))
}

fn failed() -> Step {
    Step::Send(json!({ "type": "resume_failed", "payload": { "reason": "window_exceeded", "help": "" } }))
}

/// Plays one script after the other, each on a connection that is cut at its end; the last stays open.
async fn scripted(scripts: Vec<Vec<Step>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/ws", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let last = scripts.len() - 1;
        for (number, script) in scripts.into_iter().enumerate() {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut socket = accept_async(stream).await.expect("a handshake");
            let mut asked = Value::Null;
            for step in script {
                let frame = match step {
                    Step::Send(frame) => frame,
                    Step::Answer(seq) => json!({ "type": "pong", "correlation_id": asked, "payload": {}, "seq": seq }),
                    Step::Await(wanted) => {
                        while let Some(Ok(message)) = socket.next().await {
                            let frame: Value =
                                serde_json::from_str(message.to_text().unwrap_or("")).unwrap_or(Value::Null);
                            if frame["type"] == wanted {
                                asked = frame["id"].clone();
                                break;
                            }
                        }
                        continue;
                    }
                };
                let _ = socket.send(Message::text(frame.to_string())).await;
            }
            if number == last {
                while let Some(Ok(_)) = socket.next().await {}
            }
        }
    });
    url
}

/// How a client fares that reads as many messages.
async fn read(count: usize, scripts: Vec<Vec<Step>>) -> Result<(Vec<u64>, Vec<Outcome>), String> {
    let url = scripted(scripts).await;
    let reading = tokio::spawn(async move {
        let mut client = ResumingClient::of(&url, "alice").await;
        client.send("ping", json!({})).await;
        while client.seen.len() < count {
            client.find("a message", |_| true).await;
        }
        (client.seen.iter().filter_map(|frame| frame["seq"].as_u64()).collect(), client.outcomes)
    });
    reading.await.map_err(|fault| *fault.into_panic().downcast::<String>().expect("a text"))
}

#[tokio::test]
async fn a_server_that_keeps_the_protocol_is_believed() {
    let first = || vec![established("first"), news(1), news(2)];
    let second = || {
        // The message before the answer is of the fresh session.
        let replay = vec![established("second"), news(1), Step::Await("resume"), resumed("new", 3, 4)];
        replay
            .into_iter()
            .chain([news(3), news(4), complete(4), Step::Await("ping"), Step::Answer(5), news(6)])
            .collect()
    };
    let (seen, outcomes) = read(6, vec![first(), second()]).await.expect("nothing is wrong");
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    assert!(matches!(outcomes[..], [Outcome::Fresh, Outcome::Resumed { from: 3, to: 4, .. }]), "{outcomes:?}");

    let refused = vec![established("second"), news(1), Step::Await("resume"), failed(), news(2)];
    let (seen, outcomes) = read(4, vec![first(), refused]).await.expect("nothing is wrong");
    assert_eq!(seen, [1, 2, 1, 2], "the fresh session from its first message on");
    assert_eq!(outcomes[1], Outcome::Failed { reason: "window_exceeded".into() });

    // A cut during the replay: what came of it is not asked for again.
    let cut = vec![established("second"), Step::Await("resume"), resumed("new", 3, 4), news(3)];
    let third = vec![established("third"), Step::Await("resume"), resumed("newer", 4, 4), news(4), complete(4)];
    let (seen, _) = read(4, vec![first(), cut, third]).await.expect("nothing is wrong");
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[tokio::test]
async fn every_breach_of_the_protocol_is_found() {
    let resume = || vec![established("second"), Step::Await("resume")];
    let with = |steps: Vec<Step>| resume().into_iter().chain(steps).collect::<Vec<_>>();
    let first = || vec![established("first"), news(1), news(2)];
    for (what, words, scripts) in [
        ("a gap", "expected seq 2, and got 3", vec![vec![established("first"), news(1), news(3)]]),
        ("a repetition", "expected seq 2, and got 1", vec![vec![established("first"), news(1), news(1)]]),
        (
            "no seq",
            "should have a `seq`",
            vec![vec![established("first"), Step::Send(json!({ "type": "news", "payload": {} }))]],
        ),
        ("a replay from elsewhere", "does not fit", vec![first(), with(vec![resumed("new", 2, 4)])]),
        ("the old token", "does not fit", vec![first(), with(vec![resumed("token of first", 3, 4)])]),
        ("a short replay", "was to end at 4", vec![first(), with(vec![resumed("new", 3, 4), news(3), complete(4)])]),
        (
            "live messages within the replay",
            "before replay_complete",
            vec![first(), with(vec![resumed("new", 3, 3), news(3), news(4)])],
        ),
        (
            "two answers to one request",
            "answered 2 times",
            vec![vec![established("first"), Step::Await("ping"), Step::Answer(1), Step::Answer(2)]],
        ),
    ] {
        let fault = read(9, scripts).await.expect_err(what);
        assert!(fault.contains(words), "{what}: {fault}");
    }
}
