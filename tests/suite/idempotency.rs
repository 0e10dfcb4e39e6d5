//! An `id` is executed once for its user: a repeat gets the answer that there is, or will be.

use serde_json::{Value, json};

use crate::harness::{Claims, Client, Ids, Server, ServerBuilder, eventually, guest, request, token};

fn with_counter() -> ServerBuilder {
    Server::builder()
        .system()
        .plugin("counter", guest("counter"))
        .config("[plugins.counter.limits]\ndeadline = \"30s\"\ncpu_time = \"30s\"")
}

/// The text of a message, to be sent as often as the test wants.
fn count(id: &str, payload: &Value) -> String {
    json!({ "type": "count", "id": id, "payload": payload }).to_string()
}

/// Sends a text and waits for what ends it.
async fn ask(client: &mut Client, id: &str, text: &str) -> Value {
    client.send_text(text).await;
    client.find(id, |frame| frame["correlation_id"] == id && frame["type"] != "counted_part").await
}

/// How often a key was counted.
async fn counted(client: &mut Client, key: &str) -> Value {
    client.request("count_peek", json!({ "key": key })).await["payload"]["count"].clone()
}

#[tokio::test]
async fn a_repeat_is_answered_from_the_record_and_executed_once() {
    let server = with_counter().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "k", "parts": 2 }));
    let first = ask(&mut alice, &id, &text).await;
    assert_eq!((&first["type"], &first["payload"]["count"]), (&json!("counted"), &json!(1)), "{first}");
    for _ in 0..3 {
        let again = ask(&mut alice, &id, &text).await;
        assert_eq!((&again["type"], &again["payload"]), (&first["type"], &first["payload"]));
        assert!(again["seq"].as_u64() > first["seq"].as_u64(), "a message of its own: {again}");
    }
    assert_eq!(counted(&mut alice, "k").await, 1);
    assert_eq!(alice.unread_of("counted_part").len(), 2, "what came before the answer is not repeated");
}

#[tokio::test]
async fn a_repeat_after_the_replay_has_arrived_is_answered_again() {
    let server = with_counter().start().await;
    let mut before = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "k" }));
    let first = ask(&mut before, &id, &text).await;

    let mut alice = Client::connect(&server, "alice").await;
    let known = |field: &str| before.established[field].clone();
    let resume = json!({ "session_id": known("session_id"), "resume_token": known("resume_token"),
        "epoch": known("epoch"), "last_seq": 0 });
    alice.send("resume", resume).await;
    assert_eq!(alice.expect("counted").await["seq"], first["seq"], "the replay");
    alice.expect("replay_complete").await;
    alice.send("ack", json!({ "seq": first["seq"] })).await;
    let again = ask(&mut alice, &id, &text).await;
    assert_eq!(again["payload"], first["payload"]);
    assert!(again["seq"].as_u64() > first["seq"].as_u64(), "a message of its own: {again}");
}

#[tokio::test]
async fn a_repeat_from_another_session_of_the_user_is_one_too() {
    let server = with_counter().start().await;
    let mut laptop = Client::connect(&server, "alice").await;
    let mut phone = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "k" }));
    let first = ask(&mut laptop, &id, &text).await;
    laptop.close().await;
    let again = ask(&mut phone, &id, &text).await;
    assert_eq!(again["payload"], first["payload"]);
    assert_eq!(counted(&mut phone, "k").await, 1);
}

#[tokio::test]
async fn a_repeat_while_the_first_is_under_way_joins_it_and_both_are_answered() {
    let server = with_counter().start().await;
    let mut laptop = Client::connect(&server, "alice").await;
    let mut phone = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "slowly", "ms": 1_500 }));
    laptop.send_text(&text).await;
    server.logged(&["slow count begins", "slowly"]).await;
    let joined = ask(&mut phone, &id, &text).await;
    assert_eq!(laptop.answer_to(&id).await["payload"], joined["payload"], "one execution");
    assert_eq!(counted(&mut phone, "slowly").await, 1);
}

