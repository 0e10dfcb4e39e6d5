//! `/mcp` as HTTP sees it: who is let in, which requests are refused with which status, and how answers are shown.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Claims, Client, HANDSHAKE, Http, MODERN, McpClient, Server, guest, http_request, modern, request, rpc, token,
};

async fn probe() -> Server {
    Server::builder().plugin("jsonrpc", guest("rpc-probe")).start().await
}

async fn probe_with(config: &str) -> Server {
    Server::builder().plugin("jsonrpc", guest("rpc-probe")).config(config).start().await
}

fn code(answer: &Http) -> i64 {
    answer.json()["error"]["code"].as_i64().unwrap_or_default()
}

#[tokio::test]
async fn a_modern_request_is_answered_without_a_session_and_nothing_of_it_is_lost() {
    let server = probe().await;
    let alice = McpClient::of(&server, "alice");
    let answer = alice.modern("anything", json!({ "n": 1 })).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    assert_eq!((&answer.json()["id"], &answer.json()["result"]["params"]["n"]), (&json!(7), &json!(1)));
    assert!(!answer.headers.contains_key("mcp-session-id"), "{:?}", answer.headers);
    let ignored = alice.with("mcp-session-id", "unknown").with("last-event-id", "3");
    assert_eq!(ignored.modern("anything", json!({})).await.status, 200);
    let big = r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"m","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let answer =
        alice.with("mcp-protocol-version", MODERN).with("mcp-method", "m").send(Method::POST, big.into()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn what_http_can_see_to_be_wrong_is_refused_with_a_status_and_a_json_rpc_error() {
    let server = probe().await;
    let alice = McpClient::of(&server, "alice");
    let good = modern("tools/call", json!({ "name": "add" }));
    let ready = alice.repeating(&good);
    let unversioned = rpc("tools/call", json!({ "name": "add" }));
    for (client, body, status, rpc_code) in [
        (ready.with("accept", None), good.to_string(), 200, 0),
        (ready.with("accept", "*/*"), good.to_string(), 200, 0),
        (ready.with("accept", "application/json"), good.to_string(), 406, -32600),
        (ready.with("accept", "text/event-stream"), good.to_string(), 406, -32600),
        (ready.with("content-type", "text/plain"), good.to_string(), 415, -32600),
        (ready.with("content-type", None), good.to_string(), 415, -32600),
        (ready.with("mcp-method", "tools/list"), good.to_string(), 400, -32020),
        (ready.with("mcp-method", None), good.to_string(), 400, -32020),
        (ready.with("mcp-name", "sub"), good.to_string(), 400, -32020),
        (ready.with("mcp-name", None), good.to_string(), 400, -32020),
        (ready.with("mcp-name", "=?base64?YWRk?="), good.to_string(), 200, 0),
        (ready.with("mcp-name", "  add "), good.to_string(), 200, 0),
        (ready.with("mcp-protocol-version", None), good.to_string(), 400, -32020),
        (ready.with("mcp-protocol-version", HANDSHAKE), good.to_string(), 400, -32020),
        (alice.repeating(&good), unversioned.to_string(), 400, -32602),
        (alice.with("mcp-protocol-version", "1999-01-01"), unversioned.to_string(), 400, -32600),
        (alice.with("mcp-protocol-version", None), unversioned.to_string(), 400, -32600),
        (ready.with("x", "1"), "nope".into(), 400, -32700),
        (ready.with("x", "1"), String::new(), 400, -32700),
        (ready.with("x", "1"), json!([good]).to_string(), 400, -32600),
        (ready.with("x", "1"), "7".into(), 400, -32600),
        (ready.with("x", "1"), format!("{}{}", "[".repeat(200), "]".repeat(200)), 400, -32600),
        (ready.with("x", "1"), format!("\"{}\"", "x".repeat(300 * 1024)), 413, -32600),
    ] {
        let answer = client.send(Method::POST, body.clone()).await;
        let body: String = body.chars().take(100).collect();
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text);
        assert_eq!(code(&answer), rpc_code, "{body}: {}", answer.text);
        let id = answer.json().get("id").cloned();
        assert!(id.is_none() || id == Some(json!(7)), "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn other_methods_have_no_meaning_for_modern_clients() {
    let server = probe().await;
    let modern = McpClient::of(&server, "alice").with("mcp-protocol-version", MODERN);
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
        let answer = modern.send(method.clone(), String::new()).await;
        assert_eq!((answer.status.as_u16(), &answer.headers["allow"]), (405, &"POST".parse().unwrap()), "{method}");
    }
    let answer = McpClient::of(&server, "alice").send(Method::PUT, String::new()).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["allow"]), (405, &"GET, POST, DELETE".parse().unwrap()));
}

#[tokio::test]
async fn notifications_are_accepted_and_have_no_body() {
    let server = probe().await;
    let alice = McpClient::of(&server, "alice").with("accept", None);
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/anything" });
    let answer = alice.with("mcp-protocol-version", MODERN).post(note).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (202, ""));
    server.logged(&["a notification came", "notifications/anything"]).await;
    let response = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
    assert_eq!(alice.with("mcp-protocol-version", MODERN).post(response).await.status, 400);
}

