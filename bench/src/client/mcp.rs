//! `tools/call` over Streamable HTTP, in either era of the Model Context Protocol, as the official clients send it: a
//! POST for each call, on connections that are kept.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::{
    http::{self, Response},
    template::{NUMBER, Template},
    token,
};

/// What all servers here have.
const PATH: &str = "/mcp";

/// For one answer while a session begins.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Era {
    /// 2026-07-28: every request stands alone. What official clients choose with a server that knows it
    Modern,
    /// 2025-11-25: `initialize`, and a session for each connection
    Handshake,
}

/// The tool, and what it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub tool: &'a str,
    pub arguments: &'a str,
}

impl Era {
    fn revision(self) -> &'static str {
        match self {
            Self::Modern => "2026-07-28",
            Self::Handshake => "2025-11-25",
        }
    }

    /// The request of a user's connection. Begins a session, if there are any.
    pub fn request(self, server: SocketAddr, user: &str, call: Call<'_>) -> anyhow::Result<Template> {
        let token = token::of(user);
        let session = match self {
            Self::Modern => None,
            Self::Handshake => Some(session(server, &token).context("no session could be begun")?),
        };
        Ok(Template::plain(&self.text(server, &token, session.as_deref(), call)))
    }

    fn text(self, server: SocketAddr, token: &str, session: Option<&str>, call: Call<'_>) -> String {
        let Call { tool, arguments } = call;
        let (fields, meta) = match session {
            None => (
                format!("Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"),
                format!(
                    r#","_meta":{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}"#,
                    self.revision()
                ),
            ),
            Some(session) => (format!("Mcp-Session-Id: {session}\r\n"), String::new()),
        };
        let fields = format!("MCP-Protocol-Version: {}\r\n{fields}", self.revision());
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"{NUMBER}","method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}{meta}}}}}"#
        );
        post(server, token, &fields, &body)
    }
}

fn post(server: SocketAddr, token: &str, fields: &str, body: &str) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {token}\r\n\
         Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The handshake of the earlier era, and the session that it makes.
fn session(server: SocketAddr, token: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let revision = Era::Handshake.revision();
    let hello = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{}},"clientInfo":{{"name":"bench","version":"1"}}}}}}"#
    );
    let head = ask(&mut stream, &post(server, token, "", &hello))?;
    let session = http::field(&head, "mcp-session-id").context("the server names no session")?.to_owned();
    let fields = format!("MCP-Protocol-Version: {revision}\r\nMcp-Session-Id: {session}\r\n");
    ask(&mut stream, &post(server, token, &fields, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#))?;
    Ok(session)
}

/// The head of the response.
fn ask(stream: &mut TcpStream, request: &str) -> anyhow::Result<String> {
    stream.write_all(request.as_bytes())?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            bail!("the server ended the connection");
        }
        bytes.extend_from_slice(&buffer[..count]);
        match http::response(&bytes) {
            Response::Partial => {}
            Response::Broken => bail!("the answer is no response"),
            Response::Whole { status: 200..300, head, .. } => return Ok(head.to_owned()),
            Response::Whole { status, body, .. } => bail!("HTTP {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_all_that_its_era_asks_for() {
        let server = SocketAddr::from(([127, 0, 0, 1], 80));
        let call = Call { tool: "add", arguments: r#"{"a":1,"b":2}"# };
        let modern = Era::Modern.text(server, "t", None, call);
        let (head, body) = modern.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["params"]["arguments"]["b"], 2);
        assert_eq!(body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        assert_eq!(http::field(head, "mcp-name"), Some("add"));
        assert_eq!(http::field(head, "content-length"), Some(body.to_string().len().to_string().as_str()));
        let handshake = Era::Handshake.text(server, "t", Some("7"), call);
        let (head, body) = handshake.split_once("\r\n\r\n").unwrap();
        assert_eq!((http::field(head, "mcp-session-id"), body.contains("_meta")), (Some("7"), false));
    }
}
