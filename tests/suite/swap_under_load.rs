//! The promise of the product in one test: sockets that never rest while their handler is replaced.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde_json::json;

use crate::harness::{Client, Server, eventually, guest};

const SOCKETS: usize = 64;
/// Of which every eleventh is broken.
const REPLACEMENTS: usize = 1_100;
/// After so many, everything that grows once has grown: caches, pools, the history of versions.
const WARM_UP: usize = 440;
/// How much more memory the process may have at the end. What each replacement left behind would be at least
/// its machine code, 300 KB, so that a thousand of them exceed this many times over.
const MARGIN_BYTES: u64 = 48 << 20;

/// Which of the good versions can answer: they are numbered in the order of their installation, odd
/// ones say 1.0.0 and even ones 2.0.0.
#[derive(Default)]
struct Timeline {
    /// From here on, no earlier version may take a message.
    settled: AtomicUsize,
    /// Up to here, a version may have taken over.
    started: AtomicUsize,
}

impl Timeline {
    fn allows(&self, settled_at_send: usize, version: &str) -> bool {
        let odd = match version {
            "1.0.0" => 1,
            "2.0.0" => 0,
            other => panic!("no such version was installed: {other}"),
        };
        (settled_at_send..=self.started.load(Ordering::SeqCst)).any(|number| number % 2 == odd)
    }
}

/// What one socket saw.
struct Seen {
    answered: usize,
    /// Round trips in microseconds, while nothing was replaced and while it was.
    quiet: Vec<u32>,
    busy: Vec<u32>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_keep_sending_while_their_handler_is_replaced_a_thousand_times() {
    // However slow the machine is, nobody is to hear that the plugin is busy.
    let patient = "[plugin_defaults.limits]\nmax_wait = \"60s\"\ndeadline = \"60s\"";
    let server = Server::builder().config(patient).crowd().plugin("system", guest("echo-v1")).start().await;
    let timeline = Arc::new(Timeline { settled: AtomicUsize::new(1), started: AtomicUsize::new(1) });
    let phase = Arc::new(AtomicUsize::new(QUIET));
    let mut senders = Vec::new();
    for number in 0..SOCKETS {
        let client = Client::connect(&server, &format!("user-{number}")).await;
        senders.push(tokio::spawn(send_until(client, Arc::clone(&timeline), Arc::clone(&phase))));
    }
    let quiet = server.metric("switchboard_messages_total").await;
    eventually("messages without replacements", async || {
        (server.metric("switchboard_messages_total").await > quiet + 20_000.0).then_some(())
    })
    .await;
    phase.store(BUSY, Ordering::SeqCst);
    let versions = [std::fs::read(guest("echo-v1")), std::fs::read(guest("echo-v2"))].map(|bytes| bytes.expect("read"));
    let mut resident = 0;
    let mut broken_ones = 0;
    for round in 0..REPLACEMENTS {
        if round == WARM_UP {
            resident = server.resident_bytes();
        }
        if round % 11 == 10 {
            broken_ones += 1;
            let broken = format!("broken in round {round}, and not a component");
            server.install_bytes("system", broken.as_bytes());
            server.plugin_status_when("system", |status| !status["last_error"].is_null()).await;
        } else {
            let started = timeline.started.fetch_add(1, Ordering::SeqCst) + 1;
            let version = ["2.0.0", "1.0.0"][started % 2];
            server.install_bytes("system", &versions[(started + 1) % 2]);
            server
                .plugin_status_when("system", |status| status["version"] == version && status["last_error"].is_null())
                .await;
            timeline.settled.store(started, Ordering::SeqCst);
        }
    }
    let resident_after = server.resident_bytes();
    phase.store(DONE, Ordering::SeqCst);
    let mut seen = Seen { answered: 0, quiet: Vec::new(), busy: Vec::new() };
    for sender in senders {
        let Seen { answered, quiet, busy } = sender.await.expect("no sender panicked");
        seen.answered += answered;
        seen.quiet.extend(quiet);
        seen.busy.extend(busy);
    }
    println!(
        "{} replacements, {broken_ones} of them broken, {} messages; p99 {} us without and {} us with replacements; resident {} MiB and {} MiB",
        REPLACEMENTS,
        seen.answered,
        percentile(&mut seen.quiet, 99),
        percentile(&mut seen.busy, 99),
        resident >> 20,
        resident_after >> 20,
    );
    assert_eq!(broken_ones, 100);
    let counted = server.metric("switchboard_messages_total").await;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let answered = seen.answered as f64;
    assert!((counted - answered).abs() < 0.5, "{counted} handled, {answered} answered");
    assert!(
        resident_after < resident + MARGIN_BYTES,
        "{resident} bytes after {WARM_UP} replacements and {resident_after} after {REPLACEMENTS}"
    );
}

const QUIET: usize = 0;
const BUSY: usize = 1;
const DONE: usize = 2;

fn percentile(values: &mut [u32], percent: usize) -> u32 {
    values.sort_unstable();
    values.get(values.len() * percent / 100).copied().unwrap_or_default()
}

/// Sends one message after the other, and checks each answer.
async fn send_until(mut client: Client, timeline: Arc<Timeline>, phase: Arc<AtomicUsize>) -> Seen {
    let mut seen = Seen { answered: 0, quiet: Vec::new(), busy: Vec::new() };
    loop {
        let now = phase.load(Ordering::SeqCst);
        let settled = timeline.settled.load(Ordering::SeqCst);
        let asked = Instant::now();
        let id = client.send("echo", json!({ "n": seen.answered })).await;
        let answer = client.next().await;
        let took = u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX);
        assert_eq!(answer["correlation_id"], id.as_str(), "one answer to each message, and no other: {answer}");
        assert_ne!(answer["type"], "error", "{answer}");
        let version = answer["payload"]["version"].as_str().expect("a version");
        assert!(timeline.allows(settled, version), "{version} answered a message that was sent after it was replaced");
        seen.answered += 1;
        match now {
            QUIET => seen.quiet.push(took),
            BUSY => seen.busy.push(took),
            _ => break,
        }
    }
    // Whatever else was sent would stand before this pong.
    let last = client.send("echo", json!({ "last": true })).await;
    assert_eq!(client.next().await["correlation_id"], last.as_str(), "nothing was answered twice");
    client.close().await;
    seen.answered += 1;
    seen
}
