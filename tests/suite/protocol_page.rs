//! The transcripts of docs/protocol.md, executed: each `transcript` block gets a server of its own with the
//! plugins that ship, its lines are sent, and what comes is compared with what the page shows.

use std::collections::HashMap;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use crate::harness::{
    Claims, Client, Http, PATIENCE, Server, http_request, repository, request, token,
    transcript::{self, Action, Block, Captures, Connect, Step},
    unix_now,
};

/// Frames that may come at any time, or before everything else, and are skipped where they are not shown.
const BY_THE_WAY: [&str; 2] = ["heartbeat", "connection_established"];

#[tokio::test]
async fn the_transcripts_of_the_protocol_page_are_what_the_server_does() {
    let page = std::fs::read_to_string(repository().join("docs/protocol.md")).expect("the page is there");
    let blocks = transcript::blocks_of(&page).unwrap_or_else(|problem| panic!("docs/protocol.md, {problem}"));
    assert!(blocks.len() >= 10, "the page has only {} transcripts", blocks.len());
    let mut failures = Vec::new();
    for block in &blocks {
        if let Err(failure) = execute(block).await {
            failures.push(failure);
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n\n{}", failures.len(), blocks.len(), failures.join("\n\n"));
}

async fn execute(block: &Block) -> Result<(), String> {
    let server = Server::builder().shipped_plugins().config(&block.config).start().await;
    let mut stage = Stage { server: Some(server), clients: HashMap::new(), captures: Captures::new(), body: None };
    let at = |line, problem| format!("docs/protocol.md, transcript of line {}, at line {line}: {problem}", block.line);
    for step in &block.steps {
        stage.take(step).await.map_err(|problem| at(step.line, problem))?;
    }
    let last = block.steps.last().map_or(block.line, |step| step.line);
    for client in stage.clients.values_mut() {
        nothing_more(client).await.map_err(|problem| at(last, format!("at its end, {problem}")))?;
    }
    Ok(())
}

/// A server and those who are connected to it.
struct Stage {
    /// Not there only while it starts again.
    server: Option<Server>,
    clients: HashMap<String, Client>,
    captures: Captures,
    /// Of the HTTP response that the last line was about.
    body: Option<Value>,
}

impl Stage {
    async fn take(&mut self, step: &Step) -> Result<(), String> {
        let body = self.body.take();
        match (&step.action, body) {
            (Action::Connect(connect), _) => return self.connect(&step.client, connect).await,
            (Action::Http { method, path, user, status }, _) => {
                return self.http(method, path, user.as_deref(), *status).await;
            }
            (Action::Receive(line), Some(body)) => return self.same(line, &body),
            (Action::Terminate, _) => return self.server().map(|server| server.terminate()),
            (Action::Kill, _) => return self.server().map(Server::kill),
            (Action::StartAgain, _) => return self.start_again().await,
            _ => {}
        }
        let client = self.clients.get_mut(&step.client).ok_or_else(|| format!("{:?} is not open", step.client))?;
        match &step.action {
            Action::Send(line) => {
                let frame = transcript::filled(line, &self.captures, &token)?;
                client.send_text(&frame.to_string()).await;
            }
            Action::Receive(line) => {
                let frame = match arrived(client, line["type"].as_str()).await {
                    Ok(Arrived::Frame(frame)) => frame,
                    other => return Err(format!("{line} is shown, and this came: {other:?}")),
                };
                return self.same(line, &frame);
            }
            Action::Closed(code) => match arrived(client, None).await? {
                Arrived::Close(Some(found)) if found == *code => drop(self.clients.remove(&step.client)),
                other => return Err(format!("a close with {code} is shown, and this came: {other:?}")),
            },
            Action::Close(code) => {
                let frame = CloseFrame { code: (*code).into(), reason: "".into() };
                client.socket().close(Some(frame)).await.map_err(|problem| problem.to_string())?;
                while !matches!(arrived(client, None).await?, Arrived::Close(_)) {}
                self.clients.remove(&step.client);
            }
            Action::Cut => drop(self.clients.remove(&step.client)),
            Action::Nothing => nothing_more(client).await?,
            Action::Connect(_) | Action::Http { .. } | Action::Terminate | Action::Kill | Action::StartAgain => {}
        }
        Ok(())
    }

    fn same(&mut self, line: &Value, found: &Value) -> Result<(), String> {
        transcript::compare(line, found, &mut self.captures)
            .map_err(|problem| format!("{problem}\n  shown: {line}\n  came:  {found}"))
    }

    fn server(&mut self) -> Result<&mut Server, String> {
        self.server.as_mut().ok_or_else(|| "the server did not start again".to_owned())
    }

    async fn start_again(&mut self) -> Result<(), String> {
        let mut server = self.server.take().ok_or("the server did not start again")?;
        server.ended().await;
        self.server = Some(server.start_again().await);
        Ok(())
    }

    async fn connect(&mut self, name: &str, connect: &Connect) -> Result<(), String> {
        let mut headers = Vec::new();
        let mut url = self.server()?.url().to_owned();
        let user = connect.user.as_deref().or((!name.is_empty()).then_some(name));
        match (&connect.ticket, user) {
            (Some(ticket), _) => {
                let filled = transcript::filled(&json!(ticket), &self.captures, &token)?;
                url = format!("{url}?ticket={}", filled.as_str().unwrap_or_default());
            }
            (None, Some(user)) => {
                let life = connect.token_life.unwrap_or(3600);
                let token = Claims::of(user).with("exp", unix_now() + life).sign();
                headers.push(("authorization", format!("Bearer {token}")));
            }
            (None, None) => {}
        }
        if let Some(subprotocol) = &connect.subprotocol {
            headers.push(("sec-websocket-protocol", subprotocol.clone()));
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match (Client::open_bare(request(&url, &headers)).await, connect.refused) {
            (Ok(client), None) => drop(self.clients.insert(name.to_owned(), client)),
            (Ok(_), Some(status)) => return Err(format!("a refusal with {status} is shown, and it was accepted")),
            (Err(refusal), Some(status)) if refusal.status == status => self.body = Some(refusal.response.body),
            (Err(refusal), _) => return Err(format!("refused: {} {}", refusal.status, refusal.response.body)),
        }
        Ok(())
    }

    async fn http(&mut self, method: &str, path: &str, user: Option<&str>, status: u16) -> Result<(), String> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|problem| problem.to_string())?;
        let mut request = http_request(method, &self.server()?.http(path));
        if let Some(user) = user {
            request = request.bearer_auth(token(user));
        }
        let answer = Http::send(request).await;
        if answer.status.as_u16() != status {
            return Err(format!("{status} is shown, and {} came: {}", answer.status, answer.text));
        }
        self.body = Some(answer.json());
        Ok(())
    }
}

#[derive(Debug)]
enum Arrived {
    Frame(Value),
    Close(Option<u16>),
    Pong,
}

/// What comes next, other than frames that come by the way and are not `wanted`.
async fn arrived(client: &mut Client, wanted: Option<&str>) -> Result<Arrived, String> {
    // For all together, or heartbeats would keep up the hope for ever.
    timeout(PATIENCE, next(client, wanted)).await.map_err(|_| "nothing came".to_owned())?
}

async fn next(client: &mut Client, wanted: Option<&str>) -> Result<Arrived, String> {
    loop {
        match client.socket().next().await {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).map_err(|problem| format!("{problem}: {text}"))?;
                let by_the_way = frame["type"].as_str().filter(|name| BY_THE_WAY.contains(name));
                if by_the_way.is_none() || by_the_way == wanted {
                    return Ok(Arrived::Frame(frame));
                }
            }
            Some(Ok(Message::Close(frame))) => return Ok(Arrived::Close(frame.map(|frame| frame.code.into()))),
            Some(Ok(Message::Pong(data))) if &data[..] == MARK => return Ok(Arrived::Pong),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Ok(Arrived::Close(None)),
        }
    }
}

