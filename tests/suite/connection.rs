//! A connection from its first frame to its last: what is established, the heartbeat, the token's
//! life, the stop of the server.

use futures_util::SinkExt;
use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Claims, Client, Http, Server, eventually, http_request, request, token, unix_now};

#[tokio::test]
async fn the_first_frame_says_who_the_client_is_and_what_it_may_send() {
    let server = Server::start().await;
    let client = Client::connect(&server, "alice").await;
    let established = &client.established;
    let id = established["connection_id"].as_str().expect("an id");
    let digits = id.strip_prefix("ws_").expect("the prefix");
    assert!(digits.len() >= 12 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert_eq!(established["user_id"], "alice");
    assert_eq!(established["protocol_version"], switchboard_protocol::PROTOCOL_VERSION);
    assert_eq!(established["limits"]["max_message_bytes"], 262_144);
    for field in ["session_id", "epoch"] {
        assert!(established[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {established}");
    }
    let heartbeat = established["heartbeat_interval_ms"].as_u64().expect("a number");
    assert!((25_000..=30_000).contains(&heartbeat));
    let _: switchboard_protocol::ConnectionEstablished =
        serde_json::from_value(established.clone()).expect("it is what the protocol crate describes");
}

#[tokio::test]
async fn one_connection_id_runs_from_the_upgrade_to_the_last_log_line() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    let id = client.connection_id().to_owned();
    assert_eq!(client.response.headers()["x-connection-id"], id.as_str());
    let who = client.request("system", json!({ "action": "whoami" })).await;
    assert!(who.to_string().contains(&id), "the plugin sees the same id: {who}");
    client.close().await;
    server.logged(&[&id, "clos"]).await;
}

#[tokio::test]
async fn an_idle_connection_hears_a_heartbeat_and_a_silent_one_is_closed() {
    let server = Server::builder().config("[heartbeat]\ninterval = \"200ms\"\ngrace = \"2s\"").start().await;
    let mut client = Client::connect(&server, "alice").await;
    // As long as the client reads, its WebSocket answers pings: it lives for several periods of grace.
    for _ in 0..30 {
        let heartbeat = client.expect("heartbeat").await;
        assert!(heartbeat["payload"]["server_time"].as_f64().is_some(), "{heartbeat}");
    }
    // A client that does not read answers nothing. The close is found when it reads again.
    let mut silent = Client::connect(&server, "bob").await;
    let given_up = eventually("the silent connection to be given up", async || {
        (server.metric("switchboard_closes_total{code=\"4202\"}").await >= 1.0).then_some(())
    });
    tokio::pin!(given_up);
    loop {
        tokio::select! {
            () = &mut given_up => break,
            heartbeat = client.expect("heartbeat") => assert_eq!(heartbeat["type"], "heartbeat"),
        }
    }
    assert!(matches!(silent.closed().await, Some(4202) | None));
    assert_eq!(client.expect("heartbeat").await["type"], "heartbeat", "the other is still there");
}

#[tokio::test]
async fn a_server_that_stood_still_takes_nobody_for_lost() {
    let server = Server::builder().config("[heartbeat]\ninterval = \"200ms\"\ngrace = \"2s\"").start().await;
    let mut client = Client::connect(&server, "alice").await;
    client.expect("heartbeat").await;
    let listening = async {
        for _ in 0..20 {
            client.expect("heartbeat").await;
        }
    };
    tokio::join!(server.stand_still(std::time::Duration::from_secs(3)), listening);
    assert_eq!(server.metric("switchboard_closes_total{code=\"4202\"}").await, 0.0);
}

#[tokio::test]
async fn the_token_is_renewed_during_the_connection() {
    let auth = "keys = [\"env:TEST_SECRET\"]\nleeway = \"0s\"\nexpiry_notice = \"30s\"\nexpiry_grace = \"1s\"";
    let server = Server::builder()
        .system()
        .auth(auth)
        .environment("TEST_SECRET", std::str::from_utf8(crate::harness::SECRET).expect("ASCII"))
        .start()
        .await;
    let short = Claims::of("alice").with("exp", unix_now() + 6).sign();
    let mut client = Client::with_token(&server, &short).await.expect("accepted");
    let mut left = Client::with_token(&server, &short).await.expect("accepted");
    assert!(client.expect("token_expiring").await["payload"]["expires_at"].as_f64().is_some());

    let wrong = client.request("refresh_token", json!({ "token": "nonsense" })).await;
    assert_eq!((&wrong["type"], &wrong["payload"]["code"]), (&json!("error"), &json!("JWT_FORMAT_INVALID")));
    let refreshed = client.request("refresh_token", json!({ "token": token("alice") })).await;
    assert_eq!(refreshed["type"], "token_refreshed", "{refreshed}");

    assert_eq!(left.closed().await, Some(4105), "who does not renew is closed");
    assert_eq!(client.request("ping", json!({})).await["type"], "pong", "who renewed stays");

    client.send("refresh_token", json!({ "token": token("mallory") })).await;
    assert_eq!(client.closed().await, Some(4004), "the subject never changes");
}

#[tokio::test]
async fn discovery_health_and_errors_of_http_are_json() {
    let server = Server::start().await;
    let discovery = Http::get(&server.http("/ws/config")).await;
    let document: switchboard_protocol::Discovery = serde_json::from_str(&discovery.text).expect("the document");
    let ping = document.message_types.iter().find(|handled| handled.name == "ping").expect("ping is handled");
    assert_eq!(ping.plugin, "system");
    assert!(!ping.plugin_version.is_empty());
    let subscribe = document.message_types.iter().find(|handled| handled.name == "subscribe").expect("handled");
    assert!(subscribe.schema.as_ref().is_some_and(|schema| schema["properties"]["topic"].is_object()));
    assert!(document.subprotocols.iter().any(|name| name == "mcp"));
    assert_eq!(document.endpoints.websocket, "/ws");

    for url in [server.http("/healthz"), server.http("/readyz"), server.admin("/healthz"), server.admin("/readyz")] {
        assert_eq!(Http::get(&url).await.status, 200, "{url}");
    }
    let missing = Http::get(&server.http("/nothing")).await;
    assert_eq!((missing.status.as_u16(), missing.json()["code"].clone()), (404, json!("NOT_FOUND")));
    let method = Http::request(reqwest::Method::PUT, &server.http("/ws/ticket")).await;
    assert_eq!((method.status.as_u16(), method.json()["code"].clone()), (405, json!("METHOD_NOT_ALLOWED")));
    assert!(method.headers["allow"].to_str().expect("ASCII").contains("POST"));
    let plain = Http::send(http_request(Method::GET, &server.http("/ws")).bearer_auth(token("alice"))).await;
    assert_eq!((plain.status.as_u16(), plain.json()["code"].clone()), (426, json!("UPGRADE_REQUIRED")));
}

#[tokio::test]
async fn sigterm_lets_handlers_finish_asks_clients_back_and_closes_with_1012() {
    let mut server = Server::builder()
        .system()
        .plugin("slow", crate::harness::guest("slow"))
        .config("[server]\ndrain_timeout = \"20s\"\nreconnect_window = \"3s\"\n[plugins.slow.limits]\ndeadline = \"20s\"\ncpu_time = \"20s\"")
        .start()
        .await;
    let mut busy = Client::connect(&server, "alice").await;
    let mut idle = Client::connect(&server, "bob").await;
    let id = busy.send("slow", json!({ "ms": 1500 })).await;
    // The ping is answered after the slow message was taken up: types do not wait for one another.
    busy.request("ping", json!({})).await;
    server.terminate();
    let reconnect = idle.expect("reconnect").await;
    assert!(reconnect["payload"]["delay_ms"].as_u64().is_some_and(|delay| delay <= 3000), "{reconnect}");
    assert!(busy.answer_to(&id).await["type"] != "error", "the handler finished");
    assert_eq!(busy.closed().await, Some(1012));
    assert_eq!(idle.closed().await, Some(1012));
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn while_it_drains_newcomers_are_told_to_come_back() {
    let server = Server::builder()
        .plugin("slow", crate::harness::guest("slow"))
        .config("[plugins.slow.limits]\ndeadline = \"30s\"\ncpu_time = \"30s\"")
        .start()
        .await;
    let mut busy = Client::connect(&server, "alice").await;
    busy.send("slow", json!({ "ms": 4000 })).await;
    server.logged(&[busy.connection_id(), "slow"]).await;
    server.terminate();
    busy.expect("reconnect").await;
    let bearer = format!("Bearer {}", token("bob"));
    let refusal = Client::open(request(server.url(), &[("authorization", &bearer)])).await.err().expect("refused");
    assert_eq!((refusal.status, refusal.code()), (503, "SERVER_DRAINING"));
    assert!(refusal.response.header("retry-after").is_some());
    assert_eq!(Http::get(&server.http("/readyz")).await.status, 503);
    assert_eq!(Http::get(&server.http("/healthz")).await.status, 200);
}

#[tokio::test]
async fn a_drain_asks_clients_back_at_different_moments_and_finishes_what_was_begun() {
    const CLIENTS: usize = 40;
    const WINDOW_MS: u64 = 4_000;
    let mut server = Server::builder()
        .system()
        .plugin("counter", crate::harness::guest("counter"))
        .config("[server]\ndrain_timeout = \"20s\"\nreconnect_window = \"4s\"\n[plugins.counter.limits]\ndeadline = \"20s\"\ncpu_time = \"20s\"\nmax_concurrent_calls = 64")
        .start()
        .await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(Client::connect(&server, &format!("user-{number}")).await);
    }
    // Every tenth has a handler under way, which holds the drain open.
    let mut begun = Vec::new();
    for (number, client) in clients.iter_mut().enumerate().step_by(10) {
        let key = format!("under-way-{number}");
        begun.push((number, client.send("count", json!({ "key": key, "ms": 1_500, "parts": 1 })).await));
        server.logged(&["slow count begins", &key]).await;
    }
    server.terminate();
    let mut delays = std::collections::BTreeSet::new();
    for client in &mut clients {
        let reconnect = client.expect("reconnect").await;
        assert!(reconnect.get("seq").is_none(), "it belongs to the connection: {reconnect}");
        let delay = reconnect["payload"]["delay_ms"].as_u64().expect("a number");
        assert!(delay <= WINDOW_MS, "{reconnect}");
        delays.insert(delay);
    }
    assert!(delays.len() > CLIENTS / 2, "spread over the window: {delays:?}");
    let (first, last) = (delays.first().expect("some"), delays.last().expect("some"));
    assert!(last - first > WINDOW_MS / 3, "spread over the window: {delays:?}");
    for (number, id) in begun {
        let answer = clients[number].find("the end of what was begun", |frame| {
            frame["correlation_id"] == id.as_str() && frame["type"] == "counted"
        });
        assert_eq!(answer.await["payload"]["count"], 1);
    }
    for client in &mut clients {
        assert_eq!(client.closed().await, Some(1012));
    }
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_costs_only_its_own_bound() {
    let server = Server::builder().system().config("[limits]\nmax_outbound_bytes = \"64KiB\"").start().await;
    let mut slow = Client::connect(&server, "sleeper").await;
    let mut publisher = Client::connect(&server, "alice").await;
    let mut reader = Client::connect(&server, "bob").await;
    for client in [&mut slow, &mut reader] {
        let answer = client.request("subscribe", json!({ "topic": "news" })).await;
        assert_ne!(answer["type"], "error", "{answer}");
    }
    let filler = "x".repeat(30_000);
    let mut sent = 0;
    while server.metric("switchboard_closes_total{code=\"4204\"}").await < 1.0 {
        let answer = publisher
            .request("publish", json!({ "topic": "news", "type": "news", "payload": { "filler": filler, "n": sent } }))
            .await;
        assert_ne!(answer["type"], "error", "{answer}");
        // Whoever reads gets everything, in order.
        let news = reader.expect("news").await;
        assert_eq!(news["payload"]["n"], sent);
        sent += 1;
        assert!(sent < 5000, "nobody was closed after {sent} publications of 30 kB");
    }
    assert!(matches!(slow.closed().await, Some(4204) | None));
}

#[tokio::test]
async fn pings_of_the_websocket_protocol_are_answered() {
    use futures_util::StreamExt;
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    client.socket().send(Message::Ping("hello".into())).await.expect("sent");
    let pong = crate::harness::within_patience!("a pong", async {
        loop {
            if let Some(Ok(Message::Pong(bytes))) = client.socket().next().await {
                return bytes;
            }
        }
    });
    assert_eq!(&pong[..], b"hello");
}

#[tokio::test]
async fn a_client_that_reads_is_never_taken_for_a_slow_one() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    // More than `max_outbound_bytes` in all, asked for at once, and answered as fast as it is asked.
    let data = "x".repeat(200_000);
    for _ in 0..5 {
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(client.send("ping", json!({ "data": data })).await);
        }
        for id in ids {
            assert_eq!(client.answer_to(&id).await["type"], "pong");
        }
    }
}

#[tokio::test]
async fn an_answer_that_no_outbox_can_hold_is_an_error_and_not_a_close() {
    let server = Server::builder().system().config("[limits]\nmax_outbound_bytes = \"4KiB\"").start().await;
    let mut client = Client::connect(&server, "alice").await;
    let answer = client.request("ping", json!({ "data": "x".repeat(5_000) })).await;
    assert_eq!(answer["payload"]["code"], "PLUGIN_ANSWER_INVALID", "{answer}");
    assert!(answer["payload"]["error"].as_str().expect("a text").contains("max_outbound_bytes"), "{answer}");
    assert_eq!(client.request("ping", json!({})).await["type"], "pong");
}