#[tokio::test]
async fn a_joined_repeat_from_the_same_session_is_answered_at_least_once() {
    let server = with_counter().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "slowly", "ms": 1_000 }));
    alice.send_text(&text).await;
    server.logged(&["slow count begins", "slowly"]).await;
    alice.send_text(&text).await;
    alice.answer_to(&id).await;
    assert_eq!(counted(&mut alice, "slowly").await, 1);
}

#[tokio::test]
async fn a_refusal_of_the_handler_is_an_answer_and_is_recorded() {
    let server = with_counter().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "k", "refuse": true }));
    for _ in 0..2 {
        let refused = ask(&mut alice, &id, &text).await;
        assert_eq!(refused["payload"]["code"], "COUNTED_AND_REFUSED", "{refused}");
    }
    assert_eq!(counted(&mut alice, "k").await, 1);
}

#[tokio::test]
async fn without_an_answer_the_last_message_to_the_caller_stands_for_it() {
    let server = with_counter().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "k", "parts": 3, "silent": true }));
    alice.send_text(&text).await;
    for part in 1..=3 {
        assert_eq!(alice.expect("counted_part").await["payload"]["part"], part);
    }
    // A repeat before the end of the call would join it, and has what its session got already.
    let silent = "switchboard_messages_total{plugin=\"counter\",outcome=\"silent\"}";
    eventually("the call to end", async || (server.metric(silent).await >= 1.0).then_some(())).await;
    alice.send_text(&text).await;
    assert_eq!(alice.expect("counted_part").await["payload"]["part"], 3);
    assert_eq!(counted(&mut alice, "k").await, 1);
    assert!(alice.unread_of("counted_part").is_empty(), "only the last is repeated");

    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "mute", "silent": true }));
    alice.send_text(&text).await;
    alice.send_text(&text).await;
    eventually("the mute call to be counted", async || (counted(&mut alice, "mute").await != 0).then_some(())).await;
    assert_eq!(counted(&mut alice, "mute").await, 1, "there is nothing to repeat, and nothing is executed again");
}

#[tokio::test]
async fn other_users_and_tenants_have_ids_of_their_own() {
    let server = with_counter().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let elsewhere = Claims::of("alice").with("tenant", "other").sign();
    let mut namesake = Client::with_token(&server, &elsewhere).await.expect("accepted");
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "k" }));
    let mut nonces = std::collections::BTreeSet::new();
    for client in [&mut alice, &mut bob, &mut namesake] {
        let answer = ask(client, &id, &text).await;
        assert_eq!(answer["payload"]["count"], 1, "{answer}");
        nonces.insert(answer["payload"]["nonce"].as_str().expect("a nonce").to_owned());
    }
    assert_eq!(nonces.len(), 3, "an answer was given to another user");
}

#[tokio::test]
async fn the_same_id_with_another_payload_or_type_is_another_message() {
    let server = with_counter().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    for key in ["one", "two"] {
        let answer = ask(&mut alice, &id, &count(&id, &json!({ "key": key }))).await;
        assert_eq!((&answer["payload"]["key"], &answer["payload"]["count"]), (&json!(key), &json!(1)), "{answer}");
    }
    let peek = json!({ "type": "count_peek", "id": id, "payload": { "key": "one" } }).to_string();
    let answer = ask(&mut alice, &id, &peek).await;
    assert_eq!(answer["type"], "count_seen", "{answer}");
}

#[tokio::test]
async fn messages_without_an_id_are_executed_each_time() {
    let server = with_counter().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    for n in 1..=3 {
        alice.send_text(&json!({ "type": "count", "payload": { "key": "k" } }).to_string()).await;
        assert_eq!(alice.expect("counted").await["payload"]["count"], n);
    }
}

