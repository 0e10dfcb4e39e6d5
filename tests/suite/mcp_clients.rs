//! Official clients of MCP against the real host: what they find is what the plugins offer, by every transport that
//! they speak and in both eras.
//!
//! `cargo xtask peers` fetches them. The programs in `tests/mcp` are all of one shape, so that one table judges them.

use serde_json::{Value, json};

use crate::harness::{
    Http, Peer, Server,
    doors::{HttpDoor, LEGACY, MODERN, modern_meta},
    eventually, guest, http_request, token,
};

/// Long enough that nothing but its cancellation ends a call while a test waits for that.
const LIMITS: &str = "[plugin_defaults.limits]\ncpu_time = \"200s\"\ndeadline = \"200s\"";

async fn server() -> Server {
    let builder = Server::builder().shipped(&["system", "jsonrpc"]);
    builder.plugin("conformance", guest("conformance")).plugin("swap", guest("swap-v1")).config(LIMITS).start().await
}

/// `ws://127.0.0.1:PORT/PATH?ticket=...`, for clients that set no header.
async fn with_ticket(server: &Server, path: &str) -> String {
    let ticket = http_request(reqwest::Method::POST, &server.http("/ws/ticket")).bearer_auth(token("alice"));
    let answer = Http::send(ticket).await.json();
    format!("ws://{}{path}?ticket={}", server.address(), answer["ticket"].as_str().expect("a ticket"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_of_the_second_generation_speaks_both_eras_over_http() {
    let server = server().await;
    for (mode, version) in [("auto", MODERN), ("legacy", LEGACY)] {
        converse(|| Peer::python(2, &[&server.http("/mcp"), mode], &token("alice")), &server, version).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_of_the_first_generation_speaks_http_and_websockets() {
    let server = server().await;
    converse(|| Peer::python(1, &[&server.http("/mcp")], &token("alice")), &server, LEGACY).await;
    for path in ["/ws", "/mcp"] {
        let url = with_ticket(&server, path).await;
        converse(|| Peer::python(1, &[&url], ""), &server, LEGACY).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typescript_of_the_second_generation_speaks_both_eras_over_http() {
    let server = server().await;
    for (mode, version) in [("auto", MODERN), ("legacy", LEGACY)] {
        converse(|| Peer::node(2, &[&server.http("/mcp"), mode], &token("alice")), &server, version).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typescript_of_the_first_generation_speaks_http_and_websockets() {
    let server = server().await;
    converse(|| Peer::node(1, &[&server.http("/mcp")], &token("alice")), &server, LEGACY).await;
    for path in ["/ws", "/mcp"] {
        let url = with_ticket(&server, path).await;
        converse(|| Peer::node(1, &[&url], ""), &server, LEGACY).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_speaks_both_eras_over_http() {
    let server = server().await;
    for (mode, version) in [("discover", MODERN), ("initialize", LEGACY)] {
        converse(|| Peer::rust(&[&server.http("/mcp"), mode], &token("alice")), &server, version).await;
    }
}

/// Starts a client, and follows it from step to step.
async fn converse(start: impl FnOnce() -> Peer, server: &Server, version: &str) {
    // The one before may have left the second version, and what is offered follows a file a moment later.
    server.install("swap", &guest("swap-v1"));
    let door = HttpDoor::modern(server, "alice");
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": modern_meta() } });
    eventually("the first version's tool", async || {
        let posted = door.post(list.to_string(), &[("mcp-method", "tools/list")]).await;
        posted.messages.iter().any(|message| message.contains("swap_before")).then_some(())
    })
    .await;

    let mut peer = start();
    let connected = peer.step("connected").await;
    assert_eq!(connected["version"], version, "{connected}");
    for (step, member, words) in offered() {
        let found = peer.step(step).await;
        let found_words = found[member].as_array().unwrap_or_else(|| panic!("{step}: {found}"));
        for word in words {
            assert!(found_words.iter().any(|found| says(found, word)), "{step} without {word:?}: {found}");
        }
        match step {
            "called" => assert_eq!(found["error"], false, "{found}"),
            "failed" => assert_eq!(found["error"], true, "{found}"),
            _ => {}
        }
        if step == "failed" {
            assert_eq!(peer.step("structured").await["value"], json!({ "answer": 42 }));
            let reports = peer.step("progress").await["reports"].clone();
            // Some libraries stop to listen with the answer, and reports that leave together with it are not heard: the
            // first TypeScript one, for example. What is on the wire is seen by the tests of streams.
            let (all, heard) = ([(0.0, 100.0), (50.0, 100.0), (100.0, 100.0)], numbers(&reports));
            assert!(!heard.is_empty() && all.starts_with(&heard), "{reports}");
        }
        if step == "read" {
            let blob = peer.step("bytes").await["blob"].as_str().expect("base64").to_owned();
            assert!(blob.starts_with("iVBORw0KGgo"), "it is not a PNG: {blob}");
        }
    }

    peer.step("cancelled").await;
    let afterwards = peer.step("afterwards").await;
    assert!(afterwards.to_string().contains("This is a simple text"), "{afterwards}");
    // Nothing but the cancellation ends that call.
    eventually("the cancelled call to end in the sandbox", async || {
        let under_way = server.metric("switchboard_plugin_calls_in_flight{plugin=\"conformance\"}").await;
        (under_way == 0.0).then_some(())
    })
    .await;

    peer.step("watching").await;
    server.install("swap", &guest("swap-v2"));
    let relisted = peer.step("relisted").await;
    let names = relisted["names"].as_array().expect("names");
    assert!(names.contains(&json!("swap_after")) && !names.contains(&json!("swap_before")), "{relisted}");
    let updated = peer.step("updated").await;
    assert!(updated["texts"][0].as_str().is_some_and(|text| text.starts_with("It was changed")), "{updated}");
    peer.ends_well().await;
}

/// A step, where its words are, and words that have to be among them.
fn offered() -> [(&'static str, &'static str, &'static [&'static str]); 13] {
    [
        ("tools", "names", &["test_simple_text", "test_endless", "swap_before"]),
        ("called", "texts", &["This is a simple text response for testing."]),
        ("failed", "texts", &["This tool intentionally returns an error for testing"]),
        ("logged", "lines", &["Tool execution started", "Tool processing data", "Tool execution completed"]),
        ("elicited", "texts", &["action=\"accept\"", "ada@example.com"]),
        ("sampled", "texts", &["LLM response: Paris"]),
        ("rooted", "texts", &["file:///tests"]),
        ("resources", "uris", &["test://static-text", "test://static-binary", "test://watched-resource"]),
        ("templates", "uris", &["test://template/{id}/data"]),
        ("read", "texts", &["This is the content of the static text resource."]),
        ("prompts", "names", &["test_simple_prompt", "test_prompt_with_arguments"]),
        ("prompt", "texts", &["arg1='one'", "arg2='two'"]),
        ("completed", "values", &["test", "testament", "testimony"]),
    ]
}

fn says(found: &Value, word: &str) -> bool {
    found.as_str().is_some_and(|text| text.contains(word))
}

fn numbers(reports: &Value) -> Vec<(f64, f64)> {
    let pair = |report: &Value| Some((report[0].as_f64()?, report[1].as_f64()?));
    reports.as_array().into_iter().flatten().filter_map(pair).collect()
}
