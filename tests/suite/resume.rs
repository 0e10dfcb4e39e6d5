//! A session outlives its socket: what was missed comes back exactly, in order, and to one socket.

use serde_json::json;

use crate::harness::{
    Claims, Client, Options, Outcome, ResumingClient, Server, ServerBuilder, eventually, expect_news, guest, publish,
    resumed, subscribe, token, unix_now,
};

/// Everything of a run but its end.
const AGENT_PARTS: &[&str] =
    &["agent_started", "agent_thinking", "tool_executing", "tool_completed", "partial_result", "counted_part"];

fn with_counter() -> ServerBuilder {
    Server::builder().system().plugin("counter", guest("counter"))
}

#[tokio::test]
async fn who_is_away_is_shown_to_operators_and_who_is_back_no_longer() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    alice.request("ping", json!({})).await;
    alice.cut();
    let shown = async |count: f64| {
        eventually("the metric to follow", async || {
            (server.metric("switchboard_sessions_detached ").await == count).then_some(())
        })
        .await;
    };
    shown(1.0).await;
    assert!(server.metric("switchboard_sessions_detached_bytes ").await > 0.0);
    alice.come_back().await;
    shown(0.0).await;
    assert!(server.metric("switchboard_sessions_detached_bytes ").await < 1.0);
}

