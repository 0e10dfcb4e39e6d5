//! MCP in both of its eras over one socket under the subprotocol `mcp`, with a guest that offers everything.

use serde_json::{Value, json};

use crate::harness::{Client, Server, guest, request, token};

async fn server() -> Server {
    Server::builder().system().shipped(&["jsonrpc"]).plugin("shelf", guest("shelf")).start().await
}

async fn open(server: &Server, user: &str) -> Client {
    let bearer = format!("Bearer {}", token(user));
    let headers = [("authorization", bearer.as_str()), ("sec-websocket-protocol", "mcp")];
    Client::open_bare(request(server.url(), &headers)).await.expect("accepted")
}

async fn send(client: &mut Client, id: Value, method: &str, params: Value) {
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    client.send_text(&request.to_string()).await;
}

async fn ask(client: &mut Client, method: &str, params: Value) -> Value {
    send(client, json!(method), method, params).await;
    client.find("the answer", |frame| frame["id"] == method).await
}

async fn modern(client: &mut Client, method: &str, mut params: Value) -> Value {
    params["_meta"] = meta();
    ask(client, method, params).await
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
    })
}

async fn initialize(client: &mut Client) {
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": {} } });
    let answer = ask(client, "initialize", params).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
    client.send_text(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
}

#[tokio::test]
async fn both_eras_have_all_lists_and_all_items() {
    let server = server().await;
    let mut client = open(&server, "alice").await;
    initialize(&mut client).await;
    for (method, member) in [
        ("tools/list", "tools"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("prompts/list", "prompts"),
    ] {
        let legacy = ask(&mut client, method, json!({})).await;
        let modern = modern(&mut client, method, json!({})).await;
        assert!(legacy["result"][member].as_array().is_some_and(|list| !list.is_empty()), "{legacy}");
        assert_eq!(modern["result"]["resultType"], "complete", "{modern}");
        assert!(modern["result"]["ttlMs"].is_u64(), "{modern}");
    }
    let read = modern(&mut client, "resources/read", json!({ "uri": "shelf://page/2" })).await;
    assert_eq!(read["result"]["contents"][0]["text"], "A page.", "{read}");
    let missing = modern(&mut client, "resources/read", json!({ "uri": "shelf://page/9" })).await;
    assert_eq!(missing["error"]["code"], -32602, "{missing}");
    let missing = ask(&mut client, "resources/read", json!({ "uri": "shelf://page/9" })).await;
    assert_eq!(missing["error"]["code"], -32002, "{missing}");
    let prompt = ask(&mut client, "prompts/get", json!({ "name": "greet", "arguments": { "name": "Ada" } })).await;
    assert_eq!(prompt["result"]["messages"][0]["content"]["text"], "Greet Ada.", "{prompt}");
    let of = json!({ "type": "ref/prompt", "name": "greet" });
    let params = json!({ "ref": of, "argument": { "name": "name", "value": "A" } });
    let completion = ask(&mut client, "completion/complete", params).await;
    assert_eq!(completion["result"]["completion"]["values"].as_array().map(Vec::len), Some(100), "{completion}");
}

#[tokio::test]
async fn a_modern_client_asks_again_with_what_the_tool_needs() {
    let server = server().await;
    let mut client = open(&server, "alice").await;
    let asked = modern(&mut client, "tools/call", json!({ "name": "ask" })).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let state = asked["result"]["requestState"].clone();
    let responses = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
    let again = json!({ "name": "ask", "inputResponses": responses, "requestState": state });
    // On another connection of the same user, as there is no session.
    let mut other = open(&server, "alice").await;
    let answer = modern(&mut other, "tools/call", again.clone()).await;
    let text = answer["result"]["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains("Ada") && text.contains("asked"), "{answer}");
    let mut mallory = open(&server, "mallory").await;
    let refused = modern(&mut mallory, "tools/call", again).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
}

#[tokio::test]
async fn a_legacy_client_is_asked_by_requests_of_the_server_and_can_answer_at_once() {
    let server = server().await;
    let mut client = open(&server, "alice").await;
    initialize(&mut client).await;
    for id in 0..100 {
        send(&mut client, json!(id), "tools/call", json!({ "name": "ask" })).await;
        let question = client.find("a question", |frame| frame["method"] == "elicitation/create").await;
        let result = json!({ "action": "accept", "content": { "name": "Ada" } });
        let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
        client.send_text(&reply.to_string()).await;
        let answer = client.find("the answer", |frame| frame["id"] == id).await;
        assert!(answer["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("Ada")), "{answer}");
    }
}

#[tokio::test]
async fn a_request_is_cancelled_by_its_id_and_its_id_is_free_again() {
    let server = server().await;
    let mut client = open(&server, "alice").await;
    initialize(&mut client).await;
    send(&mut client, json!("held"), "tools/call", json!({ "name": "ask" })).await;
    client.find("a question", |frame| frame["method"] == "elicitation/create").await;
    send(&mut client, json!("held"), "ping", json!({})).await;
    let duplicate = client.find("the refusal", |frame| frame["id"] == "held").await;
    assert_eq!(duplicate["error"]["code"], -32600, "{duplicate}");
    client.send_text(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"held"}}"#).await;
    // It is handled beside what follows it, so that it takes a moment.
    crate::harness::eventually("the id to be free", async || {
        send(&mut client, json!("held"), "ping", json!({})).await;
        let answer = client.find("an answer", |frame| frame["id"] == "held").await;
        answer.get("result").map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn both_eras_are_told_when_a_plugin_comes() {
    let server = server().await;
    let mut client = open(&server, "alice").await;
    initialize(&mut client).await;
    let notifications =
        json!({ "toolsListChanged": true, "resourceSubscriptions": ["shelf://book/1", "shelf://none"] });
    let params = json!({ "_meta": meta(), "notifications": notifications });
    send(&mut client, json!("stream"), "subscriptions/listen", params).await;
    let acknowledged = client.find("the acknowledgment", |frame| frame["method"].is_string()).await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{acknowledged}");
    assert_eq!(acknowledged["params"]["notifications"]["resourceSubscriptions"], json!(["shelf://book/1"]));
    // What was sent before it, has been handled.
    ask(&mut client, "ping", json!({})).await;
    server.install("shelf-2", &guest("shelf"));
    let subscription = |frame: &Value| frame["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
    let changed = |frame: &Value| frame["method"] == "notifications/tools/list_changed";
    client.find("the stream's own", |frame| changed(frame) && subscription(frame) == "stream").await;
    client.find("the session's", |frame| changed(frame) && subscription(frame).is_null()).await;
}
