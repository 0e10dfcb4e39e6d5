//! Answers of `/mcp` that are streams: when they begin, what keeps them open, and every way in which they end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Claims, Http, McpClient, Server, ServerBuilder, eventually, guest, modern, rpc, unix_now, within_patience,
};

fn probe() -> ServerBuilder {
    Server::builder().plugin("jsonrpc", guest("rpc-probe"))
}

async fn streams_are(server: &Server, count: f64) {
    eventually("the number of streams", async || {
        (server.metric("switchboard_mcp_streams").await == count).then_some(())
    })
    .await;
}

async fn ended_as(server: &Server, reason: &str) {
    let series = format!("switchboard_mcp_stream_ends_total{{reason=\"{reason}\"}}");
    eventually(reason, async || (server.metric(&series).await >= 1.0).then_some(())).await;
}

fn open(name: &str) -> Value {
    json!({ "name": name, "for_ms": 0 })
}

#[tokio::test]
async fn messages_ahead_of_the_answer_make_a_stream_that_ends_with_it() {
    let server = probe().start().await;
    let alice = McpClient::of(&server, "alice");
    let mut events = alice.modern_stream("notify", json!({ "count": 3, "bytes": 10 })).await;
    assert_eq!((events.response.status().as_u16(), events.header("content-type")), (200, "text/event-stream"));
    assert_eq!((events.header("x-accel-buffering"), events.header("cache-control")), ("no", "no-store"));
    for n in 0..3 {
        assert_eq!(events.next().await.expect("a message")["params"]["n"], n);
    }
    let answer = events.next().await.expect("the answer");
    assert_eq!((&answer["id"], &answer["result"]["told"]), (&json!(7), &json!(3)));
    assert_eq!(events.next().await, None);
    streams_are(&server, 0.0).await;
    ended_as(&server, "answered").await;
}

