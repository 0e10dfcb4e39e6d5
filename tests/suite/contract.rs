//! The contract between host and plugins, seen from the client: what a plugin may leave out, what it
//! may not answer, and what the host does in its stead.

use serde_json::{Value, json};

use crate::harness::{Client, Server, eventually, guest};

#[tokio::test]
async fn two_exports_and_no_import_are_all_that_a_plugin_needs() {
    let server = Server::builder().plugin("minimal", guest("minimal")).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let answer = client.request("minimal", json!({ "kept": [1, { "as": "it is" }] })).await;
    assert_eq!(
        (&answer["type"], &answer["payload"]),
        (&json!("raw_answer"), &json!({ "kept": [1, { "as": "it is" }] }))
    );
}

#[tokio::test]
async fn an_answer_that_is_no_message_reaches_no_client() {
    let server = Server::builder().plugin("liar", guest("liar")).start().await;
    let mut client = Client::connect(&server, "alice").await;
    for how in ["reserved", "type", "payload"] {
        let error = client.request("lie", json!({ "how": how })).await;
        assert_eq!(
            (&error["type"], &error["payload"]["code"]),
            (&json!("error"), &json!("PLUGIN_ANSWER_INVALID")),
            "{error}"
        );
    }
    let refused = client.request("lie", json!({ "how": "code" })).await;
    let code = refused["payload"]["code"].as_str().expect("a code");
    assert!(code.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{refused}");
    assert_eq!(client.request("lie", json!({ "how": "not at all" })).await["type"], "lie_told");
}

/// The events of the run that a guest begins, up to the answer of a message that was sent after it.
async fn run_of(client: &mut Client, how: &str) -> Vec<Value> {
    client.send("abandon_run", json!({ "how": how })).await;
    let started = client.expect("abandon_started").await;
    let end = client.expect("agent_completed").await;
    assert_eq!(started["payload"]["run_id"], end["payload"]["run_id"]);
    assert_eq!((&started["payload"]["seq"], &end["payload"]["seq"]), (&json!(1), &json!(2)), "{how}: {end}");
    vec![started, end]
}

#[tokio::test]
async fn every_run_has_exactly_one_terminal_event_however_it_is_left() {
    let server = Server::builder()
        .system()
        .plugin("abandon", guest("abandon"))
        .config("[plugins.abandon.limits]\ncpu_time = \"300ms\"\ndeadline = \"2s\"")
        .start()
        .await;
    let mut client = Client::connect(&server, "alice").await;
    for (how, status) in
        [("return", "error"), ("refuse", "error"), ("trap", "error"), ("spin", "timeout"), ("twice", "success")]
    {
        let events = run_of(&mut client, how).await;
        assert_eq!(events[1]["payload"]["status"], status, "{how}: {}", events[1]);
    }
    client.request("ping", json!({})).await;
    assert!(client.unread_of("agent_completed").is_empty(), "one run had a second end");
}

#[tokio::test]
async fn a_guest_that_calls_the_host_for_ever_ends_at_its_deadline() {
    let server = Server::builder()
        .system()
        .plugin("waits", guest("waits"))
        .config("[plugins.waits.limits]\ncpu_time = \"400ms\"\ndeadline = \"1s\"")
        .start()
        .await;
    let mut client = Client::connect(&server, "alice").await;
    let id = client.send("wait_host", json!({})).await;
    assert_eq!(client.request("ping", json!({})).await["type"], "pong");
    assert_eq!(client.answer_to(&id).await["payload"]["code"], "PLUGIN_TIMEOUT");
}

#[tokio::test]
async fn connections_and_publications_are_told_to_whom_asked_for_them() {
    let server = Server::builder().system().plugin("lifecycle", guest("lifecycle")).start().await;
    let mut alice = Client::connect(&server, "alice").await;
    Client::connect(&server, "bob").await.close().await;
    alice.request("publish", json!({ "topic": "lobby.1", "type": "news" })).await;
    alice.request("publish", json!({ "topic": "elsewhere", "type": "news" })).await;
    eventually("the events to be seen", async || {
        let seen = alice.request("lifecycle_probe", json!({})).await["payload"].clone();
        (seen == json!({ "connects": 2, "disconnects": 1, "events": 1 })).then_some(())
    })
    .await;
}