#[tokio::test]
async fn the_plugin_chooses_the_status_and_missing_scopes_become_a_challenge() {
    let server = probe().await;
    let alice = McpClient::with_token(&server, &Claims::of("alice").with("scope", "chat").sign());
    let answer = alice.modern("show", json!({ "status": 404 })).await;
    assert_eq!((answer.status.as_u16(), code(&answer)), (404, -32601));
    let answer = alice.modern("show", json!({ "status": 403, "scopes": ["tools:admin"] })).await;
    assert_eq!(answer.status, 403);
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"error="insufficient_scope", scope="chat tools:admin""#), "{challenge}");
    assert!(challenge.contains("/.well-known/oauth-protected-resource/mcp"), "{challenge}");
}

#[tokio::test]
async fn nobody_without_a_token_gets_in_and_is_told_where_to_get_one() {
    let server = probe().await;
    let anonymous = McpClient::of(&server, "alice").with("authorization", None);
    let answer = anonymous.modern("m", json!({})).await;
    let document = format!("{}/.well-known/oauth-protected-resource/mcp", server.http(""));
    let wanted = format!("Bearer resource_metadata=\"{document}\"");
    assert_eq!((answer.status.as_u16(), answer.headers["www-authenticate"].to_str().unwrap()), (401, wanted.as_str()));
    assert_eq!(answer.json()["error"]["data"]["code"], "JWT_TOKEN_MISSING");
    let forged = anonymous.with("authorization", "Bearer a.b.c").modern("m", json!({})).await;
    assert!(forged.headers["www-authenticate"].to_str().unwrap().ends_with(r#"error="invalid_token""#), "{forged:?}");
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(anonymous.send(method, String::new()).await.status, 401);
    }
    let expired = Claims::of("alice").with("exp", 1).sign();
    assert_eq!(McpClient::with_token(&server, &expired).modern("m", json!({})).await.status, 401);
    for path in ["", "/mcp"] {
        let shown = Http::get(&server.http(&format!("/.well-known/oauth-protected-resource{path}"))).await;
        assert_eq!((shown.status.as_u16(), &shown.json()["resource"]), (200, &json!(server.http("/mcp"))));
        assert_eq!(shown.json()["bearer_methods_supported"], json!(["header"]));
    }
    assert_eq!(Http::get(&server.http("/.well-known/oauth-protected-resource/other")).await.status, 404);
}

#[tokio::test]
async fn a_token_has_to_be_meant_for_this_resource_if_it_has_a_name() {
    let resource = "https://mcp.example.com/a/mcp";
    let server = probe_with(&format!(
        "[mcp]\nresource = \"{resource}\"\nauthorization_servers = [\"https://id.example.com\"]\nscopes_supported = [\"tools\"]"
    ))
    .await;
    let unbound = McpClient::of(&server, "alice").modern("m", json!({})).await;
    assert_eq!(
        (unbound.status.as_u16(), &unbound.json()["error"]["data"]["code"]),
        (401, &json!("JWT_AUDIENCE_INVALID"))
    );
    let challenge = unbound.headers["www-authenticate"].to_str().unwrap();
    assert_eq!(
        challenge,
        "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/a/mcp\", \
         error=\"invalid_token\", scope=\"tools\""
    );
    let bound = McpClient::with_token(&server, &Claims::of("alice").with("aud", json!(["x", resource])).sign());
    assert_eq!(bound.modern("m", json!({})).await.status, 200);
    let elsewhere = McpClient::with_token(&server, &Claims::of("alice").with("aud", "https://other.example").sign());
    assert_eq!(elsewhere.modern("m", json!({})).await.status, 401);
    let named = bound.with("host", "mcp.example.com");
    assert_eq!(named.modern("m", json!({})).await.status, 200, "the resource's host is one of ours");
    for path in ["", "/mcp", "/a/mcp"] {
        let shown = Http::get(&server.http(&format!("/.well-known/oauth-protected-resource{path}"))).await.json();
        assert_eq!(
            (&shown["resource"], &shown["authorization_servers"], &shown["scopes_supported"]),
            (&json!(resource), &json!(["https://id.example.com"]), &json!(["tools"]))
        );
    }
}

#[tokio::test]
async fn hosts_and_origins_of_others_are_refused_before_anything_else() {
    let server = probe_with("[mcp]\nallowed_hosts = [\"*.internal\"]").await;
    let alice = McpClient::of(&server, "alice");
    for (name, value, status) in [
        ("host", "localhost:8080", 200),
        ("host", "127.0.0.1", 200),
        ("host", "[::1]:1", 200),
        ("host", "a.internal", 200),
        ("host", "evil.example.com", 403),
        ("host", "localhost.evil.example", 403),
        ("origin", "http://localhost:3000", 200),
        ("origin", "http://evil.example.com", 403),
        ("origin", "null", 403),
    ] {
        let answer = alice.with(name, value).modern("m", json!({})).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}: {}", answer.text);
        let anonymous = alice.with(name, value).with("authorization", None).modern("m", json!({})).await;
        assert_eq!(anonymous.status.as_u16(), if status == 200 { 401 } else { 403 }, "{name}: {value}");
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_may_send_and_read_the_headers_of_mcp() {
    let server = probe().await;
    let preflight = http_request(Method::OPTIONS, &server.http("/mcp"))
        .header("origin", "http://localhost:3000")
        .header("access-control-request-method", "DELETE")
        .header("access-control-request-headers", "authorization,mcp-session-id,mcp-param-region");
    let answer = Http::send(preflight).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "http://localhost:3000");
    let header = |name: &str| answer.headers[name].to_str().unwrap().to_ascii_lowercase();
    assert!(header("access-control-allow-methods").contains("delete"), "{:?}", answer.headers);
    assert!(header("access-control-allow-headers").contains("mcp-param-region"), "{:?}", answer.headers);
    let page = McpClient::of(&server, "alice").with("origin", "http://localhost:3000").with("authorization", None);
    let refused = page.modern("m", json!({})).await;
    let exposed = refused.headers["access-control-expose-headers"].to_str().unwrap().to_ascii_lowercase();
    assert!(exposed.contains("www-authenticate") && exposed.contains("mcp-session-id"), "{exposed}");
}

#[tokio::test]
async fn too_many_messages_are_refused_with_a_time_to_wait() {
    let server = Server::builder()
        .plugin("jsonrpc", guest("rpc-probe"))
        .setting("limits.user_messages_per_second", "1")
        .setting("limits.user_message_burst", "2")
        .start()
        .await;
    let alice = McpClient::of(&server, "alice");
    let mut refused = None;
    // A slow machine may earn a message meanwhile.
    for _ in 0..20 {
        let answer = alice.modern("m", json!({})).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a refusal");
    assert_eq!((&refused.json()["id"], code(&refused)), (&json!(7), -32603));
    assert_eq!(refused.json()["error"]["data"]["code"], "RATE_LIMITED");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(McpClient::of(&server, "bob").modern("m", json!({})).await.status, 200, "others are not meant");
}

#[tokio::test]
async fn where_nobody_serves_mcp_a_client_is_told_to_come_again() {
    let server = Server::builder().system().start().await;
    let answer = McpClient::of(&server, "alice").modern("m", json!({})).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]["data"]["code"]),
        (503, &json!("UNKNOWN_MESSAGE_TYPE"))
    );
    assert_eq!(McpClient::of(&server, "alice").post(crate::harness::initialize()).await.status, 503);
}

