//! Clients that resume early, late, too often, or into a frame that is larger than the bound.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{
    Client, Outcome, ResumingClient, Server, eventually, guest, publish, subscribe, token, within_patience,
};

fn resume(established: &Value) -> String {
    let [session_id, resume_token, epoch] = ["session_id", "resume_token", "epoch"].map(|name| &established[name]);
    let payload = json!({ "session_id": session_id, "resume_token": resume_token, "epoch": epoch, "last_seq": 0 });
    json!({ "type": "resume", "payload": payload }).to_string()
}

#[tokio::test]
async fn plugins_hear_of_the_end_of_a_fresh_session_whose_client_resumed_late() {
    let server = Server::builder().system().plugin("lifecycle", guest("lifecycle")).start().await;
    let mut watcher = Client::connect(&server, "watcher").await;
    let mut counts = async |connects: u64, disconnects: u64| {
        eventually("the events to be seen", async || {
            let seen = watcher.request("lifecycle_probe", json!({})).await["payload"].clone();
            (seen == json!({ "connects": connects, "disconnects": disconnects, "events": 0 })).then_some(())
        })
        .await;
    };
    let first = Client::connect(&server, "alice").await;
    let asked = resume(&first.established);
    drop(first);
    counts(2, 0).await;
    let mut late = Client::connect(&server, "alice").await;
    // It said nothing for so long that plugins heard of its fresh session.
    counts(3, 0).await;
    late.send_text(&asked).await;
    late.expect("resumed").await;
    counts(3, 1).await;
}

#[tokio::test]
async fn connection_established_comes_first_also_if_the_client_resumes_without_waiting_for_it() {
    let server = Server::start().await;
    let first = Client::connect(&server, "alice").await;
    let text = resume(&first.established);
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}\r\n\r\n",
        server.address(),
        token("alice")
    );
    // A text frame of 126 to 65,535 bytes, with a mask of zeros (RFC 6455, section 5.2).
    let length = u16::try_from(text.len()).expect("a short frame").to_be_bytes();
    let head = [&[0x81, 0x80 | 126][..], &length, &[0; 4]].concat();
    let mut socket = TcpStream::connect(server.address()).await.expect("the server listens");
    socket.write_all(&[upgrade.as_bytes(), &head, text.as_bytes()].concat()).await.expect("it is written");
    let (mut got, mut chunk) = (Vec::new(), [0; 4096]);
    let heard = loop {
        let count = within_patience!("the replay's end", socket.read(&mut chunk)).expect("it is open");
        got.extend_from_slice(&chunk[..count]);
        let heard = String::from_utf8_lossy(&got).into_owned();
        if count == 0 || heard.contains("replay_complete") {
            break heard;
        }
    };
    let place = |word: &str| heard.find(&format!("\"type\":\"{word}\""));
    assert!(place("connection_established").is_some_and(|at| Some(at) < place("resumed")), "{heard}");
}

#[tokio::test]
async fn a_publication_beyond_the_bound_does_not_keep_a_client_away_for_ever() {
    let server = Server::builder().system().setting("limits.max_outbound_bytes", "16KiB").start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    subscribe(&mut alice, "room").await;
    publish(&mut bob, "room", 0, 100_000).await;
    assert_eq!(alice.ended().await, Some(4204));
    let outcome = alice.come_back().await;
    if let Outcome::Resumed { .. } = outcome {
        alice.expect("news").await;
    } else {
        assert_eq!(outcome, Outcome::Failed { reason: "buffer_overflow".into() });
    }
}

#[tokio::test]
async fn resumes_that_come_too_late_count_like_other_messages() {
    let server = Server::builder().system().setting("limits.connection_message_burst", "10").start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let asked = resume(&alice.established);
    for _ in 0..200 {
        alice.send_text(&asked).await;
    }
    // The first is answered with `resume_failed`, each other with an error.
    let mut refused = 0;
    for _ in 1..200 {
        refused += u32::from(alice.expect("error").await["payload"]["code"] == "RATE_LIMITED");
    }
    assert!(refused > 0, "as many answers as the client likes to ask for");
}