/// The data of our own pings.
const MARK: &[u8] = b"transcript";

/// What the server had sent before it answered our ping has been shown.
async fn nothing_more(client: &mut Client) -> Result<(), String> {
    client.socket().send(Message::Ping(MARK.into())).await.map_err(|problem| problem.to_string())?;
    match arrived(client, None).await? {
        Arrived::Pong => Ok(()),
        other => Err(format!("this came, and is not shown: {other:?}")),
    }
}

fn problem_in(lines: &str) -> String {
    transcript::blocks_of(&format!("```transcript\n{lines}\n```\n")).map(drop).unwrap_err()
}

#[test]
fn a_transcript_that_cannot_be_read_is_refused_with_its_line() {
    assert!(problem_in("").contains("line 1: the transcript is empty"));
    assert!(problem_in("== connect as alice\n-> {\"type\":").starts_with("line 3: not JSON"));
    assert!(problem_in("-> {...}").contains("shown whole"));
    assert!(problem_in("== jump").contains("not an event"));
    assert!(problem_in("== connect on alice").contains("no option"));
    assert!(problem_in("hello").contains("neither"));
    assert!(transcript::blocks_of("```transcript\n== cut\n").is_err(), "the fence is open");
    assert_eq!(transcript::blocks_of("```json\n{}\n```\n").map(|blocks| blocks.len()), Ok(0));
}

#[test]
fn a_frame_is_what_is_shown_and_dots_allow_more() {
    let lines = "a <- {\"n\": \"$n\", \"o\": {\"k\": \"abc...\", ...},\n    \"list\": [..., \"$n\", ...]}";
    let blocks = transcript::blocks_of(&format!("```transcript\n{lines}\n```\n")).expect("it can be read");
    let Action::Receive(line) = &blocks[0].steps[0].action else { panic!("{blocks:?}") };
    for (frame, fits) in [
        (json!({ "n": 1, "o": { "k": "abcd", "x": 0 }, "list": [2, 1] }), true),
        (json!({ "n": 1, "o": { "k": "abc" }, "list": [2, 3] }), false),
        (json!({ "n": 1, "o": { "k": "ab" }, "list": [1] }), false),
        (json!({ "n": 1, "o": { "k": "abc" }, "list": [1], "more": 1 }), false),
        (json!({ "n": 1, "o": {}, "list": [1] }), false),
    ] {
        assert_eq!(transcript::compare(line, &frame, &mut Captures::new()).is_ok(), fits, "{frame}");
    }
}
