//! A session outlives its socket: what was missed comes back exactly, or the client is told why it cannot.

use serde_json::json;

use crate::harness::{
    Acks, Claims, Client, Options, Outcome, Proxy, ResumingClient, Server, ServerBuilder, eventually, guest, token,
    unix_now,
};

/// Everything of a run but its end.
const AGENT_PARTS: &[&str] =
    &["agent_started", "agent_thinking", "tool_executing", "tool_completed", "partial_result", "counted_part"];

fn with_counter() -> ServerBuilder {
    Server::builder().system().plugin("counter", guest("counter"))
}

fn resumed(from: u64, to: u64) -> impl Fn(&Outcome) -> bool {
    move |outcome| matches!(outcome, Outcome::Resumed { from: f, to: t, .. } if (*f, *t) == (from, to))
}

async fn subscribe(client: &mut ResumingClient, topic: &str) {
    let answer = client.request("subscribe", json!({ "topic": topic })).await;
    assert_eq!(answer["type"], "subscribed", "{answer}");
}

async fn publish(client: &mut Client, topic: &str, n: u64, bytes: usize) {
    let payload = json!({ "n": n, "filler": "x".repeat(bytes) });
    let answer = client.request("publish", json!({ "topic": topic, "type": "news", "payload": payload })).await;
    assert_eq!(answer["type"], "published", "{answer}");
}

async fn expect_news(client: &mut ResumingClient, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let news = client.expect("news").await;
        assert_eq!(news["payload"]["n"], n, "in order, without a gap: seq {}, offset {}", news["seq"], news["offset"]);
    }
}

/// The reason for which the session does not come back; and the fresh one works from its first `seq` on.
async fn expect_refusal(client: &mut ResumingClient, reason: &str) {
    let outcome = client.come_back().await;
    assert_eq!(outcome, Outcome::Failed { reason: reason.to_owned() });
    let pong = client.request("ping", json!({})).await;
    assert_eq!((&pong["type"], &pong["seq"]), (&json!("pong"), &json!(1)), "a fresh session: {pong}");
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
async fn an_unknown_session_is_refused_by_that_name() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    alice.cut();
    alice.held.as_mut().expect("a session").session_id = "sess_000000000000".into();
    expect_refusal(&mut alice, "unknown_session").await;
}

#[tokio::test]
async fn who_stays_away_longer_than_the_window_is_told() {
    let server = Server::builder().system().setting("sessions.resume_window", "1s").start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    alice.request("ping", json!({})).await;
    alice.cut();
    // What is tested is that time has passed.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    expect_refusal(&mut alice, "window_exceeded").await;
}

#[tokio::test]
async fn beyond_the_budget_of_all_detached_sessions_some_are_evicted_and_told() {
    let server = Server::builder().system().setting("sessions.max_detached_bytes", "1MiB").start().await;
    let mut bob = Client::connect(&server, "bob").await;
    let mut away = Vec::new();
    for number in 0..5 {
        let mut client = ResumingClient::of(server.url(), &format!("user-{number}")).await;
        subscribe(&mut client, &format!("room.{number}")).await;
        client.cut();
        away.push(client);
    }
    eventually("the cuts to be noticed", async || {
        (server.metric("switchboard_connections ").await <= 1.0).then_some(())
    })
    .await;
    for number in 0..5 {
        for n in 0..10 {
            publish(&mut bob, &format!("room.{number}"), n, 40_000).await;
        }
    }
    let mut told = 0;
    for client in &mut away {
        match client.come_back().await {
            Outcome::Failed { reason } => {
                assert_eq!(reason, "window_exceeded");
                told += 1;
            }
            _ => expect_news(client, 0..10).await,
        }
    }
    assert!((1..5).contains(&told), "of five with 400 kB each, {told} did not fit into 1 MiB");
}

#[tokio::test]
async fn more_than_a_detached_session_holds_is_an_overflow_and_told() {
    let server = Server::builder().system().setting("limits.max_outbound_bytes", "64KiB").start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    subscribe(&mut alice, "room").await;
    alice.cut();
    eventually("the cut to be noticed", async || {
        (server.metric("switchboard_connections ").await <= 1.0).then_some(())
    })
    .await;
    for n in 0..8 {
        publish(&mut bob, "room", n, 30_000).await;
    }
    expect_refusal(&mut alice, "buffer_overflow").await;
}

#[tokio::test]
async fn after_a_kill_the_epoch_is_another() {
    let mut server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    alice.request("ping", json!({})).await;
    server.kill();
    let _server = server.start_again().await;
    expect_refusal(&mut alice, "epoch_mismatch").await;
}

