//! A restart with everybody connected loses nothing; a kill loses what was in memory, and says so.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Client, Options, Outcome, ResumingClient, Server, ServerBuilder, eventually, guest, raise_file_limit, random_u64,
    token,
};

const SESSIONS: usize = 1_000;

/// Sessions that are away when the server stops.
const SLEEPERS: usize = 100;

/// How often the process is killed under traffic.
const KILLS: usize = 4;

/// So many share a topic, in which each of them publishes.
const GROUP: usize = 10;

fn crowd() -> ServerBuilder {
    Server::builder().system().plugin("counter", guest("counter")).crowd()
}

/// Whether traffic goes on, and how much there was.
#[derive(Default)]
struct Traffic {
    enough: AtomicBool,
    rounds: AtomicUsize,
}

/// A member of a group, and what it has put into the world.
struct Member {
    client: ResumingClient,
    number: usize,
    /// Offsets of its own publications that were answered.
    published: Vec<u64>,
}

impl Member {
    async fn join(url: String, number: usize) -> Self {
        let name = format!("member-{number}");
        let options = Options { partial: &["counted_part"], label: name.clone(), ..Options::default() };
        let mut client = ResumingClient::connect(&url, &token(&name), options).await;
        let answer = client.request("subscribe", json!({ "topic": topic_of(number) })).await;
        assert_eq!(answer["type"], "subscribed", "{answer}");
        Self { client, number, published: Vec::new() }
    }

    /// Counts and publishes until there was enough.
    async fn work(mut self, traffic: Arc<Traffic>) -> Self {
        let mut n = 0_u64;
        while !traffic.enough.load(Ordering::SeqCst) {
            let counted = self.client.request("count", json!({ "key": "k", "parts": 1 })).await;
            let payload = json!({ "from": self.number, "n": n });
            let publish = json!({ "topic": topic_of(self.number), "type": "news", "payload": payload });
            let receipt = self.client.request("publish", publish).await;
            for answer in [&counted, &receipt] {
                // A busy plugin is an honest answer; nothing of the message was done.
                let busy = answer["payload"]["code"] == "PLUGIN_BUSY";
                assert!(busy || answer["type"] != "error", "{}: {answer}", self.client.options.label);
            }
            if let Some(offset) = receipt["payload"]["offset"].as_u64() {
                self.published.push(offset);
                n += 1;
            }
            traffic.rounds.fetch_add(1, Ordering::SeqCst);
            // The pace of a busy person, and not of a flood.
            tokio::time::sleep(Duration::from_millis(300 + random_u64() % 700)).await;
        }
        self
    }

    /// Reads up to the last publication of its topic, and checks all of them.
    async fn check(mut self, last_offset: u64) -> usize {
        self.client.settle().await;
        let mut offset = 0;
        let mut next_of: BTreeMap<u64, u64> = BTreeMap::new();
        let mut epoch = Value::Null;
        while offset < last_offset {
            let news = self.client.expect("news").await;
            let label = &self.client.options.label;
            let received = news["offset"].as_u64().expect("an offset");
            // The first may follow earlier ones of members who joined before.
            assert!(offset == 0 || received == offset + 1, "{label}: after {offset} came {news}");
            offset = received;
            assert!(epoch.is_null() || epoch == news["epoch"], "{label}: another epoch of the topic: {news}");
            epoch = news["epoch"].clone();
            let number = |field: &str| news["payload"][field].as_u64().expect("a number");
            let next = next_of.entry(number("from")).or_insert(number("n"));
            assert_eq!(number("n"), *next, "{label}: published twice or lost: {news}");
            *next += 1;
        }
        let client = &self.client;
        let (first, later) = client.outcomes.split_first().expect("a first connection");
        let resumed = |outcome: &Outcome| matches!(outcome, Outcome::Resumed { .. });
        if *first != Outcome::Fresh || later.is_empty() || !later.iter().all(resumed) {
            client.fail("the session was not resumed");
        }
        let nonces: std::collections::BTreeSet<String> = nonces(client).collect();
        assert_eq!(nonces.len(), nonces_count(client), "{}: one execution answered two ids", client.options.label);
        let parts = client.seen.iter().filter(|frame| frame["type"] == "counted_part").count();
        assert_eq!(parts, nonces.len(), "{}: one part to each answer", client.options.label);
        client.seen.len()
    }
}

fn topic_of(number: usize) -> String {
    // So that those who sleep are in the same groups as those who talk.
    format!("group.{}", number % (SESSIONS / GROUP))
}

fn nonces(client: &ResumingClient) -> impl Iterator<Item = String> {
    let answers = client.seen.iter().filter(|frame| frame["type"] == "counted");
    answers.map(|frame| frame["payload"]["nonce"].to_string())
}

fn nonces_count(client: &ResumingClient) -> usize {
    nonces(client).count()
}

