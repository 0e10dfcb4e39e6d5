//! A session that does not come back: each reason, told exactly, with a fresh session that works; and what
//! stays for its owner when somebody else tried.

use serde_json::json;

use crate::harness::{
    Claims, Client, Outcome, ResumingClient, Server, eventually, expect_news, expect_refusal, publish, resumed,
    subscribe, token,
};

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
    // Twice as much as may wait for a client that listens, and a window.
    for n in 0..16 {
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
async fn an_evicted_session_comes_back_and_one_whose_user_was_changed_does_not() {
    let server = Server::builder().system().setting("limits.max_connections_per_user", "1").start().await;
    // The socket that evicts may be the very one that is about to resume.
    let mut evicted = ResumingClient::of(server.url(), "alice").await;
    let newer = ResumingClient::of(server.url(), "alice").await;
    assert_eq!(evicted.ended().await, Some(4003));
    drop(newer);
    let outcome = evicted.twin().come_back().await;
    assert!(resumed(1, 0)(&outcome), "{outcome:?}");

    let mut changed = ResumingClient::of(server.url(), "bob").await;
    changed.send_frame("refresh_token", &json!({ "token": token("mallory") })).await;
    assert_eq!(changed.ended().await, Some(4004));
    expect_refusal(&mut changed.twin(), "unknown_session").await;
}
