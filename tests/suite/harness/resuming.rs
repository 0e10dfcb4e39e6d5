//! A client library in miniature, as docs/protocol.md describes one: it acknowledges, comes back after a
//! cut, resumes, and repeats what was not answered.
//!
//! It trusts the server in nothing: the first frame that breaks the protocol ends the test, with the
//! last frames in both directions in the message. What the application saw is kept in order.

mod link;
mod tests;

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::{PATIENCE, client::Ids, token};
pub use link::{Arrival, Link};

/// How many lines of the conversation a failure shows.
const TRACE: usize = 40;

/// Characters of a frame that a line shows.
const SHOWN: usize = 180;

/// When messages are acknowledged.
#[derive(Debug, Clone, Copy)]
pub enum Acks {
    Never,
    Every { messages: u64, within: Duration },
}

#[derive(Debug, Clone)]
pub struct Options {
    pub acks: Acks,
    /// Types of messages that carry a request's correlation and do not end it.
    pub partial: &'static [&'static str],
    /// Said in every failure.
    pub label: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { acks: Acks::Every { messages: 32, within: Duration::from_secs(1) }, partial: &[], label: String::new() }
    }
}

/// What came of opening a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There was no session to resume.
    Fresh,
    Resumed {
        from: u64,
        to: u64,
        last_client_id: Option<String>,
    },
    Failed {
        reason: String,
    },
}

/// What a session is resumed with.
#[derive(Debug, Clone)]
pub struct Held {
    pub session_id: String,
    pub resume_token: String,
    pub epoch: String,
}

pub struct ResumingClient {
    pub url: String,
    pub token: String,
    pub options: Options,
    link: Option<Link>,
    /// The session; changed by tests that lie about it.
    pub held: Option<Held>,
    /// The `seq` of the last message that the application saw.
    pub last_seq: u64,
    /// The last that was acknowledged.
    pub acked: u64,
    ack_due: Option<Instant>,
    ids: Ids,
    unanswered: Vec<(String, String)>,
    /// How often each id was sent, and answered.
    tallies: HashMap<String, (u32, u32)>,
    /// Messages with a `seq` as the application saw them: each answer once.
    pub seen: Vec<Value>,
    unread: VecDeque<usize>,
    /// Frames of the connection: no `seq`.
    pub unnumbered: Vec<Value>,
    pub outcomes: Vec<Outcome>,
    /// How earlier sockets ended.
    pub ends: Vec<Option<u16>>,
    trace: VecDeque<String>,
}

impl ResumingClient {
    /// Connects as a user, with defaults.
    pub async fn of(url: &str, user: &str) -> Self {
        Self::connect(url, &token(user), Options { label: user.to_owned(), ..Options::default() }).await
    }

    pub async fn connect(url: &str, token: &str, options: Options) -> Self {
        let mut client = Self::offline(url, token, options);
        client.come_back().await;
        client
    }

    /// Not connected yet: the first wait for something does it.
    pub fn offline(url: &str, token: &str, options: Options) -> Self {
        Self {
            url: url.to_owned(),
            token: token.to_owned(),
            options,
            link: None,
            held: None,
            last_seq: 0,
            acked: 0,
            ack_due: None,
            ids: Ids::default(),
            unanswered: Vec::new(),
            tallies: HashMap::new(),
            seen: Vec::new(),
            unread: VecDeque::new(),
            unnumbered: Vec::new(),
            outcomes: Vec::new(),
            ends: Vec::new(),
            trace: VecDeque::new(),
        }
    }

    /// Another client that holds the same session, as a copied browser tab or a thief does. It has seen
    /// as much, and is not connected.
    pub fn twin(&self) -> Self {
        let mut twin = Self::offline(&self.url, &self.token, self.options.clone());
        twin.options.label = format!("twin of {}", self.options.label);
        twin.held = self.held.clone();
        (twin.last_seq, twin.acked) = (self.last_seq, self.acked);
        twin
    }