#[tokio::test]
async fn what_no_handler_was_given_is_not_recorded() {
    let server = Server::builder().system().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "k" }));
    let refused = ask(&mut alice, &id, &text).await;
    assert_eq!(refused["payload"]["code"], "UNKNOWN_MESSAGE_TYPE", "{refused}");
    server.install("counter", &guest("counter"));
    server.plugin_status_when("counter", |status| status["state"] == "serving").await;
    let answer = ask(&mut alice, &id, &text).await;
    assert_eq!(answer["payload"]["count"], 1, "the same message, once somebody handles it: {answer}");
}

#[tokio::test]
async fn a_busy_plugin_refuses_and_takes_the_repeat() {
    let server = Server::builder()
        .system()
        .plugin("counter", guest("counter"))
        .config(
            "[plugins.counter.limits]\nmax_concurrent_calls = 1\nmax_wait = \"0s\"\ndeadline = \"30s\"\ncpu_time = \"30s\"",
        )
        .start()
        .await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let slow = bob.send("count", json!({ "key": "slowly", "ms": 2_000 })).await;
    server.logged(&["slow count begins", "slowly"]).await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "k" }));
    assert_eq!(ask(&mut alice, &id, &text).await["payload"]["code"], "PLUGIN_BUSY");
    bob.answer_to(&slow).await;
    let answer = eventually("the plugin to have time", async || {
        let answer = ask(&mut alice, &id, &text).await;
        (answer["type"] == "counted").then_some(answer)
    })
    .await;
    assert_eq!(answer["payload"]["count"], 1, "{answer}");
}

#[tokio::test]
async fn a_repeat_whose_answer_was_too_much_to_keep_is_told_so_and_not_executed() {
    let server = with_counter().setting("sessions.idempotency_bytes", "1MiB").start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = json!({ "type": "ping", "id": id, "payload": { "data": "x".repeat(100_000) } }).to_string();
    assert_eq!(ask(&mut alice, &id, &text).await["type"], "pong");
    for _ in 0..20 {
        alice.request("ping", json!({ "data": "y".repeat(100_000) })).await;
    }
    let again = ask(&mut alice, &id, &text).await;
    assert_eq!(again["payload"]["code"], "ANSWER_NOT_KEPT", "{again}");
}

#[tokio::test]
async fn after_the_window_an_id_is_new_again() {
    let server = with_counter().setting("sessions.idempotency_window", "1s").start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let id = Ids::default().next();
    let text = count(&id, &json!({ "key": "k" }));
    ask(&mut alice, &id, &text).await;
    eventually("the record to be forgotten", async || {
        (ask(&mut alice, &id, &text).await["payload"]["count"] == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn bare_jsonrpc_has_ids_of_another_kind() {
    let server = Server::builder().shipped_plugins().start().await;
    let bearer = format!("Bearer {}", token("alice"));
    let headers = [("authorization", bearer.as_str()), ("sec-websocket-protocol", "mcp")];
    let mut client = Client::open_bare(request(server.url(), &headers)).await.expect("accepted");
    for n in 1..=3 {
        client.send_text(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
        assert!(client.next().await["result"].is_object());
        let calls = server.metric("switchboard_plugin_calls_total{plugin=\"jsonrpc\"").await;
        assert!(calls >= f64::from(n), "{calls} calls after {n} requests with the same id");
    }
}

#[tokio::test]
async fn records_survive_a_graceful_restart() {
    let server = with_counter().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let ids: Vec<String> = (0..20).map(|_| Ids::default().next()).collect();
    let mut answers = Vec::new();
    for id in &ids {
        answers.push(ask(&mut alice, id, &count(id, &json!({ "key": "k" }))).await["payload"].clone());
    }
    let server = server.restart().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    for (id, answer) in ids.iter().zip(&answers) {
        let text = count(id, &json!({ "key": "k" }));
        assert_eq!(ask(&mut alice, id, &text).await["payload"], *answer, "as before the restart");
        assert_ne!(ask(&mut bob, id, &text).await["payload"]["nonce"], answer["nonce"], "of another user");
    }
}
