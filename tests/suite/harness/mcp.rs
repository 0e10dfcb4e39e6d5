//! A client of `/mcp` that sends exactly what a test tells it to, and reads answers of both kinds.

use reqwest::{
    Method, Response, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use super::{Http, Server, http_request, token, within_patience};

/// The revision without a handshake.
pub const MODERN: &str = "2026-07-28";

/// The newest revision with one.
pub const HANDSHAKE: &str = "2025-11-25";

/// One user's view of a server.
pub struct McpClient {
    url: String,
    headers: HeaderMap,
}

impl McpClient {
    pub fn of(server: &Server, subject: &str) -> Self {
        Self::with_token(server, &token(subject))
    }

    pub fn with_token(server: &Server, token: &str) -> Self {
        Self::anonymous(server)
            .with("authorization", format!("Bearer {token}").as_str())
            .with("content-type", "application/json")
            .with("accept", "application/json, text/event-stream")
    }

    /// Nothing is sent beyond what HTTP needs.
    pub fn anonymous(server: &Server) -> Self {
        Self { url: server.http("/mcp"), headers: HeaderMap::new() }
    }

    /// Another value for a header, or none.
    pub fn with<'a>(&self, name: &str, value: impl Into<Option<&'a str>>) -> Self {
        let mut headers = self.headers.clone();
        let name: HeaderName = name.parse().expect("a header");
        headers.remove(&name);
        if let Some(value) = value.into() {
            headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        Self { url: self.url.clone(), headers }
    }

    /// As a client with a handshake makes one.
    pub async fn initialized(&self) -> Self {
        let answer = self.post(initialize()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let id = answer.headers["mcp-session-id"].to_str().expect("visible ASCII").to_owned();
        self.with("mcp-session-id", id.as_str()).with("mcp-protocol-version", HANDSHAKE)
    }

    /// The headers that repeat a modern request.
    pub fn repeating(&self, request: &Value) -> Self {
        let method = request["method"].as_str().expect("a method");
        let params = &request["params"];
        let name = if method == "resources/read" { &params["uri"] } else { &params["name"] };
        let has_name = matches!(method, "tools/call" | "prompts/get" | "resources/read");
        self.with("mcp-protocol-version", MODERN)
            .with("mcp-method", method)
            .with("mcp-name", name.as_str().filter(|_| has_name))
    }

    /// A modern request with all that it needs.
    pub async fn modern(&self, method: &str, params: Value) -> Http {
        let request = modern(method, params);
        self.repeating(&request).post(request).await
    }

    /// The same, for an answer that may be a stream.
    pub async fn modern_stream(&self, method: &str, params: Value) -> Events {
        let request = modern(method, params);
        self.repeating(&request).stream(Method::POST, request.to_string()).await
    }

    pub async fn post(&self, message: Value) -> Http {
        self.send(Method::POST, message.to_string()).await
    }

    pub async fn send(&self, method: Method, body: String) -> Http {
        Http::send(http_request(method, &self.url).headers(self.headers.clone()).body(body)).await
    }

    pub async fn stream(&self, method: Method, body: String) -> Events {
        let request = http_request(method, &self.url).headers(self.headers.clone()).body(body);
        let response = within_patience!("the head of a stream", request.send()).expect("an answer");
        Events { response, text: String::new() }
    }
}

/// What begins a session.
pub fn initialize() -> Value {
    rpc(
        "initialize",
        json!({
            "protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": { "name": "suite", "version": "1" },
        }),
    )
}

pub fn rpc(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

/// A request that says all about itself.
pub fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    rpc(method, params)
}

/// An answer that is read event by event.
pub struct Events {
    pub response: Response,
    text: String,
}

impl Events {
    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The next message; `None` at the end of the stream. Comments are skipped, and do not make it wait for longer.
    pub async fn next(&mut self) -> Option<Value> {
        let block = self.first(|block| !block.starts_with(':')).await?;
        let data = block.strip_prefix("event: message\ndata: ");
        let data = data.unwrap_or_else(|| panic!("{block:?} is no message"));
        Some(serde_json::from_str(data).expect("JSON"))
    }

    /// The next comment. Messages are skipped.
    pub async fn comment(&mut self) -> Option<String> {
        self.first(|block| block.starts_with(':')).await
    }

    async fn first(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let finding = async {
            loop {
                let block = self.block().await?;
                if wanted(&block) {
                    return Some(block);
                }
            }
        };
        within_patience!("a part of a stream", finding)
    }

    /// Up to the next empty line.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            // One that was cut off ends, too.
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8 in whole characters"));
        }
    }
}