#[tokio::test]
async fn an_answer_that_takes_long_comes_on_a_stream() {
    let server = probe()
        .setting("plugin_defaults.limits.deadline", "1m")
        .setting("plugin_defaults.limits.cpu_time", "1m")
        .start()
        .await;
    // Longer than the host waits for it, by as much as a busy machine may stand still.
    let mut events = McpClient::of(&server, "alice").modern_stream("wait", json!({ "ms": 8_000 })).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert_eq!(events.next().await.expect("the answer")["result"]["waited_ms"], 8_000);
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_by_comments() {
    let server = probe().setting("heartbeat.interval", "100ms").start().await;
    let mut events = McpClient::of(&server, "alice").modern_stream("open", open("a")).await;
    assert_eq!(events.next().await.expect("a message")["method"], "opened");
    for _ in 0..3 {
        assert_eq!(events.comment().await.as_deref(), Some(": keep-alive"));
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_a_modern_request_and_no_other() {
    let server = probe()
        .setting("plugin_defaults.limits.deadline", "10m")
        .setting("plugin_defaults.limits.cpu_time", "10m")
        .setting("heartbeat.interval", "100ms")
        .start()
        .await;
    let alice = McpClient::of(&server, "alice");
    let in_flight = "switchboard_plugin_calls_in_flight{plugin=\"jsonrpc\"}";
    let running = async |count: f64| {
        eventually("the number of calls", async || (server.metric(in_flight).await == count).then_some(())).await;
    };
    let stream = alice.modern_stream("wait", json!({ "ms": 600_000 })).await;
    running(1.0).await;
    drop(stream);
    running(0.0).await;
    ended_as(&server, "client_left").await;
    let session = alice.initialized().await;
    let answered = "switchboard_messages_total{plugin=\"jsonrpc\",outcome=\"answered\"}";
    assert_eq!(server.metric(answered).await, 1.0, "the handshake");
    let stream = session.stream(Method::POST, rpc("wait", json!({ "ms": 8_000 })).to_string()).await;
    running(1.0).await;
    drop(stream);
    streams_are(&server, 0.0).await;
    eventually("the end that it comes to by itself", async || (server.metric(answered).await == 2.0).then_some(()))
        .await;
    let stream = session.stream(Method::POST, rpc("wait", json!({ "ms": 600_000 })).to_string()).await;
    running(1.0).await;
    assert_eq!(session.send(Method::DELETE, String::new()).await.status, 204);
    drop(stream);
    running(0.0).await;
}

#[tokio::test]
async fn a_revoked_token_ends_its_requests_sessions_and_streams() {
    let server = probe().setting("heartbeat.interval", "100ms").start().await;
    let alice = McpClient::with_token(&server, &Claims::of("alice").with("iat", unix_now() - 60).sign());
    let bob = McpClient::of(&server, "bob");
    let session = alice.initialized().await;
    let mut listening = session.stream(Method::GET, String::new()).await;
    let mut open_one = alice.modern_stream("open", open("a")).await;
    let mut bobs = bob.modern_stream("open", open("a")).await;
    assert_eq!(open_one.next().await.expect("a message")["method"], "opened");
    assert_eq!(bobs.next().await.expect("a message")["method"], "opened");
    let body = json!({ "sub": "alice" });
    let revoked = Http::send(server.admin_request(Method::POST, "/revocations").json(&body)).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    assert_eq!(listening.next().await.filter(|message| message["method"] != "welcome"), None);
    while open_one.next().await.is_some() {}
    assert_eq!(session.post(rpc("m", json!({}))).await.status, 401);
    streams_are(&server, 1.0).await;
    assert!(bobs.comment().await.is_some());
}

#[tokio::test]
async fn a_token_that_ends_answers_what_is_left_open() {
    let server = probe().setting("auth.leeway", "0s").setting("auth.expiry_grace", "0s").start().await;
    let token = Claims::of("alice").with("exp", unix_now() + 2).sign();
    let alice = McpClient::with_token(&server, &token);
    let mut events = alice.modern_stream("open", open("a")).await;
    assert_eq!(events.next().await.expect("a message")["method"], "opened");
    assert_eq!(events.next().await.expect("the answer")["result"]["by"], "the host");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_host_that_leaves_answers_what_is_left_open_and_lets_calls_finish() {
    let mut server = probe()
        .setting("plugin_defaults.limits.deadline", "1m")
        .setting("plugin_defaults.limits.cpu_time", "1m")
        .start()
        .await;
    let alice = McpClient::of(&server, "alice");
    let mut left_open = alice.modern_stream("open", open("a")).await;
    assert_eq!(left_open.next().await.expect("a message")["method"], "opened");
    let session = alice.initialized().await;
    let mut listening = session.stream(Method::GET, String::new()).await;
    let mut running = alice.modern_stream("wait", json!({ "ms": 8_000 })).await;
    server.terminate();
    assert_eq!(left_open.next().await.expect("the answer")["result"]["by"], "the host");
    assert_eq!(left_open.next().await, None);
    while listening.next().await.is_some() {}
    assert_eq!(running.next().await.expect("the answer")["result"]["waited_ms"], 8_000);
    within_patience!("the end of the process", server.ended());
}

#[tokio::test]
async fn streams_of_sessions_count_as_connections_and_the_oldest_gives_way() {
    let server = probe().setting("limits.max_connections_per_user", "1").start().await;
    let alice = McpClient::of(&server, "alice");
    let mut first = alice.initialized().await.stream(Method::GET, String::new()).await;
    assert_eq!(first.next().await.expect("a message")["method"], "welcome");
    for _ in 0..5 {
        assert_eq!(alice.modern("m", json!({})).await.status, 200, "a quick request is no connection");
    }
    let mut second = alice.initialized().await.stream(Method::GET, String::new()).await;
    assert_eq!(second.next().await.expect("a message")["method"], "welcome");
    assert_eq!(first.next().await, None);
    ended_as(&server, "evicted").await;
}

#[tokio::test]
async fn many_quick_requests_go_through_one_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = probe().start().await;
    let authority = server.http("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut stream = tokio::net::TcpStream::connect(&authority).await.expect("the server listens");
    let body = modern("m", json!({})).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: m\r\n\
         Content-Length: {}\r\n\r\n",
        crate::harness::token("alice"),
        body.len()
    );
    for _ in 0..200 {
        stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
        let mut answer = String::new();
        while !answer.ends_with('}') {
            let mut part = [0; 4096];
            let length = within_patience!("an answer", stream.read(&mut part)).expect("an answer");
            assert_ne!(length, 0, "the connection ended");
            answer.push_str(std::str::from_utf8(&part[..length]).expect("ASCII"));
        }
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_its_request_with_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = probe()
        .setting("limits.max_outbound_bytes", "1MiB")
        .setting("plugin_defaults.limits.max_emissions", "1000000")
        .setting("plugin_defaults.limits.max_emitted_bytes", "1GiB")
        .setting("plugin_defaults.limits.deadline", "1m")
        .setting("plugin_defaults.limits.cpu_time", "1m")
        .start()
        .await;
    let authority = server.http("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut stream = tokio::net::TcpStream::connect(&authority).await.expect("the server listens");
    // More than the buffers of two machines hold, and never too much at once for a client that reads.
    let body = modern("notify", json!({ "count": 10_000, "bytes": 32_000, "ms": 2 })).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: notify\r\nContent-Length: {}\r\n\r\n",
        crate::harness::token("alice"),
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
    ended_as(&server, "slow").await;
    streams_are(&server, 0.0).await;
    let mut rest = Vec::new();
    // Up to the end, or to a reset.
    let _ = within_patience!("the end of the connection", stream.read_to_end(&mut rest));
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a stream that was cut does not end as if it were whole");
}

#[tokio::test]
async fn no_newer_stream_takes_the_place_of_a_request_that_is_answered() {
    let server = probe()
        .setting("limits.max_connections_per_user", "1")
        .setting("plugin_defaults.limits.max_emissions", "1000000")
        .start()
        .await;
    let alice = McpClient::of(&server, "alice");
    let mut first = alice.modern_stream("open", open("a")).await;
    assert_eq!(first.next().await.expect("a message")["method"], "opened");
    let mut second = alice.modern_stream("notify", json!({ "count": 3, "ms": 20 })).await;
    for _ in 0..3 {
        assert_eq!(second.next().await.expect("a message")["method"], "told");
    }
    assert_eq!(second.next().await.expect("the answer")["result"]["told"], 3);
    streams_are(&server, 1.0).await;
    drop(first);
    streams_are(&server, 0.0).await;
}

#[tokio::test]
async fn no_rate_of_an_address_takes_the_answer_from_a_request_that_was_handled() {
    let server =
        probe().setting("limits.handshakes_per_second", "1").setting("limits.handshake_burst", "1").start().await;
    let alice = McpClient::of(&server, "alice");
    for _ in 0..5 {
        let mut events = alice.modern_stream("notify", json!({ "count": 1 })).await;
        assert_eq!(events.response.status(), 200);
        assert_eq!(events.next().await.expect("a message")["method"], "told");
        assert_eq!(events.next().await.expect("the answer")["result"]["told"], 1);
    }
}

#[tokio::test]
async fn bodies_that_do_not_come_are_counted_as_their_users() {
    use tokio::io::AsyncWriteExt;

    let server = probe().start().await;
    let authority = server.http("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\n\r\n",
        crate::harness::token("alice"),
    );
    let say_nothing = async || {
        let mut stream = tokio::net::TcpStream::connect(&authority).await.expect("the server listens");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream
    };
    let mut silent = Vec::new();
    for _ in 0..256 {
        silent.push(say_nothing().await);
    }
    let alice = McpClient::of(&server, "alice");
    // Long before those who say nothing are given up. While one of them is still on its way, what asks here takes its
    // place, and it is refused: another comes for it.
    eventually("a refusal", async || {
        let refused = alice.modern("m", json!({})).await.status == 429;
        if !refused {
            silent.push(say_nothing().await);
        }
        refused.then_some(())
    })
    .await;
    assert_eq!(McpClient::of(&server, "bob").modern("m", json!({})).await.status, 200, "others are not meant");
    drop(silent);
    eventually("an answer", async || (alice.modern("m", json!({})).await.status == 200).then_some(())).await;
}