/// Connects members, a bounded number at one time.
async fn members(url: &str, numbers: std::ops::Range<usize>) -> Vec<Member> {
    use futures_util::StreamExt;
    let joining = numbers.map(|number| tokio::spawn(Member::join(url.to_owned(), number)));
    futures_util::stream::iter(joining).buffered(32).map(|joined| joined.expect("it joined")).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_with_traffic_go_through_a_restart_and_lose_nothing() {
    raise_file_limit(4_000);
    let server = crowd().setting("server.reconnect_window", "1s").start().await;
    let url = server.url().to_owned();
    let mut members = members(&url, 0..SESSIONS).await;
    let mut sleepers = members.split_off(SESSIONS - SLEEPERS);
    for sleeper in &mut sleepers {
        sleeper.client.cut();
    }
    let traffic = Arc::new(Traffic::default());
    let working: Vec<_> = members.into_iter().map(|member| tokio::spawn(member.work(Arc::clone(&traffic)))).collect();
    rounds(&traffic, 2 * SESSIONS).await;
    let begun = Instant::now();
    let server = server.restart().await;
    let away = begun.elapsed();
    let so_far = traffic.rounds.load(Ordering::SeqCst);
    rounds(&traffic, so_far + 2 * SESSIONS).await;
    traffic.enough.store(true, Ordering::SeqCst);
    let mut members: Vec<Member> =
        join_all(working).await.into_iter().map(|member| member.expect("it worked to the end")).collect();
    members.append(&mut sleepers);

    let mut last_offsets: BTreeMap<String, u64> = BTreeMap::new();
    for member in &members {
        let last = last_offsets.entry(topic_of(member.number)).or_default();
        *last = (*last).max(member.published.iter().copied().max().unwrap_or(0));
    }
    let checks = members.into_iter().map(|member| {
        let last = last_offsets[&topic_of(member.number)];
        tokio::spawn(async move { member.check(last).await })
    });
    let seen: usize = join_all(checks).await.into_iter().map(|seen| seen.expect("nothing was lost")).sum();
    println!(
        "{SESSIONS} sessions, {seen} messages, server away for {away:?}, back in traffic after {:?}",
        begun.elapsed()
    );
    assert!(server.log().iter().all(|line| !line.contains("panicked")), "the server panicked");
}

async fn rounds(traffic: &Traffic, wanted: usize) {
    eventually("traffic", async || (traffic.rounds.load(Ordering::SeqCst) >= wanted).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_at_a_random_moment_every_client_is_told_and_goes_on() {
    let mut server = crowd().start().await;
    let url = server.url().to_owned();
    let traffic = Arc::new(Traffic::default());
    let members = members(&url, 0..50).await;
    let working: Vec<_> = members
        .into_iter()
        .map(|mut member| {
            let traffic = Arc::clone(&traffic);
            tokio::spawn(async move {
                while !traffic.enough.load(Ordering::SeqCst) {
                    let answer = member.client.request("count", json!({ "key": "k", "parts": 2 })).await;
                    assert_ne!(answer["type"], "error", "{answer}");
                    traffic.rounds.fetch_add(1, Ordering::SeqCst);
                }
                member
            })
        })
        .collect();
    for _ in 0..KILLS {
        let so_far = traffic.rounds.load(Ordering::SeqCst);
        let more = 50 + usize::try_from(random_u64() % 500).expect("small");
        rounds(&traffic, so_far + more).await;
        server.kill();
        server = server.start_again().await;
    }
    let so_far = traffic.rounds.load(Ordering::SeqCst);
    rounds(&traffic, so_far + 500).await;
    traffic.enough.store(true, Ordering::SeqCst);
    for member in join_all(working).await {
        let mut client = member.expect("it worked to the end").client;
        // One that was between two requests at the last kill finds out now.
        client.request("ping", json!({})).await;
        let told = client
            .outcomes
            .iter()
            .skip(1)
            .all(|outcome| *outcome == Outcome::Failed { reason: "epoch_mismatch".into() });
        // Who was away for a whole round is told once for two.
        if !told || client.outcomes.len() < 2 || client.outcomes.len() > 1 + KILLS {
            client.fail("each kill is told as epoch_mismatch");
        }
    }
}

#[tokio::test]
async fn what_a_graceful_restart_saved_does_not_rise_again_after_a_kill() {
    let server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let mut bob = ResumingClient::of(server.url(), "bob").await;
    for client in [&mut alice, &mut bob] {
        client.request("subscribe", json!({ "topic": "room" })).await;
        client.cut();
    }
    let mut server = server.restart().await;
    // Alice was here in between, bob was not: neither state is there after the kill.
    let outcome = alice.come_back().await;
    assert!(matches!(outcome, Outcome::Resumed { .. }), "{outcome:?}");
    alice.request("ping", json!({})).await;
    server.kill();
    let server = server.start_again().await;
    for client in [&mut alice, &mut bob] {
        client.cut();
        assert_eq!(client.come_back().await, Outcome::Failed { reason: "epoch_mismatch".into() });
        assert_eq!(client.request("ping", json!({})).await["seq"], 1);
    }
    let mut publisher = Client::connect(&server, "carol").await;
    let receipt = publisher.request("publish", json!({ "topic": "room", "type": "news" })).await;
    assert_eq!(receipt["payload"]["receivers"], 0, "a subscription of a lost session: {receipt}");
}

#[tokio::test]
async fn a_session_goes_through_several_restarts_without_its_client() {
    let mut server = Server::start().await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    alice.request("subscribe", json!({ "topic": "room" })).await;
    alice.cut();
    for n in 0..3 {
        let mut bob = Client::connect(&server, "bob").await;
        let publish = json!({ "topic": "room", "type": "news", "payload": { "n": n } });
        assert_eq!(bob.request("publish", publish).await["payload"]["offset"], n + 1, "offsets go on");
        server = server.restart().await;
    }
    for n in 0..3 {
        assert_eq!(alice.expect("news").await["payload"]["n"], n);
    }
    assert_eq!(alice.outcomes.len(), 2, "{:?}", alice.outcomes);
}

#[tokio::test]
async fn a_message_that_the_deadline_abandoned_is_answered_as_interrupted() {
    let server = Server::builder()
        .system()
        .plugin("slow", guest("slow"))
        .config("[server]\ndrain_timeout = \"1s\"\n[plugins.slow.limits]\ndeadline = \"60s\"\ncpu_time = \"60s\"")
        .start()
        .await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let id = alice.send("slow", json!({ "ms": 50_000 })).await;
    server.logged(&["slow call begins"]).await;
    let server = server.restart().await;
    let answer = alice.answer_to(&id).await;
    assert_eq!(answer["payload"]["code"], "MESSAGE_INTERRUPTED", "{answer}");
    assert!(matches!(alice.outcomes[..], [Outcome::Fresh, Outcome::Resumed { .. }]), "{:?}", alice.outcomes);
    assert_eq!(alice.request("ping", json!({})).await["type"], "pong");
    drop(server);
}

#[tokio::test]
async fn a_second_signal_abandons_what_is_under_way_and_sessions_are_saved_all_the_same() {
    let mut server = Server::builder()
        .system()
        .plugin("slow", guest("slow"))
        .config("[plugins.slow.limits]\ndeadline = \"60s\"\ncpu_time = \"60s\"")
        .start()
        .await;
    let mut alice = ResumingClient::of(server.url(), "alice").await;
    let id = alice.send("slow", json!({ "ms": 50_000 })).await;
    server.logged(&["slow call begins"]).await;
    server.terminate();
    server.logged(&["leaving"]).await;
    server.terminate();
    assert!(server.ended().await.success());
    let _server = server.start_again().await;
    let answer = alice.answer_to(&id).await;
    assert_eq!(answer["payload"]["code"], "MESSAGE_INTERRUPTED", "{answer}");
    assert!(matches!(alice.outcomes[..], [Outcome::Fresh, Outcome::Resumed { .. }]), "{:?}", alice.outcomes);
}

#[tokio::test]
async fn a_store_that_is_damaged_is_set_aside_and_the_server_starts() {
    for damage in ["garbage", "truncated", "empty"] {
        let mut server = Server::start().await;
        let mut alice = ResumingClient::of(server.url(), "alice").await;
        alice.request("ping", json!({})).await;
        server.terminate();
        assert!(server.ended().await.success());
        let store = server.data_dir().join("sessions.redb");
        let bytes = std::fs::read(&store).expect("sessions were saved");
        let damaged = match damage {
            "garbage" => vec![b'?'; bytes.len()],
            "truncated" => bytes[..bytes.len() / 2].to_vec(),
            _ => Vec::new(),
        };
        std::fs::write(&store, damaged).expect("written");
        let server = server.start_again().await;
        assert_eq!(alice.come_back().await, Outcome::Failed { reason: "epoch_mismatch".into() }, "{damage}");
        assert_eq!(alice.request("ping", json!({})).await["type"], "pong", "{damage}");
        let files: Vec<String> = std::fs::read_dir(server.data_dir())
            .expect("the folder is there")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        let aside = files.iter().any(|name| name.starts_with("sessions") && name != "sessions.redb");
        // An empty file holds nothing that anybody could want to look at.
        assert!(aside || damage == "empty", "{damage}: the file was not set aside: {files:?}");
        let server = server.restart().await;
        assert_eq!(alice.request("ping", json!({})).await["type"], "pong", "{damage}: saving works again");
        assert!(matches!(alice.outcomes.last(), Some(Outcome::Resumed { .. })), "{damage}: {:?}", alice.outcomes);
        drop(server);
    }
}
