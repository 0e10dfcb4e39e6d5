//! JSON-RPC 2.0 and the start of MCP, wrapped in envelopes and bare under the subprotocol `mcp`.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Client, Server, guest, request, token, within_patience};

async fn call(client: &mut Client, rpc: Value) -> Value {
    let answer = client.request("jsonrpc", rpc).await;
    assert_eq!(answer["type"], "jsonrpc", "{answer}");
    answer["payload"].clone()
}

#[tokio::test]
async fn requests_are_answered_with_their_id_kept_exactly() {
    let server = Server::start_with(&["system", "jsonrpc", "tools"]).await;
    let mut client = Client::connect(&server, "alice").await;
    for id in [r#"1"#, r#"0"#, r#""a""#, r#""""#, "123456789012345678901234567890", "-7"] {
        let text = format!(r#"{{"type":"jsonrpc","id":"x","payload":{{"jsonrpc":"2.0","id":{id},"method":"ping"}}}}"#);
        client.send_text(&text).await;
        let raw = raw_answer(&mut client).await;
        assert!(raw.contains(&format!(r#""id":{id}"#)) && raw.contains(r#""result":{}"#), "{id}: {raw}");
    }
}

async fn raw_answer(client: &mut Client) -> String {
    loop {
        match within_patience!("a frame", client.socket().next()) {
            Some(Ok(Message::Text(text))) if text.contains("jsonrpc") => return text.to_string(),
            Some(Ok(_)) => {}
            other => panic!("no answer, but {other:?}"),
        }
    }
}

#[tokio::test]
async fn malformed_requests_get_the_codes_of_the_specification() {
    let server = Server::start_with(&["system", "jsonrpc", "tools"]).await;
    let mut client = Client::connect(&server, "alice").await;
    for (rpc, code) in [
        (json!({}), -32600),
        (json!({ "jsonrpc": "1.0", "id": 1, "method": "ping" }), -32600),
        (json!({ "jsonrpc": "2.0", "id": 1 }), -32600),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": 7 }), -32600),
        (json!({ "jsonrpc": "2.0", "id": null, "method": "ping" }), -32600),
        (json!({ "jsonrpc": "2.0", "id": 1.5, "method": "ping" }), -32600),
        (json!({ "jsonrpc": "2.0", "id": true, "method": "ping" }), -32600),
        (json!({ "jsonrpc": "2.0", "id": {}, "method": "ping" }), -32600),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": 7 }), -32602),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": "no/such/method" }), -32601),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "no_such_tool" } }), -32602),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {} }), -32602),
    ] {
        let answer = call(&mut client, rpc.clone()).await;
        let accepted = [json!(code), json!(if code == -32602 { -32600 } else { code })];
        assert!(accepted.contains(&answer["error"]["code"]), "{rpc}: {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{rpc}: {answer}");
    }
}

#[tokio::test]
async fn notifications_are_never_answered() {
    let server = Server::start_with(&["system", "jsonrpc", "tools"]).await;
    let mut client = Client::connect(&server, "alice").await;
    for method in ["notifications/initialized", "notifications/cancelled", "no/such/notification", "ping"] {
        client.send("jsonrpc", json!({ "jsonrpc": "2.0", "method": method })).await;
    }
    let answer = call(&mut client, json!({ "jsonrpc": "2.0", "id": "last", "method": "ping" })).await;
    assert_eq!(answer["id"], "last");
    client.request("ping", json!({})).await;
    assert!(client.unread_of("jsonrpc").is_empty() && client.unread_of("error").is_empty());
}