#[tokio::test]
async fn a_seq_that_was_never_sent_is_refused_and_the_session_stays() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    alice.request("ping", json!({})).await;
    alice.cut();
    let mut liar = alice.twin();
    liar.last_seq += 10;
    expect_refusal(&mut liar, "seq_ahead").await;
    let outcome = alice.come_back().await;
    assert!(matches!(outcome, Outcome::Resumed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn another_subject_or_tenant_cannot_resume_a_session_even_with_its_token() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    subscribe(&mut alice, "room").await;
    for stolen_with in [token("mallory"), Claims::of("alice").with("tenant", "other").sign()] {
        let mut thief = alice.twin();
        thief.token = stolen_with;
        expect_refusal(&mut thief, "identity_mismatch").await;
        assert!(thief.seen.iter().all(|frame| frame["type"] == "pong"), "{:?}", thief.seen);
    }
    assert_eq!(alice.request("ping", json!({})).await["type"], "pong", "its own socket is still there");
    alice.cut();
    let outcome = alice.come_back().await;
    assert!(matches!(outcome, Outcome::Resumed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_wrong_resume_token_is_refused_and_the_session_stays() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    alice.request("ping", json!({})).await;
    let mut guesser = alice.twin();
    guesser.held.as_mut().expect("a session").resume_token = "guessed".into();
    expect_refusal(&mut guesser, "token_invalid").await;
    assert_eq!(alice.request("ping", json!({})).await["type"], "pong");
}

#[tokio::test]
async fn the_resume_token_rotates_and_the_old_one_ends_when_the_new_one_has_arrived() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    alice.request("ping", json!({})).await;
    alice.cut();
    let mut late = alice.twin();
    alice.come_back().await;
    assert_ne!(
        alice.held.as_ref().expect("a session").resume_token,
        late.held.as_ref().expect("a session").resume_token
    );
    // An acknowledgement of what came after `resumed` proves that `resumed` came.
    for _ in 0..3 {
        alice.request("ping", json!({})).await;
        alice.ack().await;
    }
    alice.request("ping", json!({})).await;
    expect_refusal(&mut late, "token_invalid").await;
    assert_eq!(alice.request("ping", json!({})).await["type"], "pong", "nobody took the session over");
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
async fn a_malformed_resume_is_answered_and_the_fresh_session_goes_on() {
    let server = Server::start().await;
    for payload in [json!({}), json!({ "session_id": 7, "resume_token": "x", "epoch": "x", "last_seq": 0 })] {
        let mut alice = ResumingClient::of(server.url(), "alice").await;
        alice.send_frame("resume", &payload).await;
        assert_eq!(alice.expect("error").await["payload"]["code"], "PAYLOAD_INVALID");
        assert_eq!(alice.request("ping", json!({})).await["type"], "pong");
    }
}

#[tokio::test]
async fn acknowledgements_are_cumulative_and_never_go_backwards() {
    let server = Server::start().await;
    let options = Options { acks: Acks::Never, label: "alice".into(), ..Options::default() };
    let mut alice = ResumingClient::connect(server.url(), &token("alice"), options).await;
    for _ in 0..10 {
        alice.request("ping", json!({})).await;
    }
    for seq in [5, 8, 3, 8] {
        alice.send_frame("ack", &json!({ "seq": seq })).await;
    }
    alice.request("ping", json!({})).await;
    alice.cut();
    // What was acknowledged is gone: a client that says it has less cannot be served, and is told.
    let mut forgetful = alice.twin();
    forgetful.last_seq = 5;
    expect_refusal(&mut forgetful, "window_exceeded").await;
    let mut exact = alice.twin();
    exact.last_seq = 8;
    let outcome = exact.come_back().await;
    assert!(resumed(9, 11)(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn wrong_acknowledgements_are_errors_and_the_connection_goes_on() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    for (payload, code) in [
        (json!({ "seq": 1_000 }), "ACK_INVALID"),
        (json!({ "seq": u64::MAX }), "ACK_INVALID"),
        (json!({}), "PAYLOAD_INVALID"),
        (json!({ "seq": "1" }), "PAYLOAD_INVALID"),
        (json!({ "seq": -1 }), "PAYLOAD_INVALID"),
        (json!({ "seq": 1.5 }), "PAYLOAD_INVALID"),
    ] {
        alice.send_frame("ack", &payload).await;
        assert_eq!(alice.expect("error").await["payload"]["code"], code, "{payload}");
        assert_eq!(alice.request("ping", json!({})).await["type"], "pong");
    }
}

#[tokio::test]
async fn a_client_that_never_acknowledges_goes_on_for_ever() {
    let server = Server::builder().system().crowd().start().await;
    let options = Options { acks: Acks::Never, label: "alice".into(), ..Options::default() };
    let mut alice = ResumingClient::connect(server.url(), &token("alice"), options).await;
    for _ in 0..250 {
        for _ in 0..20 {
            alice.send("ping", json!({ "data": "some bytes that add up to more than any bound" })).await;
        }
        alice.settle().await;
    }
    assert!(alice.last_seq >= 5_000 && alice.ends.is_empty(), "{} messages, {:?}", alice.last_seq, alice.ends);
    alice.cut();
    let outcome = alice.come_back().await;
    assert!(matches!(outcome, Outcome::Resumed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_close_with_1000_or_1001_ends_the_session_and_one_with_a_code_of_its_own_does_not() {
    let server = Server::start().await;
    for (code, stays) in [(1000, false), (1001, false), (4321, true), (3000, true)] {
        let mut alice = ResumingClient::of(server.url(), "alice").await;
        alice.request("ping", json!({})).await;
        let mut twin = alice.twin();
        alice.close_with(code).await;
        if stays {
            let outcome = twin.come_back().await;
            assert!(matches!(outcome, Outcome::Resumed { .. }), "{code}: {outcome:?}");
        } else {
            expect_refusal(&mut twin, "unknown_session").await;
        }
    }
}

#[tokio::test]
async fn a_session_whose_user_was_evicted_or_changed_does_not_come_back() {
    let server = Server::builder().system().setting("limits.max_connections_per_user", "1").start().await;
    let mut evicted = ResumingClient::of(server.url(), "alice").await;
    let newer = ResumingClient::of(server.url(), "alice").await;
    assert_eq!(evicted.ended().await, Some(4003));
    drop(newer);
    expect_refusal(&mut evicted.twin(), "unknown_session").await;

    let mut changed = ResumingClient::of(server.url(), "bob").await;
    changed.send_frame("refresh_token", &json!({ "token": token("mallory") })).await;
    assert_eq!(changed.ended().await, Some(4004));
    expect_refusal(&mut changed.twin(), "unknown_session").await;
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
async fn a_client_that_stalls_is_closed_costs_only_its_own_bound_and_comes_back_to_everything() {
    let server = Server::start().await;
    let mut stalled = ResumingClient::of(server.url(), "sleeper").await;
    let mut reader = ResumingClient::of(server.url(), "alice").await;
    let mut publisher = Client::connect(&server, "bob").await;
    for client in [&mut stalled, &mut reader] {
        subscribe(client, "room").await;
    }
    let mut sent = 0;
    while server.metric("switchboard_closes_total{code=\"4204\"}").await < 1.0 {
        publish(&mut publisher, "room", sent, 30_000).await;
        // Whoever reads is served meanwhile.
        expect_news(&mut reader, sent..sent + 1).await;
        sent += 1;
        assert!(sent < 2_000, "nobody was closed after {sent} publications of 30 kB");
    }
    expect_news(&mut stalled, 0..sent).await;
    assert!(matches!(stalled.ends[..], [Some(4204) | None]), "{:?}", stalled.ends);
    assert!(reader.ends.is_empty(), "{:?}", reader.ends);
}

#[tokio::test]
async fn volatile_messages_give_way_to_newer_ones_when_the_client_does_not_read() {
    let server = with_counter().start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let id = alice.send("tick", json!({ "count": 900, "bytes": 2_000 })).await;
    eventually("ticks to be replaced", async || {
        (server.metric("switchboard_conflated_total").await >= 1.0).then_some(())
    })
    .await;
    alice.answer_to(&id).await;
    let ticks: Vec<u64> = alice
        .seen
        .iter()
        .filter(|frame| frame["type"] == "ticked")
        .filter_map(|frame| frame["payload"]["n"].as_u64())
        .collect();
    assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "in order: {ticks:?}");
    assert_eq!(ticks.last(), Some(&900), "the newest is never left out");
    assert!(ticks.len() < 900, "none was replaced");
}

#[tokio::test]
async fn a_half_open_socket_is_found_and_its_session_comes_back() {
    let server = Server::builder().system().config("[heartbeat]\ninterval = \"200ms\"\ngrace = \"1s\"").start().await;
    let proxy = Proxy::start(server.address()).await;
    let mut alice = ResumingClient::of(&proxy.url(), "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    subscribe(&mut alice, "room").await;
    proxy.silence_all();
    for n in 0..3 {
        publish(&mut bob, "room", n, 0).await;
    }
    eventually("the silence to be noticed", async || {
        // Reading answers pings, so that bob is not taken for lost, too.
        bob.request("ping", json!({})).await;
        (server.metric("switchboard_closes_total{code=\"4202\"}").await >= 1.0).then_some(())
    })
    .await;
    alice.cut();
    expect_news(&mut alice, 0..3).await;
    assert!(resumed(2, 4)(alice.outcomes.last().expect("an outcome")), "{:?}", alice.outcomes);
}

#[tokio::test]
async fn a_half_open_socket_that_was_not_found_yet_is_fenced_by_the_next() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address()).await;
    let mut alice = ResumingClient::of(&proxy.url(), "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    subscribe(&mut alice, "room").await;
    proxy.silence_all();
    for n in 0..3 {
        publish(&mut bob, "room", n, 0).await;
    }
    alice.cut();
    expect_news(&mut alice, 0..3).await;
    eventually("the first socket to be closed", async || {
        (server.metric("switchboard_closes_total{code=\"4103\"}").await >= 1.0).then_some(())
    })
    .await;
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
