//! Bare JSON-RPC messages over each way in: HTTP in both eras, a socket of its own, and envelopes.

use std::collections::HashMap;

use futures_util::StreamExt;
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Client, Http, Server, http_request, request, token, within_patience};

pub const MODERN: &str = "2026-07-28";
pub const LEGACY: &str = "2025-11-25";

/// The members that every modern request has.
pub fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": { "name": "tests", "version": "1.0.0" },
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// An answer over HTTP: its messages as they were sent, one for each event of a stream.
#[derive(Debug)]
pub struct Posted {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub messages: Vec<String>,
}

/// The door `/mcp`, as a user.
pub struct HttpDoor {
    url: String,
    headers: HashMap<String, String>,
}

impl HttpDoor {
    /// Requests that each stand for themselves.
    pub fn modern(server: &Server, user: &str) -> Self {
        let mut door = Self { url: server.http("/mcp"), headers: HashMap::new() };
        door.set("authorization", &format!("Bearer {}", token(user)));
        door.set("accept", "application/json, text/event-stream");
        door.set("content-type", "application/json");
        door.set("mcp-protocol-version", MODERN);
        door
    }

    /// A session that was initialized.
    pub async fn legacy(server: &Server, user: &str) -> Self {
        let mut door = Self::modern(server, user);
        door.set("mcp-protocol-version", LEGACY);
        let posted = door.post(initialize("first").to_string(), &[]).await;
        let session = posted.headers.get("mcp-session-id").unwrap_or_else(|| panic!("no session: {posted:?}"));
        door.set("mcp-session-id", session.to_str().expect("visible characters"));
        let posted = door.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, &[]).await;
        assert_eq!(posted.status, StatusCode::ACCEPTED, "{posted:?}");
        door
    }

    /// What every request has from here on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.headers.insert(name.to_owned(), value.to_owned());
    }

    /// Sends a body with headers beside, or instead of, its own; an empty value leaves a header out.
    pub async fn post(&self, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> Posted {
        let mut all: HashMap<&str, &str> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        all.extend(headers.iter().copied());
        let mut request = http_request(Method::POST, &self.url).body(body);
        for (name, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(name, value);
        }
        let Http { status, headers, text } = Http::send(request).await;
        let is_stream = headers.get("content-type").is_some_and(|found| found.as_bytes().starts_with(b"text/event"));
        let messages =
            if is_stream { events(&text) } else { Some(text).filter(|text| !text.is_empty()).into_iter().collect() };
        Posted { status, headers, messages }
    }
}

/// The data of each event of a whole stream; what only keeps it alive has none.
fn events(stream: &str) -> Vec<String> {
    let lines = |event: &str| -> Vec<String> {
        event.lines().filter_map(|line| line.strip_prefix("data:")).map(|data| data.trim_start().to_owned()).collect()
    };
    let stream = stream.replace("\r\n", "\n");
    stream.split("\n\n").map(lines).map(|data| data.join("\n")).filter(|data| !data.is_empty()).collect()
}

/// The first request of an older client.
pub fn initialize(id: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
        "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "tests", "version": "1.0.0" } } })
}

/// A socket that speaks JSON-RPC: bare under the subprotocol `mcp`, or in envelopes.
pub struct SocketDoor {
    client: Client,
    in_envelopes: bool,
}

impl SocketDoor {
    pub async fn bare(server: &Server, user: &str) -> Self {
        let bearer = format!("Bearer {}", token(user));
        let headers = [("authorization", bearer.as_str()), ("sec-websocket-protocol", "mcp")];
        let client = Client::open_bare(request(server.url(), &headers)).await.expect("accepted");
        Self { client, in_envelopes: false }
    }

    pub async fn in_envelopes(server: &Server, user: &str) -> Self {
        Self { client: Client::connect(server, user).await, in_envelopes: true }
    }

    /// Sends a message as it is, or within an envelope.
    pub async fn send(&mut self, message: &str) {
        if self.in_envelopes {
            let id = self.client.next_id();
            self.client.send_text(&format!(r#"{{"type":"jsonrpc","id":"{id}","payload":{message}}}"#)).await;
        } else {
            self.client.send_text(message).await;
        }
    }

    /// The next frame, as it was sent. Of an envelope it is the whole: the payload's own text is in it.
    pub async fn next(&mut self) -> String {
        loop {
            match within_patience!("a frame", self.client.socket().next()) {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no frame, but {other:?}"),
            }
        }
    }
}
