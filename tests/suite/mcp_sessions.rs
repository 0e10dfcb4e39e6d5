//! Sessions of MCP clients that begin with a handshake: whose they are, how they begin and end, and the one
//! stream of each for what belongs to no request.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Claims, HANDSHAKE, McpClient, Server, eventually, guest, initialize, rpc};

async fn probe_with(config: &str) -> Server {
    Server::builder().plugin("jsonrpc", guest("rpc-probe")).config(config).start().await
}

async fn probe() -> Server {
    probe_with("").await
}

#[tokio::test]
async fn a_handshake_makes_a_session_that_lasts_until_it_is_deleted() {
    let server = probe().await;
    let alice = McpClient::of(&server, "alice");
    let answer = alice.post(initialize()).await;
    let id = answer.headers["mcp-session-id"].to_str().expect("ASCII").to_owned();
    assert!(id.len() >= 32 && id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{id}");
    let session = alice.with("mcp-session-id", id.as_str());
    for version in [Some(HANDSHAKE), Some("2025-06-18"), Some("2025-03-26"), None] {
        let answer = session.with("mcp-protocol-version", version).post(rpc("m", json!({}))).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["result"]["method"]), (200, &json!("m")), "{version:?}");
    }
    let note = session.post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    assert_eq!((note.status.as_u16(), note.text.as_str()), (202, ""));
    let response = session.post(json!({ "jsonrpc": "2.0", "id": 9, "result": {} })).await;
    assert_eq!((response.status.as_u16(), response.text.as_str()), (202, ""));
    let unknown = session.with("mcp-protocol-version", "1999-01-01").post(rpc("m", json!({}))).await;
    assert_eq!(unknown.status, 400);
    let ended = session.send(Method::DELETE, String::new()).await;
    assert_eq!((ended.status.as_u16(), ended.text.as_str()), (204, ""));
    for method in [Method::POST, Method::GET, Method::DELETE] {
        assert_eq!(session.send(method, rpc("m", json!({})).to_string()).await.status, 404);
    }
}

#[tokio::test]
async fn without_a_session_nothing_but_the_handshake_is_answered() {
    let server = probe().await;
    let alice = McpClient::of(&server, "alice");
    for (method, body) in [
        (Method::POST, rpc("m", json!({}))),
        (Method::POST, json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })),
        (Method::GET, json!({})),
        (Method::DELETE, json!({})),
    ] {
        assert_eq!(alice.send(method.clone(), body.to_string()).await.status, 400, "{method} {body}");
    }
    let refused = alice.post(rpc("initialize", json!({ "refuse": true }))).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["code"]), (200, &json!(-32602)));
    assert!(!refused.headers.contains_key("mcp-session-id"), "{:?}", refused.headers);
    assert_eq!(server.metric("switchboard_mcp_sessions").await, 0.0);
}

#[tokio::test]
async fn a_session_is_its_users_and_nobody_elses() {
    let server = probe().await;
    let session = McpClient::of(&server, "alice").initialized().await;
    let as_user = |claims: Claims| session.with("authorization", format!("Bearer {}", claims.sign()).as_str());
    let same = as_user(Claims::of("alice").with("scope", "more").with("jti", "2"));
    let answer = same.post(rpc("m", json!({}))).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["result"]["scopes"]), (200, &json!(["more"])), "a newer token");
    for other in [Claims::of("bob"), Claims::of("alice").with("tenant", "acme")] {
        let other = as_user(other);
        for method in [Method::POST, Method::GET, Method::DELETE] {
            assert_eq!(other.send(method, rpc("m", json!({})).to_string()).await.status, 404);
        }
    }
    assert_eq!(same.post(rpc("m", json!({}))).await.status, 200, "nobody has ended it");
}

