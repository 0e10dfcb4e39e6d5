//! Guests that make trouble when an instance of theirs is to leave or to take over: nobody but their own sessions
//! notices.

use std::time::{Duration, Instant};

use serde_json::json;

use super::raw::Raw;
use crate::harness::{Client, Server, eventually, guest};

const GUESTS: [&str; 4] = ["export-spins", "export-refuses", "export-huge", "import-traps"];

/// Much shorter than the two seconds that an instance may take to leave.
const PROMPT: Duration = Duration::from_millis(1_500);

fn build(name: &str, version: &str) -> Vec<u8> {
    let manifest = json!({
        "name": name, "version": version, "isolation": "session",
        "handles": [{ "type": name, "ordering": "concurrent" }],
    });
    Raw { manifest: Some(manifest.to_string()), ..Raw::new(name, name) }.build()
}

async fn handled(server: &Server, plugin: &str, count: f64) {
    let series = format!("switchboard_plugin_calls_total{{plugin=\"{plugin}\",outcome=\"ok\"}}");
    eventually(&format!("{count} messages to be handled by {plugin}"), async || {
        (server.metric(&series).await >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_that_will_not_leave_cost_others_no_answer_and_no_time() {
    // A guest that spins does so for all the time that it has to leave.
    let limits = "[limits]\nmax_kept_instances = 6\n[plugin_defaults.limits]\ndeadline = \"30s\"\ncpu_time = \"5s\"\n[plugin_defaults.instances]\nwarm = 0";
    let server = Server::builder().plugin("tally", guest("tally-v1")).config(limits).start().await;
    let mut hostile = Vec::new();
    for user in ["mallory", "mallet", "trudy"] {
        hostile.push(Client::connect(&server, user).await);
    }
    let mut alice = Client::connect(&server, "alice").await;
    let mut count = 0;
    for name in GUESTS {
        server.install_bytes(name, &build(name, "1.0.0"));
        server.plugin_status_when(name, |status| status["state"] == "serving").await;
        // Two rounds, in which they push each other out, and then take over from each other.
        for round in 1..=2_u32 {
            for client in &mut hostile {
                client.send(name, json!({})).await;
            }
            for _ in 0..5 {
                count += 1;
                let begun = Instant::now();
                let answer = alice.request("tally_add", json!({})).await;
                assert_eq!(answer["payload"]["count"], count, "beside {name}: {answer}");
                assert!(begun.elapsed() < PROMPT, "beside {name}: {:?}", begun.elapsed());
            }
            handled(&server, name, f64::from(round * 3)).await;
        }
    }
    for client in hostile {
        client.close().await;
    }
    for name in GUESTS {
        let kept = format!("switchboard_plugin_instances_kept{{plugin=\"{name}\"}}");
        eventually("their instances to end", async || (server.metric(&kept).await == 0.0).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_never_says_what_it_leaves_can_still_be_replaced() {
    let name = "export-spins";
    let server =
        Server::builder().config("[plugin_defaults.limits]\ndeadline = \"30s\"\ncpu_time = \"5s\"").start().await;
    server.install_bytes(name, &build(name, "1.0.0"));
    server.plugin_status_when(name, |status| status["state"] == "serving").await;
    let mut clients = Vec::new();
    for number in 0..6 {
        let mut client = Client::connect(&server, &format!("user-{number}")).await;
        client.send(name, json!({})).await;
        clients.push(client);
        handled(&server, name, f64::from(number + 1)).await;
    }
    server.install_bytes(name, &build(name, "2.0.0"));
    server.plugin_status_when(name, |status| status["version"] == "2.0.0").await;
}
