//! Instances that outlive a call: who shares one, when it is replaced, and what the next one takes over.

use serde_json::{Value, json};

use crate::harness::{Client, Outcome, ResumingClient, Server, ServerBuilder, eventually, guest};

/// What the globals of the instance held, which counts its calls.
async fn probe(client: &mut Client) -> u64 {
    let answer = client.request("globals_probe", json!({ "secret": "x" })).await;
    answer["payload"]["count"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

async fn tally(client: &mut Client) -> Value {
    let answer = client.request("tally_add", json!({})).await;
    assert_eq!(answer["type"], "tallied", "{answer}");
    answer["payload"].clone()
}

fn globals(isolation: &str) -> ServerBuilder {
    let config = format!("[plugins.globals]\nisolation = \"{isolation}\"");
    Server::builder().plugin("globals", guest("globals")).config(&config)
}

fn tallying(config: &str) -> ServerBuilder {
    Server::builder().plugin("tally", guest("tally-v1")).config(config)
}

async fn put_away(server: &Server, plugin: &str, reason: &str) -> f64 {
    let series = format!("switchboard_plugin_instances_put_away_total{{plugin=\"{plugin}\",reason=\"{reason}\"}}");
    server.metric(&series).await
}

#[tokio::test]
async fn the_operator_decides_who_shares_an_instance() {
    for (isolation, of_alice, of_bob) in
        [("message", [0, 0, 0], [0, 0, 0]), ("session", [0, 1, 2], [0, 1, 2]), ("shared", [0, 1, 2], [3, 4, 5])]
    {
        let server = globals(isolation).start().await;
        assert_eq!(server.plugin_status("globals").await["isolation"], isolation);
        let mut alice = Client::connect(&server, "alice").await;
        let mut bob = Client::connect(&server, "bob").await;
        for (client, expected) in [(&mut alice, of_alice), (&mut bob, of_bob)] {
            for count in expected {
                assert_eq!(probe(client).await, count, "isolation {isolation}");
            }
        }
    }
}

#[tokio::test]
async fn a_plugin_gets_the_isolation_that_it_asks_for_unless_the_operator_says_otherwise() {
    let server = tallying("").start().await;
    assert_eq!(server.plugin_status("tally").await["isolation"], "session");
    let mut client = Client::connect(&server, "alice").await;
    assert_eq!(tally(&mut client).await["count"], 1);
    assert_eq!(tally(&mut client).await["count"], 2);
    server.edit_config(|text| text + "\n[plugins.tally]\nisolation = \"message\"\n");
    server.plugin_status_when("tally", |status| status["isolation"] == "message").await;
    assert_eq!(tally(&mut client).await["count"], 1);
    assert_eq!(tally(&mut client).await["count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_session_take_turns_and_those_of_others_do_not_wait() {
    let server = tallying("").start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(alice.send("tally_add", json!({ "wait_ms": 200 })).await);
    }
    // While these take their turns, which adds up to most of a second.
    assert_eq!(tally(&mut bob).await["count"], 1);
    let mut counts = Vec::new();
    for id in ids {
        counts.push(alice.answer_to(&id).await["payload"]["count"].as_u64().expect("a count"));
    }
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3, 4], "each met what the one before it had left");
}

#[tokio::test]
async fn a_session_that_comes_back_finds_its_instance() {
    let server = tallying("").start().await;
    let mut client = ResumingClient::of(server.url(), "alice").await;
    assert_eq!(client.request("tally_add", json!({})).await["payload"]["count"], 1);
    client.cut();
    assert!(matches!(client.come_back().await, Outcome::Resumed { .. }));
    assert_eq!(client.request("tally_add", json!({})).await["payload"]["count"], 2);
}

#[tokio::test]
async fn the_instance_of_a_session_ends_with_it() {
    // On a busy machine, a start may take long enough that spare instances are kept.
    let server = tallying("[plugins.tally.instances]\nwarm = 0").start().await;
    let kept = "switchboard_plugin_instances_kept{plugin=\"tally\"}";
    let mut client = Client::connect(&server, "alice").await;
    tally(&mut client).await;
    assert_eq!(server.metric(kept).await, 1.0);
    client.close().await;
    eventually("the instance to be put away", async || (server.metric(kept).await == 0.0).then_some(())).await;
    assert_eq!(put_away(&server, "tally", "session").await, 1.0);
}

#[tokio::test]
async fn an_idle_instance_is_put_away_and_the_next_one_goes_on_where_it_stopped() {
    let server = tallying("[plugins.tally.instances]\nmax_idle = \"1s\"").start().await;
    let mut client = Client::connect(&server, "alice").await;
    tally(&mut client).await;
    eventually("the instance to be put away", async || (put_away(&server, "tally", "idle").await == 1.0).then_some(()))
        .await;
    assert_eq!(tally(&mut client).await, json!({ "count": 2, "version": "1.0.0", "from": "1.0.0" }));
}

#[tokio::test]
async fn a_worn_instance_is_replaced_by_use_and_by_memory() {
    let config = "[plugins.tally.instances]\nmax_calls = 3\n[plugins.globals]\nisolation = \"shared\"\n[plugins.globals.instances]\nmax_calls = 2";
    let server = tallying(config).plugin("globals", guest("globals")).start().await;
    let mut client = Client::connect(&server, "alice").await;
    for count in 1..=7 {
        assert_eq!(tally(&mut client).await["count"], count, "handed over");
    }
    assert_eq!(put_away(&server, "tally", "calls").await, 2.0);
    let mut counts = Vec::new();
    for _ in 0..6 {
        counts.push(probe(&mut client).await);
    }
    assert!(counts.iter().all(|count| *count < 2), "{counts:?}");

    let config = "[plugins.tally.instances]\nrecycle_memory_bytes = \"4MiB\"";
    let server = tallying(config).start().await;
    let mut client = Client::connect(&server, "alice").await;
    client.request("tally_add", json!({ "grow": 6 << 20 })).await;
    assert_eq!(tally(&mut client).await["count"], 2);
    assert_eq!(put_away(&server, "tally", "memory").await, 1.0);
}

#[tokio::test]
async fn a_crash_costs_the_session_its_instance_and_nobody_else_anything() {
    let server = tallying("").start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    for client in [&mut alice, &mut bob] {
        tally(client).await;
    }
    let error = alice.request("tally_add", json!({ "crash": true })).await;
    assert_eq!(error["payload"]["code"], "PLUGIN_CRASHED");
    assert_eq!(tally(&mut alice).await["count"], 1, "it starts anew");
    assert_eq!(tally(&mut bob).await["count"], 2, "it goes on");

    let server = globals("shared").plugin("trap", guest("trap")).start().await;
    let mut client = Client::connect(&server, "alice").await;
    assert_eq!(probe(&mut client).await, 0);
    client.request("trap_now", json!({})).await;
    assert_eq!(probe(&mut client).await, 1, "another plugin's instances are not concerned");
}

#[tokio::test]
async fn sessions_move_to_a_new_version_with_what_they_know() {
    let server = tallying("").start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    for _ in 0..3 {
        tally(&mut alice).await;
    }
    tally(&mut bob).await;
    server.install("tally", &guest("tally-v2"));
    server.plugin_status_when("tally", |status| status["version"] == "2.0.0").await;
    assert_eq!(tally(&mut alice).await, json!({ "count": 4, "version": "2.0.0", "from": "1.0.0" }));
    assert_eq!(tally(&mut bob).await["count"], 2);
    let moved = "switchboard_plugin_handovers_total{plugin=\"tally\",outcome=\"imported\"}";
    assert_eq!(server.metric(moved).await, 2.0);
}

#[tokio::test]
async fn a_version_that_cannot_take_over_is_reported_before_it_takes_traffic() {
    let server = tallying("").start().await;
    let mut client = Client::connect(&server, "alice").await;
    tally(&mut client).await;
    server.install("tally", &guest("tally-stubborn"));
    let status = server.plugin_status_when("tally", |status| !status["last_error"].is_null()).await;
    assert_eq!(status["last_error"]["stage"], "handover", "{status}");
    let reason = status["last_error"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("takes nothing over") && reason.contains("best_effort"), "{reason}");
    assert_eq!(tally(&mut client).await, json!({ "count": 2, "version": "1.0.0", "from": null }));

    server.edit_config(|text| text + "\n[plugins.tally.instances]\nhandover = \"best_effort\"\n");
    server.plugin_status_when("tally", |status| status["version"] == "3.0.0").await;
    assert_eq!(tally(&mut client).await["count"], 1, "the operator let it start anew");
}

#[tokio::test]
async fn when_there_is_no_room_the_one_that_waited_longest_gives_way_and_loses_nothing() {
    let server = tallying("[limits]\nmax_kept_instances = 2").start().await;
    let mut clients = Vec::new();
    for user in ["alice", "bob", "carol"] {
        clients.push(Client::connect(&server, user).await);
    }
    for round in 1..=3 {
        for client in &mut clients {
            assert_eq!(tally(client).await["count"], round);
        }
    }
    assert!(server.metric("switchboard_plugin_instances_kept{plugin=\"tally\"}").await <= 2.0);
    assert!(put_away(&server, "tally", "no_room").await >= 1.0);
}