#[tokio::test]
async fn of_too_many_sessions_the_one_ends_that_was_not_used_for_the_longest_time() {
    let server = probe_with("[mcp]\nmax_sessions_per_user = 2").await;
    let alice = McpClient::of(&server, "alice");
    let (one, two) = (alice.initialized().await, alice.initialized().await);
    let bob = McpClient::of(&server, "bob").initialized().await;
    assert_eq!(one.post(rpc("m", json!({}))).await.status, 200);
    let three = alice.initialized().await;
    for (session, status) in [(&one, 200), (&two, 404), (&three, 200), (&bob, 200)] {
        assert_eq!(session.post(rpc("m", json!({}))).await.status.as_u16(), status);
    }
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends_and_one_with_a_stream_does_not() {
    let server = probe_with("[mcp]\nsession_idle = \"1s\"").await;
    let idle = McpClient::of(&server, "alice").initialized().await;
    let listening = McpClient::of(&server, "bob").initialized().await;
    let mut stream = listening.stream(Method::GET, String::new()).await;
    assert_eq!(stream.next().await.expect("a message")["method"], "welcome");
    eventually("the end of the idle one", async || {
        (server.metric("switchboard_mcp_sessions").await == 1.0).then_some(())
    })
    .await;
    assert_eq!(idle.post(rpc("m", json!({}))).await.status, 404);
    assert_eq!(listening.post(rpc("m", json!({}))).await.status, 200);
}

#[tokio::test]
async fn the_stream_of_a_session_carries_what_belongs_to_no_request_and_the_newest_has_it() {
    let server = probe().await;
    let session = McpClient::of(&server, "alice").initialized().await;
    let refused = session.with("accept", "application/json").send(Method::GET, String::new()).await;
    assert_eq!(refused.status, 406);
    let mut first = session.stream(Method::GET, String::new()).await;
    assert_eq!((first.response.status().as_u16(), first.header("content-type")), (200, "text/event-stream"));
    assert_eq!((first.header("cache-control"), first.header("x-accel-buffering")), ("no-store", "no"));
    assert_eq!(first.next().await.expect("a message")["method"], "welcome");
    let second = session.stream(Method::GET, String::new()).await;
    assert_eq!(first.next().await, None, "the newer one has taken over");
    let mut second = second;
    let mut answers = session.stream(Method::POST, rpc("notify", json!({ "count": 1 })).to_string()).await;
    assert_eq!(answers.next().await.expect("a message")["method"], "told");
    assert_eq!(answers.next().await.expect("a message")["result"]["told"], 1);
    let running = rpc("notify", json!({ "count": 1_000, "ms": 20 })).to_string();
    let mut running = session.stream(Method::POST, running).await;
    assert_eq!(running.next().await.expect("a message")["method"], "told");
    assert_eq!(session.send(Method::DELETE, String::new()).await.status, 204);
    assert_eq!(second.next().await, None, "what belongs to a request is on its own stream alone");
    let mut last = json!({});
    while let Some(message) = running.next().await {
        last = message;
    }
    assert_eq!((&last["id"], &last["error"]["code"]), (&json!(7), &json!(-32600)), "no answer will come: {last}");
}

#[tokio::test]
async fn a_stream_that_is_refused_takes_over_from_nobody() {
    let server = probe_with(
        "[limits]\nmax_connections_per_user = 1\non_user_limit = \"refuse\"\n[heartbeat]\ninterval = \"100ms\"",
    )
    .await;
    let session = McpClient::of(&server, "alice").initialized().await;
    let mut first = session.stream(Method::GET, String::new()).await;
    assert_eq!(first.next().await.expect("a message")["method"], "welcome");
    let refused = session.send(Method::GET, String::new()).await;
    assert!(refused.status.is_client_error(), "{refused:?}");
    for _ in 0..3 {
        assert!(first.comment().await.is_some(), "the older one goes on");
    }
}

#[tokio::test]
async fn a_client_that_offers_another_protocol_gets_the_stream_it_asks_for() {
    let server = probe().await;
    let session = McpClient::of(&server, "alice").initialized().await;
    // As clients do that would rather speak HTTP/2 (RFC 7540, section 3.2).
    let offering = session.with("connection", "Upgrade, HTTP2-Settings").with("upgrade", "h2c");
    let mut stream = offering.with("http2-settings", "AAMAAABkAAQAoAAA").stream(Method::GET, String::new()).await;
    assert_eq!((stream.response.status().as_u16(), stream.header("content-type")), (200, "text/event-stream"));
    assert_eq!(stream.next().await.expect("a message")["method"], "welcome");
}
