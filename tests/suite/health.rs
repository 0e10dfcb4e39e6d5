//! What becomes of a version whose calls fail, and of a message that brings it down, while everything
//! else goes on.

use serde_json::{Value, json};

use crate::harness::{Client, Server, ServerBuilder, eventually, guest};

const CIRCUIT: &str = "switchboard_plugin_circuit{plugin=\"fragile\"";
const OPENINGS: &str = "switchboard_plugin_circuit_openings_total{plugin=\"fragile\"}";
const POISONED: &str = "switchboard_plugin_poisoned_messages_total{plugin=\"fragile\"}";

/// A server with the guest that does as it is told, and with these settings of its health.
fn fragile(health: &str) -> ServerBuilder {
    let config = format!("[plugins.fragile.health]\n{health}\n[plugins.fragile.limits]\ncpu_time = \"200ms\"");
    Server::builder().system().plugin("fragile", guest("fragile")).config(&config)
}

/// The code of the error, or the type of the answer.
fn word(answer: &Value) -> &str {
    answer["payload"]["code"].as_str().or(answer["type"].as_str()).expect("a code or a type")
}

async fn told(client: &mut Client, order: Value) -> Value {
    client.request("fragile", order).await
}

/// Crashes with messages of which no two are the same, taking turns.
async fn crash(clients: &mut [Client], times: usize) {
    for number in 0..times {
        let client = &mut clients[number % 2];
        let answer = told(client, json!({ "do": "crash", "note": format!("{number}") })).await;
        assert_eq!(word(&answer), "PLUGIN_CRASHED", "{answer}");
    }
}

async fn two_clients(server: &Server) -> Vec<Client> {
    vec![Client::connect(server, "alice").await, Client::connect(server, "bob").await]
}

#[tokio::test]
async fn a_version_that_fails_its_users_is_left_alone_and_says_until_when() {
    let server = fragile("failures_to_open = 4\nbackoff_min = \"1h\"\nbackoff_max = \"1h\"").start().await;
    assert_eq!(server.metric(CIRCUIT).await, 0.0);
    let mut clients = two_clients(&server).await;
    crash(&mut clients, 4).await;
    let refused = told(&mut clients[0], json!({ "do": "answer" })).await;
    assert_eq!(word(&refused), "PLUGIN_UNAVAILABLE", "{refused}");
    assert_eq!(refused["payload"]["recoverable"], true, "{refused}");
    let wait = refused["payload"]["retry_after_ms"].as_u64().expect("a wait");
    assert!((1_800_000..=3_960_000).contains(&wait), "an hour, give or take a tenth, is {wait} ms");
    let calls = "switchboard_plugin_calls_total{plugin=\"fragile\",outcome=\"crashed\"}";
    assert_eq!(server.metric(calls).await, 4.0, "what is refused is not called");
    assert_eq!((server.metric(CIRCUIT).await, server.metric(OPENINGS).await), (2.0, 1.0));
    server.logged(&["the circuit opened", "fragile", "1.0.0", "4 calls in a row failed", "the handler crashed"]).await;
    assert_eq!(clients[1].request("ping", json!({})).await["type"], "pong", "others notice nothing");
}

#[tokio::test]
async fn it_is_tried_with_one_call_at_a_time_until_one_succeeds() {
    let server = fragile("failures_to_open = 4\nbackoff_min = \"50ms\"\nbackoff_max = \"100ms\"").start().await;
    let mut clients = two_clients(&server).await;
    crash(&mut clients, 4).await;
    // Whichever of these is let in is the one that tries it, and fails.
    let mut number = 0;
    eventually("a trial to fail", async || {
        number += 1;
        told(&mut clients[0], json!({ "do": "crash", "note": format!("again {number}") })).await;
        (server.metric(OPENINGS).await >= 3.0).then_some(())
    })
    .await;
    server.logged(&["the circuit is half open", "fragile", "1.0.0"]).await;
    server.logged(&["the circuit opened", "the call that tried it failed"]).await;
    eventually("a trial to succeed", async || {
        let answer = told(&mut clients[1], json!({ "do": "answer" })).await;
        (word(&answer) == "fragile_result").then_some(())
    })
    .await;
    server.logged(&["the circuit closed", "fragile", "1.0.0"]).await;
    assert_eq!(server.metric(CIRCUIT).await, 0.0);
    for client in &mut clients {
        assert_eq!(word(&told(client, json!({ "do": "answer" })).await), "fragile_result");
    }
}