#[tokio::test]
async fn a_socket_on_the_same_address_speaks_bare_json_rpc_unless_it_asks_for_envelopes() {
    let server = probe().await;
    let url = server.url().replace("/ws", "/mcp");
    let header = format!("Bearer {}", token("alice"));
    for (offered, echoed) in [(None, None), (Some("mcp"), Some("mcp"))] {
        let mut headers = vec![("authorization", header.as_str())];
        headers.extend(offered.map(|offered| ("sec-websocket-protocol", offered)));
        let answer = bare(&url, &headers, &rpc("m", json!({}))).await;
        assert_eq!((&answer.0["id"], answer.1.as_deref()), (&json!(7), echoed), "{offered:?}");
    }
    let headers = [("authorization", header.as_str()), ("sec-websocket-protocol", "switchboard.v1")];
    let client = Client::open(request(&url, &headers)).await.expect("accepted");
    assert_eq!(client.established["user_id"], "alice");
    let rebound = http_request(Method::GET, &server.http("/mcp"))
        .header("authorization", &header)
        .header("host", "evil.example")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(Http::send(rebound).await.status, 403);
    let tickets = http_request(Method::POST, &server.http("/ws/ticket")).header("authorization", &header);
    let ticket = Http::send(tickets).await.json()["ticket"].as_str().expect("a ticket").to_owned();
    let answer = bare(&format!("{url}?ticket={ticket}"), &[], &rpc("m", json!({}))).await;
    assert_eq!(answer.0["result"]["method"], "m");
    assert_eq!(Http::get(&server.http("/ws/config")).await.json()["endpoints"]["mcp"], "/mcp");
}

/// The answer to one bare message, and the subprotocol that was echoed.
async fn bare(url: &str, headers: &[(&str, &str)], message: &Value) -> (Value, Option<String>) {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let (mut socket, response) =
        tokio_tungstenite::connect_async(request(url, headers)).await.expect("the upgrade is accepted");
    let echoed = response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap().to_owned());
    socket.send(Message::text(message.to_string())).await.expect("sent");
    loop {
        match crate::harness::within_patience!("an answer", socket.next()) {
            Some(Ok(Message::Text(text))) => {
                let answer: Value = serde_json::from_str(&text).expect("JSON");
                // What a session that begins is sent comes first.
                if answer.get("id").is_some() {
                    return (answer, echoed);
                }
            }
            Some(Ok(_)) => {}
            other => panic!("no answer, but {other:?}"),
        }
    }
}