#[tokio::test]
async fn a_resume_after_a_cut_brings_exactly_what_was_missed() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    subscribe(&mut alice, "room").await;
    for n in 0..3 {
        publish(&mut bob, "room", n, 0).await;
    }
    expect_news(&mut alice, 0..3).await;
    let last = alice.send("ping", json!({})).await;
    alice.answer_to(&last).await;
    alice.cut();
    for n in 3..20 {
        publish(&mut bob, "room", n, 0).await;
    }
    let missed = alice.last_seq + 1;
    let outcome = alice.come_back().await;
    assert_eq!(outcome, Outcome::Resumed { from: missed, to: missed + 16, last_client_id: Some(last) });
    expect_news(&mut alice, 3..20).await;
    publish(&mut bob, "room", 20, 0).await;
    expect_news(&mut alice, 20..21).await;
    // Nothing was missed this time, and nothing is replayed.
    alice.cut();
    let next = alice.last_seq + 1;
    let outcome = alice.come_back().await;
    assert!(resumed(next, next - 1)(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_detached_session_goes_on_collecting_what_it_is_subscribed_to() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    for topic in ["room.1", "hall.*"] {
        subscribe(&mut alice, topic).await;
    }
    alice.cut();
    eventually("the cut to be noticed", async || {
        (server.metric("switchboard_connections ").await <= 1.0).then_some(())
    })
    .await;
    for (n, topic) in ["room.1", "hall.1", "elsewhere", "room.1", "hall.2"].into_iter().enumerate() {
        publish(&mut bob, topic, n as u64, 0).await;
    }
    let presence = bob.request("presence", json!({ "topic": "room.1" })).await;
    assert!(presence.to_string().contains("alice"), "a member is a session: {presence}");
    for n in [0, 1, 3, 4] {
        assert_eq!(alice.expect("news").await["payload"]["n"], n);
    }
}

#[tokio::test]
async fn seq_has_no_gaps_across_answers_emissions_publications_and_errors() {
    let server = with_counter().start().await;
    let options = Options { partial: AGENT_PARTS, label: "alice".into(), ..Options::default() };
    let mut alice = ResumingClient::connect(server.url(), &token("alice"), options).await;
    subscribe(&mut alice, "room").await;
    for round in 0..10 {
        alice.request("count", json!({ "key": "k", "parts": 3 })).await;
        alice.request("publish", json!({ "topic": "room", "type": "news", "payload": { "n": round } })).await;
        assert_eq!(alice.request("no_such_type", json!({})).await["type"], "error");
        assert_eq!(alice.request("subscribe", json!({ "topic": 7 })).await["type"], "error");
        alice.send_frame("ack", &json!({ "seq": 1_000_000 })).await;
        assert_eq!(alice.request("refresh_token", json!({ "token": token("alice") })).await["type"], "token_refreshed");
        if round == 5 {
            alice.cut();
        }
    }
    alice.request("ping", json!({})).await;
    // The client has checked each step; here, that there was something of everything.
    for name in ["counted_part", "counted", "news", "published", "error", "token_refreshed", "pong"] {
        assert!(alice.seen.iter().any(|frame| frame["type"] == name), "{name}");
    }
    assert!(alice.unnumbered.iter().all(|frame| frame["seq"].is_null()));
}

#[tokio::test]
async fn a_second_socket_takes_the_session_over_and_has_everything() {
    let server = Server::start().await;
    let mut first = ResumingClient::of(server.url(), "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    subscribe(&mut first, "room").await;
    let mut second = first.twin();
    for n in 0..5 {
        publish(&mut bob, "room", n, 0).await;
    }
    let outcome = second.come_back().await;
    assert!(resumed(2, 6)(&outcome), "{outcome:?}");
    assert_eq!(first.ended().await, Some(4103));
    publish(&mut bob, "room", 5, 0).await;
    expect_news(&mut second, 0..6).await;
}

#[tokio::test]
async fn a_resume_that_is_not_the_first_frame_is_an_error_and_harmless() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let mut other = ResumingClient::of(server.url(), "alice").await;
    alice.request("ping", json!({})).await;
    let held = other.held.clone().expect("a session");
    let resume = json!({
        "session_id": held.session_id, "resume_token": held.resume_token, "epoch": held.epoch, "last_seq": 0
    });
    alice.send_frame("resume", &resume).await;
    assert_eq!(alice.expect("error").await["payload"]["code"], "RESERVED_MESSAGE_TYPE");
    for client in [&mut alice, &mut other] {
        assert_eq!(client.request("ping", json!({})).await["type"], "pong");
    }
}

#[tokio::test]
async fn a_session_whose_token_expired_comes_back_with_a_new_one() {
    let auth = "keys = [\"env:TEST_SECRET\"]\nleeway = \"0s\"\nexpiry_notice = \"1s\"\nexpiry_grace = \"0s\"";
    let server = Server::builder()
        .system()
        .auth(auth)
        .environment("TEST_SECRET", std::str::from_utf8(crate::harness::SECRET).expect("ASCII"))
        .start()
        .await;
    let short = Claims::of("alice").with("exp", unix_now() + 3).sign();
    let mut alice = ResumingClient::connect(server.url(), &short, Options::default()).await;
    let mut bob = Client::connect(&server, "bob").await;
    subscribe(&mut alice, "room").await;
    assert_eq!(alice.ended().await, Some(4105));
    publish(&mut bob, "room", 0, 0).await;
    alice.token = token("alice");
    expect_news(&mut alice, 0..1).await;
    assert!(resumed(2, 2)(alice.outcomes.last().expect("an outcome")), "{:?}", alice.outcomes);
}

#[tokio::test]
async fn a_run_that_was_under_way_at_the_cut_finishes_and_its_events_come_in_order() {
    let server = Server::builder()
        .shipped(&["system", "agent"])
        .plugin("slow", guest("slow"))
        .config("[plugins.agent.limits]\ndeadline = \"60s\"\ncpu_time = \"60s\"\n[plugins.slow.limits]\ndeadline = \"60s\"\ncpu_time = \"60s\"")
        .start()
        .await;
    let options = Options { partial: AGENT_PARTS, label: "alice".into(), ..Options::default() };
    let mut alice = ResumingClient::connect(server.url(), &token("alice"), options).await;
    let run = alice.send("agent_request", json!({ "input": "wait_slowly 1500", "tools": ["wait_slowly"] })).await;
    alice.expect("tool_executing").await;
    alice.cut();
    eventually("the run to end without its client", async || {
        (server.metric("switchboard_plugin_calls_in_flight").await == 0.0).then_some(())
    })
    .await;
    let end = alice.answer_to(&run).await;
    assert_eq!((&end["type"], &end["payload"]["status"]), (&json!("agent_completed"), &json!("success")), "{end}");
    let events: Vec<_> = alice.seen.iter().filter(|frame| frame["correlation_id"] == run.as_str()).collect();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["payload"]["seq"], index + 1, "{event}");
    }
    assert_eq!(events.iter().filter(|event| event["type"] == "agent_completed").count(), 1);
}

#[tokio::test]
async fn bare_jsonrpc_sockets_have_neither_seq_nor_resume() {
    let server = Server::builder().shipped_plugins().start().await;
    let bearer = format!("Bearer {}", token("alice"));
    let headers = [("authorization", bearer.as_str()), ("sec-websocket-protocol", "mcp")];
    let mut client = Client::open_bare(crate::harness::request(server.url(), &headers)).await.expect("accepted");
    client.send_text(r#"{"type":"resume","payload":{}}"#).await;
    let error = client.next().await;
    assert!(error["error"].is_object() && error.get("seq").is_none(), "{error}");
    client.send_text(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    let answer = client.next().await;
    assert!(answer["result"].is_object() && answer.get("seq").is_none(), "{answer}");
}
