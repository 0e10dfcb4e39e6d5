//! What plugins remember is there after an orderly end, whole, and after a kill but for the last moment.

use serde_json::{Value, json};

use crate::harness::{
    Claims, Client, Options, Outcome, ResumingClient, Server, ServerBuilder, eventually, guest, random_u64, token,
};

/// Users who count at the same time.
const USERS: usize = 8;

/// How often the process is killed under traffic.
const KILLS: usize = 3;

const COMMITS: &str = "switchboard_state_flushes_total{outcome=\"written\"}";

fn counting() -> ServerBuilder {
    Server::builder().system().plugin("counter", guest("counter")).crowd()
}

fn probing() -> ServerBuilder {
    Server::builder().plugin("state-probe", guest("state-probe"))
}

async fn probe(client: &mut Client, payload: Value) -> Value {
    client.request("state_probe", payload).await["payload"].clone()
}

async fn value(client: &mut Client, scope: &str, key: &str) -> Value {
    let found = probe(client, json!({ "op": "get", "scope": scope, "key": key })).await;
    assert!(found.get("code").is_none(), "{found}");
    found["value"].clone()
}

/// One more under each of two keys, first `a`, then `b`; what was answered.
async fn count_both(client: &mut Client) -> [u64; 2] {
    let mut counts = [0; 2];
    for (key, count) in ["a", "b"].iter().zip(&mut counts) {
        let answer = client.request("count", json!({ "key": key })).await;
        *count = answer["payload"]["count"].as_u64().unwrap_or_else(|| panic!("{answer}"));
    }
    counts
}