#[tokio::test]
async fn one_user_whose_messages_all_crash_takes_the_plugin_from_nobody_else() {
    let server = fragile("failures_to_open = 3\nbackoff_min = \"1h\"\nbackoff_max = \"1h\"").start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut mallory = Client::connect(&server, "mallory").await;
    assert_eq!(word(&told(&mut alice, json!({ "do": "answer" })).await), "fragile_result");
    for number in 0..10 {
        let answer = told(&mut mallory, json!({ "do": "crash", "note": format!("{number}") })).await;
        assert_eq!(word(&answer), "PLUGIN_CRASHED", "{answer}");
    }
    assert_eq!(word(&told(&mut alice, json!({ "do": "answer" })).await), "fragile_result");
    assert_eq!(server.metric(OPENINGS).await, 0.0);
}

#[tokio::test]
async fn a_message_that_brings_the_handler_down_twice_is_not_run_a_third_time() {
    let server = fragile("failures_to_open = 0").start().await;
    let mut mallory = Client::connect(&server, "mallory").await;
    for (deed, code) in [("crash", "PLUGIN_CRASHED"), ("spin", "PLUGIN_TIMEOUT")] {
        for _ in 0..2 {
            let answer = told(&mut mallory, json!({ "do": deed })).await;
            assert_eq!(word(&answer), code, "{answer}");
        }
        let answer = told(&mut mallory, json!({ "do": deed })).await;
        assert_eq!(word(&answer), "MESSAGE_POISONED", "{answer}");
        assert_eq!((&answer["payload"]["recoverable"], answer["payload"].get("retry_after_ms")), (&json!(false), None));
        assert!(answer["payload"]["help"].as_str().expect("help").contains("not tried again for"), "{answer}");
        let other = told(&mut mallory, json!({ "do": deed, "note": "another" })).await;
        assert_eq!(word(&other), code, "another message is another matter");
    }
    assert_eq!(word(&told(&mut mallory, json!({ "do": "answer" })).await), "fragile_result");
    assert_eq!(server.metric(POISONED).await, 2.0);
    server.logged(&["MESSAGE_POISONED for a while", "fragile", "1.0.0", "the handler crashed"]).await;
}

#[tokio::test]
async fn poison_of_one_user_is_that_users_and_poison_of_two_is_everybodys() {
    let server = fragile("failures_to_open = 0").start().await;
    let mut clients = two_clients(&server).await;
    let mut carol = Client::connect(&server, "carol").await;
    let own = json!({ "do": "crash", "for": "alice" });
    for code in ["PLUGIN_CRASHED", "PLUGIN_CRASHED", "MESSAGE_POISONED"] {
        assert_eq!(word(&told(&mut clients[0], own.clone()).await), code);
    }
    assert_eq!(word(&told(&mut carol, own).await), "fragile_result", "it is alice whom the guest cannot bear");
    let everybodys = json!({ "do": "crash" });
    for client in &mut clients {
        assert_eq!(word(&told(client, everybodys.clone()).await), "PLUGIN_CRASHED");
    }
    assert_eq!(word(&told(&mut carol, everybodys).await), "MESSAGE_POISONED");
}

#[tokio::test]
async fn when_its_time_is_over_a_poisonous_message_is_tried_again() {
    let server = fragile("failures_to_open = 0\npoison_time = \"1s\"").start().await;
    let mut mallory = Client::connect(&server, "mallory").await;
    for code in ["MESSAGE_POISONED", "PLUGIN_CRASHED"] {
        eventually(code, async || {
            let answer = told(&mut mallory, json!({ "do": "crash" })).await;
            (word(&answer) == code).then_some(())
        })
        .await;
    }
}

/// Calls the tool, and returns what the model reads.
async fn tool(client: &mut Client, arguments: Value) -> String {
    let params = json!({ "name": "break_something", "arguments": arguments });
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let answer = client.request("jsonrpc", request).await;
    let result = &answer["payload"]["result"];
    assert_eq!(result["isError"], true, "{answer}");
    result["content"][0]["text"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn calls_of_tools_are_recognised_and_refused_in_words_that_a_model_can_act_on() {
    let config = "failures_to_open = 4\nbackoff_min = \"1h\"\nbackoff_max = \"1h\"";
    let server = fragile(config).shipped(&["jsonrpc"]).start().await;
    let mut clients = two_clients(&server).await;
    for _ in 0..2 {
        let text = tool(&mut clients[0], json!({ "do": "crash" })).await;
        assert!(text.contains("crashed (") && text.contains("the same arguments"), "{text}");
    }
    let text = tool(&mut clients[0], json!({ "do": "crash" })).await;
    assert!(text.contains("was not run with them again; choose other arguments, or wait for"), "{text}");
    crash(&mut clients[..], 2).await;
    let text = tool(&mut clients[1], json!({ "do": "answer" })).await;
    assert!(text.contains("is left alone; try again after"), "{text}");
}
