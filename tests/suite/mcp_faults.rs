//! Tools that fail in every way, called over `/mcp`: a result that a model can act on, and nothing else happens.

use serde_json::{Value, json};

use crate::harness::{McpClient, Server, guest};

/// The text of a result that says it is an error.
async fn failed(client: &McpClient, name: &str, arguments: Value) -> String {
    let answer = client.modern("tools/call", json!({ "name": name, "arguments": arguments })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let result = &answer.json()["result"];
    assert_eq!(result["isError"], true, "{answer:?}");
    result["content"][0]["text"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn a_tool_that_crashes_spins_or_lies_costs_its_call_and_no_other_tool() {
    let server = Server::builder()
        .shipped(&["jsonrpc", "tools"])
        .plugin("fragile", guest("fragile"))
        .plugin("shelf", guest("shelf"))
        .setting("plugin_defaults.limits.cpu_time", "300ms")
        .start()
        .await;
    let (alice, bob) = (McpClient::of(&server, "alice"), McpClient::of(&server, "bob"));
    for (name, arguments, words) in [
        ("break_something", json!({ "do": "crash" }), "crashed"),
        ("break_something", json!({ "do": "spin" }), "in time"),
        ("break_something", json!({ "do": "explode" }), "/do"),
        ("say", json!({ "content": [{ "type": "riddle" }] }), "result"),
    ] {
        let text = failed(&alice, name, arguments).await;
        assert!(text.contains(words), "{text}");
        let sum = json!({ "name": "calculator", "arguments": { "expression": "6 * 7" } });
        for client in [&alice, &bob] {
            let answer = client.modern("tools/call", sum.clone()).await;
            assert_eq!(answer.json()["result"]["content"][0]["text"], "42", "{answer:?}");
        }
    }
}