#[tokio::test]
async fn mcp_initializes_lists_and_calls_tools_of_other_plugins() {
    let server = Server::start_with(&["system", "jsonrpc", "tools"]).await;
    let mut client = Client::connect(&server, "alice").await;
    for version in ["2025-11-25", "2025-06-18"] {
        let answer = call(
            &mut client,
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } }),
        )
        .await;
        assert_eq!(answer["result"]["protocolVersion"], version, "{answer}");
        assert!(answer["result"]["capabilities"]["tools"].is_object(), "{answer}");
        assert!(answer["result"]["serverInfo"]["name"].is_string(), "{answer}");
    }
    let list = call(&mut client, json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).await;
    let tools = list["result"]["tools"].as_array().expect("tools").clone();
    let calculator = tools.iter().find(|tool| tool["name"].as_str().is_some_and(|name| name.starts_with("calc")));
    let name = calculator.expect("a calculator")["name"].clone();
    assert!(tools.iter().all(|tool| tool["inputSchema"]["type"] == "object"), "{list}");

    let sum = call(&mut client, tool_call(&name, json!({ "expression": "2 * (3 + 4)" }))).await;
    assert_ne!(sum["result"]["isError"], true, "{sum}");
    assert!(sum["result"]["content"][0]["text"].as_str().expect("a text").contains("14"), "{sum}");

    for arguments in [json!({}), json!({ "expression": 7 }), json!({ "expression": "2 +" })] {
        let failed = call(&mut client, tool_call(&name, arguments.clone())).await;
        assert_eq!(failed["result"]["isError"], true, "{arguments}: {failed}");
        let text = failed["result"]["content"][0]["text"].as_str().expect("a text");
        assert!(!text.is_empty(), "a text that a model can act on");
    }
}

fn tool_call(name: &Value, arguments: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": name, "arguments": arguments } })
}

#[tokio::test]
async fn under_the_subprotocol_mcp_frames_are_bare() {
    let server = Server::start_with(&["system", "jsonrpc", "tools"]).await;
    let bearer = format!("Bearer {}", token("alice"));
    let headers = [("authorization", bearer.as_str()), ("sec-websocket-protocol", "mcp")];
    let mut client = Client::open_bare(request(server.url(), &headers)).await.expect("accepted");
    assert_eq!(client.response.headers()["sec-websocket-protocol"], "mcp");
    client.send_text(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#).await;
    assert_eq!(client.next().await, json!({ "jsonrpc": "2.0", "id": 0, "result": {} }));

    client.send_text("this is not JSON").await;
    let error = client.next().await;
    assert_eq!(error["error"]["code"], -32700, "{error}");
    assert!(error.get("id").is_none(), "official clients refuse an error with a null id: {error}");
    client.send_text("[]").await;
    assert_eq!(client.next().await["error"]["code"], -32600);
    client.send_text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    assert!(client.next().await["result"]["tools"].is_array());
    client.socket().close(None).await.expect("closed");
}

#[tokio::test]
async fn a_tool_of_a_plugin_that_is_replaced_or_removed_follows_it() {
    let server = Server::start_with(&["system", "jsonrpc", "tools"]).await;
    let mut client = Client::connect(&server, "alice").await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let before = call(&mut client, list.clone()).await["result"]["tools"].as_array().expect("tools").len();
    assert!(before >= 5, "{before}");
    std::fs::remove_file(server.plugin_file("tools")).expect("removed");
    crate::harness::eventually("the tools to be gone", async || {
        let tools = call(&mut client, list.clone()).await["result"]["tools"].as_array().expect("tools").len();
        (tools < before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_bare_request_beyond_the_limit_in_flight_is_refused_by_its_id() {
    // The call has to outlast the second for which a full inbox is not read.
    let config = "[limits]\nmax_in_flight = 1\n[plugins.slow.limits]\ncpu_time = \"30s\"\ndeadline = \"30s\"\n\
                  [plugins.jsonrpc.limits]\ndeadline = \"30s\"";
    let server = Server::builder().shipped(&["jsonrpc"]).plugin("slow", guest("slow")).config(config).start().await;
    let bearer = format!("Bearer {}", token("alice"));
    let headers = [("authorization", bearer.as_str()), ("sec-websocket-protocol", "mcp")];
    let mut client = Client::open_bare(request(server.url(), &headers)).await.expect("accepted");
    client.send_text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    let tools = client.next().await;
    let name = &tools["result"]["tools"][0]["name"];
    client.send_text(&tool_call(name, json!({ "ms": 4_000 })).to_string()).await;
    // A notification is not answered, and what follows it is refused by name.
    client.send_text(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    client.send_text(r#"{"jsonrpc":"2.0","id":"seven","method":"ping"}"#).await;
    let refused = client.next().await;
    assert_eq!(refused["id"], "seven", "{refused}");
    assert_eq!(refused["error"]["data"]["code"], "TOO_MANY_IN_FLIGHT", "{refused}");
    assert_eq!(client.next().await["id"], 3, "the call itself is answered");
}
