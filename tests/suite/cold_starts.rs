//! Guests that take long to start: messages do not wait for it where a spare instance can be there before them.

use serde_json::json;

use crate::{
    harness::{Client, Server, eventually},
    hostile::raw::Raw,
};

/// So many messages, each of which uses up an instance.
const MESSAGES: u32 = 6;

#[tokio::test]
async fn no_message_waits_for_a_start_while_there_is_a_spare_instance() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slow-start.wasm");
    std::fs::write(&path, Raw::new("slow-start", "slow-start").build()).expect("the component is written");
    let server = Server::builder().plugin("slow-start", path).start().await;
    let series = |name: &str, more: &str| format!("switchboard_plugin_{name}{{plugin=\"slow-start\"{more}}}");
    let mut client = Client::connect(&server, "alice").await;
    for number in 1..=MESSAGES {
        let spare = series("instances_kept", "");
        eventually("a spare instance", async || (server.metric(&spare).await >= 1.0).then_some(())).await;
        client.send("slow-start", json!({})).await;
        let handled = series("calls_total", ",outcome=\"ok\"");
        eventually("an answer", async || (server.metric(&handled).await >= f64::from(number)).then_some(())).await;
    }
    assert!(server.metric(&series("instance_starts_total", ",outcome=\"ahead\"")).await >= f64::from(MESSAGES));
    assert_eq!(server.metric(&series("instance_starts_total", ",outcome=\"on_demand\"")).await, 0.0);
}
