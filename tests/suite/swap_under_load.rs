//! The promise of the product in one test: sockets that never rest while their handler is replaced.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::json;

use crate::harness::{Client, Server, guest};

const SOCKETS: usize = 200;
const REPLACEMENTS: usize = 50;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sockets_keep_sending_while_their_handler_is_replaced_fifty_times() {
    // However slow the machine is, nobody is to hear that the plugin is busy.
    let patient = "[plugin_defaults.limits]\nmax_wait = \"60s\"\ndeadline = \"60s\"";
    let server = Server::builder().config(patient).plugin("system", guest("echo-v1")).start().await;
    let timeline = Arc::new(Timeline { settled: AtomicUsize::new(1), started: AtomicUsize::new(1) });
    let done = Arc::new(AtomicBool::new(false));
    let mut senders = Vec::new();
    for number in 0..SOCKETS {
        let client = Client::connect(&server, &format!("user-{number}")).await;
        senders.push(tokio::spawn(send_until(client, Arc::clone(&timeline), Arc::clone(&done))));
    }
    let versions = [std::fs::read(guest("echo-v1")), std::fs::read(guest("echo-v2"))].map(|bytes| bytes.expect("read"));
    for round in 0..REPLACEMENTS {
        if round % 2 == 0 {
            let started = timeline.started.fetch_add(1, Ordering::SeqCst) + 1;
            let version = ["2.0.0", "1.0.0"][started % 2];
            server.install_bytes("system", &versions[(started + 1) % 2]);
            server
                .plugin_status_when("system", |status| status["version"] == version && status["last_error"].is_null())
                .await;
            timeline.settled.store(started, Ordering::SeqCst);
        } else {
            let broken = format!("broken in round {round}, and not a component");
            server.install_bytes("system", broken.as_bytes());
            server.plugin_status_when("system", |status| !status["last_error"].is_null()).await;
        }
    }
    done.store(true, Ordering::SeqCst);
    let mut answered = 0;
    for sender in senders {
        answered += sender.await.expect("no sender panicked");
    }
    assert!(answered > SOCKETS * 10, "the sockets were busy: {answered} messages");
    let counted = server.metric("switchboard_messages_total").await;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let answered = answered as f64;
    assert!((counted - answered).abs() < 0.5, "{counted} handled, {answered} answered");
}

/// Sends one message after the other, and checks each answer; returns how many there were.
async fn send_until(mut client: Client, timeline: Arc<Timeline>, done: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !done.load(Ordering::SeqCst) {
        let settled = timeline.settled.load(Ordering::SeqCst);
        let id = client.send("echo", json!({ "n": count })).await;
        let answer = client.next().await;
        assert_eq!(answer["correlation_id"], id.as_str(), "one answer to each message, and no other: {answer}");
        assert_ne!(answer["type"], "error", "{answer}");
        let version = answer["payload"]["version"].as_str().expect("a version");
        assert!(timeline.allows(settled, version), "{version} answered a message that was sent after it was replaced");
        count += 1;
    }
    // Whatever else was sent would stand before this pong.
    let last = client.send("echo", json!({ "last": true })).await;
    assert_eq!(client.next().await["correlation_id"], last.as_str(), "nothing was answered twice");
    client.close().await;
    count + 1
}
