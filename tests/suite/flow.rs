//! What flows between a session and its client: acknowledgements, and clients that do not read or
//! are no longer there.

use serde_json::json;

use crate::harness::{
    Acks, Client, Direction, Fate, Options, Outcome, Plan, Proxy, ResumingClient, Server, eventually, expect_news,
    expect_refusal, guest, publish, resumed, subscribe, token,
};

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
    let server = Server::builder().system().plugin("counter", guest("counter")).start().await;
    let options = Options { partial: &["ticked"], ..Options::default() };
    let mut alice = ResumingClient::connect(server.url(), &token("alice"), options).await;
    alice.send("tick", json!({ "count": 900, "bytes": 2_000 })).await;
    eventually("ticks to be replaced", async || {
        (server.metric("switchboard_conflated_total").await >= 1.0).then_some(())
    })
    .await;
    alice.expect("ticks_sent").await;
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
async fn a_client_behind_a_stalled_network_gets_everything_when_it_comes_back_by_another_way() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address()).await;
    proxy.plan(Some(Plan { direction: Direction::ToClient, after: 20_000, fate: Fate::Stall }));
    let mut alice = ResumingClient::of(&proxy.url(), "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    subscribe(&mut alice, "room").await;
    let mut sent = 0;
    while server.metric("switchboard_closes_total{code=\"4204\"}").await < 1.0 {
        publish(&mut bob, "room", sent, 30_000).await;
        sent += 1;
        assert!(sent < 2_000, "nobody was closed after {sent} publications of 30 kB");
    }
    alice.cut();
    alice.url = server.url().to_owned();
    expect_news(&mut alice, 0..sent).await;
}
