//! What a plugin does to itself stays with itself: a clean start for each message, and the right error
//! for whoever called a plugin that misbehaves, while everybody else notices nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Claims, Client, Server, ServerBuilder, guest};

#[tokio::test]
async fn globals_start_clean_for_each_message_and_each_user() {
    let server = Server::builder().plugin("globals", guest("globals")).start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let first = alice.request("globals_probe", json!({ "secret": "of alice" })).await;
    assert_eq!(first["type"], "globals_probe_result", "{first}");
    for client in [&mut alice, &mut bob] {
        for _ in 0..5 {
            let found = client.request("globals_probe", json!({ "secret": "x" })).await;
            assert_eq!(found["payload"], first["payload"], "something was left over");
        }
    }
    assert!(!first.to_string().contains("of alice"), "{first}");
}

fn hostile() -> ServerBuilder {
    let mut builder = Server::builder().system();
    for name in ["spin", "alloc", "trap", "flood"] {
        builder = builder.plugin(name, guest(name));
    }
    builder.config("[plugins.spin.limits]\ncpu_time = \"300ms\"\ndeadline = \"1s\"\n[plugins.alloc.limits]\nmax_memory_bytes = \"8MiB\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_spins_allocates_or_traps_fails_alone() {
    let server = hostile().start().await;
    let mut bystanders = Vec::new();
    for number in 0..100 {
        bystanders.push(Client::connect(&server, &format!("bystander-{number}")).await);
    }
    let mut caller = Client::connect(&server, "mallory").await;
    for (message_type, code, mentions) in [
        ("spin", "PLUGIN_TIMEOUT", "ms"),
        ("alloc_forever", "PLUGIN_OUT_OF_MEMORY", "8388608"),
        ("trap_now", "PLUGIN_CRASHED", "crashed"),
    ] {
        let id = caller.send(message_type, json!({})).await;
        let asked = Instant::now();
        for bystander in &mut bystanders {
            assert_eq!(bystander.request("ping", json!({})).await["type"], "pong");
        }
        let error = caller.answer_to(&id).await;
        assert_eq!((&error["type"], &error["payload"]["code"]), (&json!("error"), &json!(code)), "{error}");
        assert!(error["payload"]["error"].as_str().expect("a text").contains(mentions), "{error}");
        assert!(
            !error.to_string().contains("wasm-function") && !error.to_string().contains(".rs:"),
            "no backtrace reaches a client: {error}"
        );
        // Generous, since the machine may be busy; without the limits it would never end.
        assert!(asked.elapsed() < crate::harness::PATIENCE / 2, "{message_type} took {:?}", asked.elapsed());
        server.logged(&["WARN", message_type.split('_').next().expect("a word"), caller.connection_id()]).await;
        assert_eq!(caller.request("ping", json!({})).await["type"], "pong", "the caller's connection goes on");
    }
    for (plugin, outcome) in [("spin", "timed_out"), ("alloc", "out_of_memory"), ("trap", "crashed")] {
        let series = format!("switchboard_plugin_calls_total{{plugin=\"{plugin}\",outcome=\"{outcome}\"}}");
        assert!(server.metric(&series).await >= 1.0, "{series}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_spinning_calls_at_once_do_not_silence_the_others() {
    let server = hostile().start().await;
    let mut spinners = Vec::new();
    for number in 0..8 {
        let mut client = Client::connect(&server, &format!("mallory-{number}")).await;
        client.send("spin", json!({})).await;
        spinners.push(client);
    }
    let mut other = Client::connect(&server, "alice").await;
    for _ in 0..20 {
        assert_eq!(other.request("ping", json!({})).await["type"], "pong");
    }
    for spinner in &mut spinners {
        assert_eq!(spinner.expect("error").await["payload"]["code"], "PLUGIN_TIMEOUT");
    }
}

#[tokio::test]
async fn a_flood_ends_at_the_limit() {
    let server = hostile().config("[plugins.flood.limits]\nmax_emissions = 50").start().await;
    let mut client = Client::connect(&server, "mallory").await;
    client.send("flood", json!({})).await;
    let answer = client.expect("flood_result").await;
    let flooded = client.unread_of("flooded").len();
    assert!((40..=50).contains(&flooded), "{flooded} messages; {answer}");
}

#[tokio::test]
async fn calls_in_a_circle_are_refused_by_name() {
    let server = Server::builder().plugin("nested", guest("nested")).start().await;
    let mut client = Client::connect(&server, "alice").await;
    let answer = client.request("nested", json!({})).await;
    let text = answer.to_string();
    assert!(
        text.contains("nested") && (text.contains("circle") || text.contains("cycle") || text.contains("deep")),
        "{text}"
    );
}

async fn probe(client: &mut Client, payload: Value) -> Value {
    let answer = client.request("state_probe", payload).await;
    assert_ne!(answer["type"], "error", "{answer}");
    answer["payload"].clone()
}

#[tokio::test]
async fn state_is_kept_by_scope_and_never_seen_by_another_user_or_tenant() {
    let server = Server::builder().plugin("state-probe", guest("state-probe")).start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut alice_again = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let elsewhere = Claims::of("alice").with("tenant", "other").sign();
    let mut namesake = Client::with_token(&server, &elsewhere).await.expect("accepted");
    for scope in ["connection", "user", "plugin"] {
        probe(&mut alice, json!({ "op": "set", "scope": scope, "key": "k", "value": format!("{scope} of alice") }))
            .await;
    }
    let mut seen = Vec::new();
    for client in [&mut alice, &mut alice_again, &mut bob, &mut namesake] {
        let mut row = Vec::new();
        for scope in ["connection", "user", "plugin"] {
            let found = probe(client, json!({ "op": "get", "scope": scope, "key": "k" })).await;
            row.push(found["value"].is_string());
        }
        seen.push(row);
    }
    assert_eq!(
        seen,
        [[true, true, true], [false, true, true], [false, false, true], [false, false, true]],
        "rows: alice, her second connection, bob, an alice of another tenant; columns: connection, user, plugin"
    );
    let mut sums = Vec::new();
    for _ in 0..3 {
        sums.push(
            probe(&mut alice, json!({ "op": "increment", "scope": "user", "key": "n", "by": 2 })).await["value"]
                .clone(),
        );
    }
    assert_eq!(sums, [2, 4, 6]);
}

#[tokio::test]
async fn a_plugin_sees_publications_to_topics_that_it_was_granted_and_no_others() {
    let config = "[plugins.lifecycle.grants]\ntopics = [\"lobby\", \"lobby.open\"]";
    let server = Server::builder().system().plugin("lifecycle", guest("lifecycle")).config(config).start().await;
    let mut client = Client::connect(&server, "alice").await;
    for topic in ["lobby.closed", "lobby.closed", "lobby.open"] {
        let answer = client.request("publish", json!({ "topic": topic })).await;
        assert_ne!(answer["type"], "error", "{answer}");
    }
    server.logged(&["a publication was seen", "lobby.open"]).await;
    let counts = client.request("lifecycle_probe", json!({})).await;
    assert_eq!(counts["payload"]["events"], 1, "{counts}");
}

#[tokio::test]
async fn a_call_is_not_charged_for_time_in_which_the_machine_stood_still() {
    let server = Server::builder()
        .plugin("counter", guest("counter"))
        .config("[plugins.counter.limits]\ncpu_time = \"2400ms\"\ndeadline = \"60s\"")
        .start()
        .await;
    let mut client = Client::connect(&server, "alice").await;
    // It looks at the clock until so much time has gone by, and most of that goes by without it.
    let id = client.send("count", json!({ "key": "k", "ms": 3_000 })).await;
    server.logged(&["slow count begins"]).await;
    server.stand_still(Duration::from_millis(2_500)).await;
    let answer = client.answer_to(&id).await;
    assert_eq!(answer["type"], "counted", "{answer}");
}