    /// Sends a message under an id of its own, at once or when the client is back; returns the id.
    pub async fn send(&mut self, message_type: &str, payload: Value) -> String {
        let id = self.ids.next();
        let text = json!({ "type": message_type, "payload": payload, "id": id }).to_string();
        self.unanswered.push((id.clone(), text.clone()));
        self.tallies.insert(id.clone(), (0, 0));
        if self.link.is_some() {
            self.write_request(&id, text).await;
        }
        id
    }

    /// Sends a message and waits for what ends it, through as many cuts as come.
    pub async fn request(&mut self, message_type: &str, payload: Value) -> Value {
        let id = self.send(message_type, payload).await;
        self.answer_to(&id).await
    }

    /// Waits for the answer to a request; partial ones and other messages are kept.
    pub async fn answer_to(&mut self, id: &str) -> Value {
        let partial = self.options.partial;
        self.find(&format!("the answer to {id}"), |frame| {
            frame["correlation_id"] == id && !partial.iter().any(|name| frame["type"] == *name)
        })
        .await
    }

    pub async fn expect(&mut self, message_type: &str) -> Value {
        self.find(&format!("a message of type {message_type}"), |frame| frame["type"] == message_type).await
    }

    /// Waits for a message with a `seq` that fits; others are kept.
    pub async fn find(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.unread.iter().position(|index| fits(&self.seen[*index])) {
                let index = self.unread.remove(place).expect("the place was just found");
                return self.seen[index].clone();
            }
            if !self.step(deadline).await {
                self.fail(&format!("waited too long for {what}"));
            }
        }
    }

    /// Waits until everything is answered that was asked.
    pub async fn settle(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.unanswered.is_empty() {
            if !self.step(deadline).await {
                self.fail(&format!("waited too long for answers to {:?}", self.unanswered));
            }
        }
    }

    /// Waits for the end of this socket, and returns the close code; does not come back.
    pub async fn ended(&mut self) -> Option<u16> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.read(deadline).await {
                Arrival::Frame(frame) => self.take(frame).await,
                Arrival::End(code) => return code,
                Arrival::Nothing => self.fail("waited too long for the end of the socket"),
            }
        }
    }

    /// Ends the socket with a reset. The client stays away until it waits for something.
    pub fn cut(&mut self) {
        if let Some(link) = self.link.take() {
            self.note("-- cut by the client".to_owned());
            link.reset();
        }
    }

    /// Closes with a code; what came in before the end is not looked at.
    pub async fn close_with(&mut self, code: u16) {
        if let Some(link) = self.link.take() {
            self.note(format!("-> close {code}"));
            link.close(code).await;
        }
    }

    /// Acknowledges everything that was seen.
    pub async fn ack(&mut self) {
        let seq = self.last_seq;
        self.send_frame("ack", &json!({ "seq": seq })).await;
        (self.acked, self.ack_due) = (seq, None);
    }

    /// Sends a frame that is no request: it has no id, and is not repeated.
    pub async fn send_frame(&mut self, message_type: &str, payload: &Value) {
        self.write(json!({ "type": message_type, "payload": payload }).to_string()).await;
    }

    /// One arrival: a frame, or the end of a socket and the way back. `false` if there was nothing.
    async fn step(&mut self, deadline: Instant) -> bool {
        if self.link.is_none() {
            self.come_back().await;
            return true;
        }
        match self.read(deadline).await {
            Arrival::Frame(frame) => self.take(frame).await,
            Arrival::End(_) => {}
            Arrival::Nothing => return false,
        }
        true
    }

    /// Opens sockets until one is through: with the session, or with a fresh one and the reason for it.
    pub async fn come_back(&mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(Some(code @ 4000..4100)) = self.ends.last() {
                self.fail(&format!("closed with {code}, after which clients do not come back"));
            }
            if let Some(outcome) = self.attempt(deadline).await {
                self.outcomes.push(outcome.clone());
                for (id, text) in self.unanswered.clone() {
                    self.write_request(&id, text).await;
                }
                return outcome;
            }
            if Instant::now() > deadline {
                self.fail("cannot get through");
            }
        }
    }

    /// One socket, up to the first frame of the application. `None` if it was cut before.
    async fn attempt(&mut self, deadline: Instant) -> Option<Outcome> {
        self.link = match Link::open(&self.url, &self.token).await {
            Ok(link) => Some(link),
            Err(fault) => self.fail(&fault),
        };
        // Whatever was to be acknowledged is part of `resume`, ahead of which nothing may be sent.
        self.ack_due = None;
        let established = self.read_frame(deadline).await?;
        if established["type"] != "connection_established" {
            self.fail(&format!("the first frame was {established}"));
        }
        let payload = established["payload"].clone();
        self.unnumbered.push(established);
        let Some(held) = self.held.clone() else {
            self.begin(&payload, Vec::new()).await;
            return Some(Outcome::Fresh);
        };
        let Held { session_id, resume_token, epoch } = held;
        let resume = json!({
            "session_id": session_id, "resume_token": resume_token, "epoch": epoch, "last_seq": self.last_seq
        });
        self.send_frame("resume", &resume).await;
        // Of the fresh session, which is dropped if the old one comes back.
        let mut early = Vec::new();
        loop {
            let frame = self.read_frame(deadline).await?;
            if frame["type"] == "resumed" && frame["seq"].is_null() {
                return self.replay(&frame["payload"], deadline).await;
            }
            if frame["type"] == "resume_failed" && frame["seq"].is_null() {
                let reason = frame["payload"]["reason"].as_str().unwrap_or_default().to_owned();
                self.begin(&payload, early).await;
                return Some(Outcome::Failed { reason });
            }
            match frame["seq"].is_null() {
                true => self.unnumbered.push(frame),
                false => early.push(frame),
            }
        }
    }

    /// Goes on with the session that `connection_established` named, and what came of it already.
    async fn begin(&mut self, established: &Value, early: Vec<Value>) {
        let text = |name: &str| match established[name].as_str() {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => self.fail(&format!("connection_established has no {name}: {established}")),
        };
        let held = Held { session_id: text("session_id"), resume_token: text("resume_token"), epoch: text("epoch") };
        self.held = Some(held);
        (self.last_seq, self.acked, self.ack_due) = (0, 0, None);
        for frame in early {
            self.take(frame).await;
        }
    }

    /// Takes exactly the frames that `resumed` announced, and `replay_complete`.
    async fn replay(&mut self, resumed: &Value, deadline: Instant) -> Option<Outcome> {
        let parsed: switchboard_protocol::Resumed = match serde_json::from_value(resumed.clone()) {
            Ok(parsed) => parsed,
            Err(fault) => self.fail(&format!("`resumed` is not as described ({fault}): {resumed}")),
        };
        let switchboard_protocol::Resumed {
            session_id,
            resume_token,
            replay_from: from,
            replay_to: to,
            last_client_id,
        } = parsed;
        let Some(held) = &mut self.held else { self.fail("resumed without a session") };
        let (same_session, rotated) = (held.session_id == session_id, held.resume_token != resume_token);
        held.resume_token = resume_token;
        if !same_session || !rotated || from != self.last_seq + 1 || to + 1 < from {
            self.fail(&format!(
                "`resumed` does not fit: same session {same_session}, rotated token {rotated}, from {from} to {to}"
            ));
        }
        loop {
            let frame = self.read_frame(deadline).await?;
            if frame["type"] == "replay_complete" && frame["seq"].is_null() {
                if frame["payload"]["seq"] != to || self.last_seq != to {
                    self.fail(&format!("the replay was to end at {to}, and ended with {frame}"));
                }
                return Some(Outcome::Resumed { from, to, last_client_id });
            }
            if frame["seq"].as_u64().is_some_and(|seq| seq > to) {
                self.fail(&format!("beyond the replay's end {to}, and before replay_complete: {frame}"));
            }
            self.take(frame).await;
        }
    }

    /// A frame, or `None` at the end of the socket.
    async fn read_frame(&mut self, deadline: Instant) -> Option<Value> {
        match self.read(deadline).await {
            Arrival::Frame(frame) => Some(frame),
            Arrival::End(_) => None,
            Arrival::Nothing => self.fail("waited too long for the next frame of a new socket"),
        }
    }

    /// Reads from the socket, and acknowledges when it is time.
    async fn read(&mut self, deadline: Instant) -> Arrival {
        loop {
            let until = self.ack_due.map_or(deadline, |due| due.min(deadline));
            let Some(link) = &mut self.link else { return Arrival::End(None) };
            match link.read(until).await {
                Arrival::Nothing if until < deadline => self.ack().await,
                Arrival::Frame(frame) => {
                    self.note(format!("<- {frame}"));
                    return Arrival::Frame(frame);
                }
                Arrival::End(code) => {
                    self.note(format!("-- ended with {code:?}"));
                    self.link = None;
                    self.ends.push(code);
                    return Arrival::End(code);
                }
                Arrival::Nothing => return Arrival::Nothing,
            }
        }
    }

    /// A frame in its place: counted, matched with its request, shown to the application.
    async fn take(&mut self, frame: Value) {
        let Some(seq) = frame["seq"].as_u64() else {
            let name = frame["type"].as_str().unwrap_or_default();
            let of_connection = ["heartbeat", "reconnect", "token_expiring"];
            if !of_connection.contains(&name) || frame.get("seq").is_some() {
                self.fail(&format!("a frame that should have a `seq` has none: {frame}"));
            }
            self.unnumbered.push(frame);
            return;
        };
        if seq != self.last_seq + 1 {
            self.fail(&format!("expected seq {}, and got {seq}: {frame}", self.last_seq + 1));
        }
        self.last_seq = seq;
        if self.is_new(&frame) {
            self.unread.push_back(self.seen.len());
            self.seen.push(frame);
        }
        if let Acks::Every { messages, within } = self.options.acks {
            if seq - self.acked >= messages {
                self.ack().await;
            } else if self.ack_due.is_none() {
                self.ack_due = Some(Instant::now() + within);
            }
        }
    }

    /// `false` for the second answer to a request that was sent twice. One that was not is a fault.
    fn is_new(&mut self, frame: &Value) -> bool {
        if self.options.partial.iter().any(|name| frame["type"] == *name) {
            return true;
        }
        let Some(id) = frame["correlation_id"].as_str() else { return true };
        let Some((sent, answered)) = self.tallies.get_mut(id) else { return true };
        *answered += 1;
        let (sent, answered) = (*sent, *answered);
        if answered > sent {
            self.fail(&format!("{id} was sent {sent} times, and answered {answered} times: {frame}"));
        }
        self.unanswered.retain(|(unanswered, _)| unanswered != id);
        answered == 1
    }

    async fn write_request(&mut self, id: &str, text: String) {
        if let Some((sent, _)) = self.tallies.get_mut(id) {
            *sent += 1;
        }
        self.write(text).await;
    }

    /// A failure is found by the next read, which tells how the socket ended.
    async fn write(&mut self, text: String) {
        self.note(format!("-> {text}"));
        if let Some(link) = &mut self.link
            && !link.write(text).await
        {
            self.note("-- not written".to_owned());
        }
    }

    fn note(&mut self, line: String) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        let line = if line.len() > SHOWN { line.chars().take(SHOWN).collect::<String>() + "..." } else { line };
        self.trace.push_back(line);
    }

    /// Ends the test with everything that helps to find out why.
    pub fn fail(&self, what: &str) -> ! {
        let Self { options, last_seq, acked, outcomes, ends, .. } = self;
        let session = self.held.as_ref().map_or("none", |held| &held.session_id);
        let trace = self.trace.iter().map(String::as_str).collect::<Vec<_>>().join("\n  ");
        panic!(
            "{}: {what}\n session {session}, last_seq {last_seq}, acked {acked}\n outcomes {outcomes:?}\n ends {ends:?}\n  {trace}",
            options.label
        );
    }
}