async fn peek(client: &mut Client, key: &str) -> u64 {
    let answer = client.request("count_peek", json!({ "key": key })).await;
    answer["payload"]["count"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

/// Goes on counting until everything that was answered before is on disk: a commit that begins after this was called
/// has it all, and that is the second to end at the latest.
async fn written(server: &Server, client: &mut Client) {
    let before = server.metric(COMMITS).await;
    eventually("two commits", async || {
        client.request("count", json!({ "key": "more" })).await;
        (server.metric(COMMITS).await >= before + 2.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_costs_the_last_moment_and_never_the_order() {
    let mut server = counting().start().await;
    let mut floors = vec![[0; 2]; USERS];
    for round in 0..KILLS {
        let mut clients = Vec::new();
        for user in 0..USERS {
            clients.push(Client::connect(&server, &format!("user-{user}")).await);
        }
        let mut metronome = Client::connect(&server, "metronome").await;
        for (client, floor) in clients.iter_mut().zip(&mut floors) {
            for _ in 0..1 + random_u64() % 5 {
                *floor = count_both(client).await;
            }
        }
        written(&server, &mut metronome).await;
        let working = clients.into_iter().map(|mut client| {
            tokio::spawn(async move {
                let mut last = [0; 2];
                for _ in 0..random_u64() % 40 {
                    last = count_both(&mut client).await;
                }
                last
            })
        });
        let mut answered = Vec::new();
        for worker in working.collect::<Vec<_>>() {
            answered.push(worker.await.expect("it counted"));
        }
        server.kill();
        server = server.start_again().await;
        for user in 0..USERS {
            let mut client = Client::connect(&server, &format!("user-{user}")).await;
            let [a, b] = [peek(&mut client, "a").await, peek(&mut client, "b").await];
            let [floor, top] = [floors[user], answered[user].map(|count| count.max(floors[user][0]))];
            let line = format!("round {round}, user {user}: {a} and {b}, written {floor:?}, answered {top:?}");
            assert!((floor[0]..=top[0]).contains(&a) && (floor[1]..=top[1]).contains(&b), "{line}");
            assert!(a == b || a == b + 1, "the second without the first: {line}");
            // The next round begins with two that are equal.
            if a > b {
                client.request("count", json!({ "key": "b" })).await;
            }
        }
    }
    assert!(server.log().iter().all(|line| !line.contains("panicked") && !line.contains("unreadable")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_loses_nothing_that_was_answered() {
    let mut server = counting().setting("state.flush_interval", "60s").start().await;
    for round in 1..=2 {
        let mut answered = Vec::new();
        for user in 0..USERS {
            let mut client = Client::connect(&server, &format!("user-{user}")).await;
            answered.push(count_both(&mut client).await);
        }
        server = server.restart().await;
        for (user, last) in answered.into_iter().enumerate() {
            let mut client = Client::connect(&server, &format!("user-{user}")).await;
            assert_eq!(last, [peek(&mut client, "a").await, peek(&mut client, "b").await]);
            assert_eq!(last, [round; 2]);
        }
    }
}

#[tokio::test]
async fn users_tenants_and_connections_stay_apart_after_a_restart() {
    let server = probing().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    for scope in ["connection", "user", "plugin"] {
        probe(&mut alice, json!({ "op": "set", "scope": scope, "key": "k", "value": scope })).await;
    }
    let server = server.restart().await;
    let mut alice = Client::connect(&server, "alice").await;
    let mut bob = Client::connect(&server, "bob").await;
    let elsewhere = Claims::of("alice").with("tenant", "other").sign();
    let mut namesake = Client::with_token(&server, &elsewhere).await.expect("accepted");
    for (client, user) in [(&mut alice, json!("user")), (&mut bob, Value::Null), (&mut namesake, Value::Null)] {
        assert_eq!(value(client, "connection", "k").await, Value::Null, "that of another session");
        assert_eq!(value(client, "user", "k").await, user);
        assert_eq!(value(client, "plugin", "k").await, "plugin");
    }
}

#[tokio::test]
async fn a_session_that_is_resumed_after_a_restart_has_its_state_and_a_fresh_one_has_none() {
    let server = probing().start().await;
    let mut alice = ResumingClient::connect(server.url(), &token("alice"), Options::default()).await;
    let set = json!({ "op": "set", "scope": "connection", "key": "k", "value": "v" });
    alice.request("state_probe", set).await;
    let get = json!({ "op": "get", "scope": "connection", "key": "k" });
    let mut server = server.restart().await;
    let found = alice.request("state_probe", get.clone()).await;
    assert_eq!(found["payload"]["value"], "v", "{found}");
    assert!(matches!(alice.outcomes[..], [Outcome::Fresh, Outcome::Resumed { .. }]), "{:?}", alice.outcomes);
    server.kill();
    let _server = server.start_again().await;
    let found = alice.request("state_probe", get).await;
    assert_eq!(found["payload"]["value"], Value::Null, "with the session its state is lost: {found}");
}

#[tokio::test]
async fn time_to_live_goes_on_over_a_restart() {
    let server = probing().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    for (key, ttl_ms) in [("short", 1), ("long", 3_600_000)] {
        let set = json!({ "op": "set", "scope": "user", "key": key, "value": "v", "ttl_ms": ttl_ms });
        probe(&mut alice, set).await;
    }
    let server = server.restart().await;
    let mut alice = Client::connect(&server, "alice").await;
    assert_eq!(value(&mut alice, "user", "short").await, Value::Null);
    assert_eq!(value(&mut alice, "user", "long").await, "v");
}

#[tokio::test]
async fn a_quota_that_was_lowered_below_what_is_there_refuses_only_growth() {
    let server = probing().config("[plugins.state-probe.limits]\nmax_state_bytes = 1000").start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let set =
        |key: &str, length: usize| json!({ "op": "set", "scope": "user", "key": key, "value": "v".repeat(length) });
    probe(&mut alice, set("k", 800)).await;
    let server = server.restart().await;
    let mut alice = Client::connect(&server, "alice").await;
    let refused = alice.request("state_probe", set("l", 100)).await;
    assert_eq!(refused["type"], "error", "the quota counts what is on disk: {refused}");
    server.edit_config(|config| config.replace("max_state_bytes = 1000", "max_state_bytes = 500"));
    eventually("the lowered quota", async || {
        let other = alice.request("state_probe", set("l", 1)).await;
        probe(&mut alice, json!({ "op": "delete", "scope": "user", "key": "l" })).await;
        other.to_string().contains("`max_state_bytes` of 500").then_some(())
    })
    .await;
    assert_eq!(value(&mut alice, "user", "k").await.as_str().map(str::len), Some(800));
    assert_ne!(alice.request("state_probe", set("k", 799)).await["type"], "error", "what shrinks is not refused");
    assert_eq!(probe(&mut alice, json!({ "op": "delete", "scope": "user", "key": "k" })).await["value"], true);
    assert_ne!(alice.request("state_probe", set("k", 100)).await["type"], "error");
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_loudly_and_the_server_starts() {
    let mut server = probing().start().await;
    let mut alice = Client::connect(&server, "alice").await;
    let set = json!({ "op": "set", "scope": "user", "key": "k", "value": "v" });
    probe(&mut alice, set.clone()).await;
    server.terminate();
    assert!(server.ended().await.success());
    let file = server.data_dir().join("state.redb");
    let whole = std::fs::read(&file).expect("state was written");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    let server = server.start_again().await;
    server.logged(&["ERROR", "what plugins remembered for users and for themselves is lost", "unreadable-"]).await;
    let mut alice = Client::connect(&server, "alice").await;
    assert_eq!(value(&mut alice, "user", "k").await, Value::Null);
    probe(&mut alice, set).await;
    let server = server.restart().await;
    let mut alice = Client::connect(&server, "alice").await;
    assert_eq!(value(&mut alice, "user", "k").await, "v", "it is written again");
}
