//! A fuzz of frames on every way in: no panic, no hang, exactly one answer for each request with a good id, and a host
//! that serves on.
//!
//! Frames are good requests that were spoiled, or were not. The seed is printed, and `SWITCHBOARD_FUZZ_SEED` sets it.

mod generator;

use std::collections::HashSet;

use generator::{Frame, Generator};
use serde_json::Value;

use crate::harness::{
    Server,
    doors::{HttpDoor, SocketDoor},
    guest, random_u64,
};

/// Frames for each way in: seconds of work. More of them are more seeds.
const FRAMES: usize = 300;

/// Fewer than a session may have in flight, so that what is measured is not that limit alone.
const BURST: usize = 20;

async fn server() -> Server {
    let builder = Server::builder().shipped(&["system", "jsonrpc"]).plugin("conformance", guest("conformance"));
    builder.crowd().start().await
}

fn generator(way: &str) -> Generator {
    let seed = std::env::var("SWITCHBOARD_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(random_u64);
    println!("{way}: SWITCHBOARD_FUZZ_SEED={seed}");
    Generator::new(seed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoiled_frames_on_a_bare_socket_harm_nothing() {
    let server = server().await;
    let door = SocketDoor::bare(&server, "alice").await;
    over_a_socket(&server, door, generator("a bare socket"), |frame| Some(frame.text.clone())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoiled_frames_in_envelopes_harm_nothing() {
    let server = server().await;
    let door = SocketDoor::in_envelopes(&server, "alice").await;
    // What is no JSON would spoil the envelope, which is another test's matter.
    let fits = |frame: &Frame| serde_json::from_str::<Value>(&frame.text).is_ok().then(|| frame.text.clone());
    over_a_socket(&server, door, generator("envelopes"), fits).await;
}

/// Sends bursts of frames, each of which ends with a request that has to be answered.
async fn over_a_socket(
    server: &Server,
    mut door: SocketDoor,
    mut generator: Generator,
    fits: impl Fn(&Frame) -> Option<String>,
) {
    let mut sent = 0;
    let mut allowed: HashSet<String> = HashSet::new();
    while sent < FRAMES {
        let mut awaited: HashSet<String> = HashSet::new();
        for _ in 0..BURST {
            let frame = generator.frame();
            let Some(text) = fits(&frame) else { continue };
            // Two of one id are another test's matter.
            let mut ids = frame.good_id.iter().chain(&frame.other_id);
            if ids.any(|id| awaited.contains(id) || allowed.contains(id)) {
                continue;
            }
            door.send(&text).await;
            awaited.extend(frame.good_id);
            allowed.extend(frame.other_id);
        }
        let last = generator.good();
        door.send(&last.text).await;
        awaited.extend(last.good_id);
        while !awaited.is_empty() {
            let raw = door.next().await;
            let Some(id) = id_of_answer(&raw) else { continue };
            let is_error = raw.contains(r#""error":{"#);
            let is_due = awaited.remove(&id) || is_error && allowed.remove(&id);
            assert!(is_due, "{id} was not asked, or answered twice: {raw}");
        }
        sent += BURST + 1;
    }
    serves_on(server).await;
}

/// The id of a response, as JSON; notifications, and errors of what had none, have none.
fn id_of_answer(raw: &str) -> Option<String> {
    let message: Value = serde_json::from_str(raw).unwrap_or_else(|_| panic!("not JSON: {raw}"));
    let message = match message["type"].as_str() {
        None => &message,
        Some("jsonrpc") => &message["payload"],
        // An envelope that was refused: what it held was no object.
        Some(_) => return None,
    };
    assert!(message["id"].is_null() || message.get("method").is_none(), "nobody asked for a request: {raw}");
    Some(message.get("id")?.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoiled_bodies_and_headers_over_http_harm_nothing() {
    let server = server().await;
    let (modern, legacy) = (HttpDoor::modern(&server, "alice"), HttpDoor::legacy(&server, "alice").await);
    let mut generator = generator("HTTP");
    for _ in 0..FRAMES {
        let frame = generator.frame();
        let spoiled = generator.headers(&frame);
        let door = if frame.modern { &modern } else { &legacy };
        let headers: Vec<(&str, &str)> =
            spoiled.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let posted = door.post(frame.text.clone(), &headers).await;
        let status = posted.status.as_u16();
        let what = || format!("{}\nwith {:?}:\n{posted:?}", frame.text, spoiled.headers);
        assert!((200..500).contains(&status), "{}", what());
        let ids: Vec<String> = posted.messages.iter().filter_map(|raw| id_of_answer(raw)).collect();
        match &frame.good_id {
            Some(id) if !spoiled.spoiled => assert_eq!(ids, std::slice::from_ref(id), "{}", what()),
            Some(id) => assert!(ids.is_empty() && status >= 400 || ids == [id.clone()], "{}", what()),
            None => assert!(ids.len() <= 1, "{}", what()),
        }
    }
    serves_on(&server).await;
}

/// Nothing has panicked, nothing is left over, and everybody is answered.
async fn serves_on(server: &Server) {
    let panics: Vec<String> = server.log().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:?}");
    let crashed = server.metric("switchboard_plugin_calls_total{plugin=\"jsonrpc\",outcome=\"crashed\"}").await;
    assert_eq!(crashed, 0.0, "the plugin itself has crashed");
    crate::harness::eventually("all calls to end", async || {
        (server.metric("switchboard_plugin_calls_in_flight").await == 0.0).then_some(())
    })
    .await;
    let mut door = SocketDoor::bare(server, "bob").await;
    door.send(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(door.next().await, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
}
