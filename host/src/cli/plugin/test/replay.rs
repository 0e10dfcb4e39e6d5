//! Plays the client's side of a conversation, and compares what comes with what was expected.
//!
//! Every message counts: one that no step expects is as wrong as one that does not come. Signs of life do not.
//! Nothing waits for a fixed time; each step has a deadline.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::cli::{
    connect::socket::Socket,
    conversation::{Action, Difference, Fault, Line, Outcome, differences, is_background},
    local_host::LocalHost,
};

/// Whose connection it is, where nobody is named.
const DEFAULT_USER: &str = "alice";

/// A type that no plugin handles: the host's answer to it is the last message of a connection.
const END: &str = "switchboard.plugin_test.end";

/// Where, and why, a conversation took another course.
#[derive(Debug, Serialize)]
pub(super) struct Mismatch {
    pub line: usize,
    pub problem: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub came: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

impl Mismatch {
    pub fn of_the_file(fault: &Fault) -> Self {
        Self::new(fault.line, fault.problem.clone())
    }

    fn new(line: usize, problem: String) -> Self {
        Self { line, problem, expected: Vec::new(), came: Vec::new(), differences: Vec::new() }
    }
}

/// Replays a conversation to its end, or to the first step that goes another way.
pub(super) async fn replay(host: &LocalHost, lines: &[Line], patience: Duration) -> Result<(), Mismatch> {
    let mut player = Player { host, patience, peers: BTreeMap::new(), current: DEFAULT_USER.to_owned() };
    let mut outcome = Ok(());
    for line in lines {
        outcome = player.step(line).await;
        if outcome.is_err() {
            break;
        }
    }
    if let (Ok(()), Some(last)) = (&outcome, lines.last()) {
        outcome = player.expect_nothing_more(last.number).await;
    }
    for peer in player.peers.into_values() {
        peer.socket.leave().await;
    }
    outcome
}

/// A connection.
struct Peer {
    socket: Socket,
    session_id: String,
}

struct Player<'a> {
    host: &'a LocalHost,
    patience: Duration,
    peers: BTreeMap<String, Peer>,
    /// The connection that was named last.
    current: String,
}

impl Player<'_> {
    async fn step(&mut self, line: &Line) -> Result<(), Mismatch> {
        if let Some(name) = &line.connection {
            self.current.clone_from(name);
        }
        let wrong = |problem: String| Mismatch::new(line.number, problem);
        self.be_connected(line.claims.as_ref()).await.map_err(wrong)?;
        match &line.action {
            Action::Connect => Ok(()),
            Action::Send(frame) => {
                let sent = self.peer().map_err(wrong)?.socket.send(frame.clone()).await;
                sent.map_err(|fault| wrong(format!("it could not be sent: {fault:#}")))
            }
            Action::Expect { messages, exact } => self.expect(line.number, messages, *exact).await,
            Action::CallTool { name, arguments, outcome, exact } => {
                let session_id = self.peer().map_err(wrong)?.session_id.clone();
                let call = self.host.call_tool(&session_id, name, arguments.to_string());
                let came = timeout(self.patience, call).await.map_err(|_| wrong(self.nothing_came()))?;
                compare_tool(line.number, name, outcome, came, *exact)
            }
        }
    }

    fn peer(&mut self) -> Result<&mut Peer, String> {
        self.peers.get_mut(&self.current).ok_or_else(|| format!("there is no connection {:?}", self.current))
    }

    async fn be_connected(&mut self, claims: Option<&Map<String, Value>>) -> Result<(), String> {
        match (self.peers.contains_key(&self.current), claims) {
            (true, None) => return Ok(()),
            (true, Some(_)) => return Err(format!("{:?} is connected already, with the claims it has", self.current)),
            (false, _) => {}
        }
        let token = self.host.token(&self.current, claims.cloned().unwrap_or_default());
        let token = token.map_err(|fault| format!("there is no token for these claims: {fault:#}"))?;
        let socket = Socket::open(&self.host.url(), &token, None).await.map_err(|fault| format!("{fault:#}"))?;
        let mut peer = Peer { socket, session_id: String::new() };
        let greeting = timeout(self.patience, peer.next()).await.map_err(|_| self.nothing_came())??;
        peer.session_id = greeting["payload"]["session_id"].as_str().unwrap_or_default().to_owned();
        self.peers.insert(self.current.clone(), peer);
        Ok(())
    }

    async fn expect(&mut self, line: usize, expected: &[Value], exact: bool) -> Result<(), Mismatch> {
        let nothing_came = self.nothing_came();
        let mut open: Vec<&Value> = expected.iter().collect();
        while !open.is_empty() {
            let left = || open.iter().map(|message| (*message).clone()).collect();
            let of_the_host = open.iter().any(|message| message["type"].as_str().is_some_and(is_background));
            let peer = self.peers.get_mut(&self.current);
            let next = async {
                match peer {
                    Some(peer) => peer.next_of_conversation(of_the_host).await,
                    None => Err("there is no connection".to_owned()),
                }
            };
            let came = match timeout(self.patience, next).await {
                Ok(Ok(came)) => came,
                Ok(Err(problem)) => return Err(Mismatch { expected: left(), ..Mismatch::new(line, problem) }),
                Err(_) => return Err(Mismatch { expected: left(), ..Mismatch::new(line, nothing_came) }),
            };
            match open.iter().position(|message| differing(message, &came, exact).is_empty()) {
                Some(fits) => _ = open.remove(fits),
                None => {
                    let differences = if open.len() == 1 { differing(open[0], &came, exact) } else { Vec::new() };
                    let problem = "what came is not what was expected".to_owned();
                    return Err(Mismatch { line, problem, expected: left(), came: vec![came], differences });
                }
            }
        }
        Ok(())
    }

    /// Whether all that came was expected by some step: up to the answer to a message that nobody handles.
    async fn expect_nothing_more(&mut self, line: usize) -> Result<(), Mismatch> {
        let patience = self.patience;
        for (name, peer) in &mut self.peers {
            let wrong = |problem: String| Mismatch::new(line, problem);
            let last = json!({ "type": END, "id": END }).to_string();
            peer.socket.send(last).await.map_err(|fault| wrong(format!("{fault:#}")))?;
            let next = timeout(patience, peer.next_of_conversation(false)).await;
            let came = next.map_err(|_| wrong("the host does not answer any more".to_owned()))?.map_err(wrong)?;
            if came["correlation_id"] != END {
                let problem = format!("after the last step, {name:?} gets a message that no step expects");
                return Err(Mismatch { came: vec![came], ..Mismatch::new(line, problem) });
            }
        }
        Ok(())
    }

    fn nothing_came(&self) -> String {
        format!("nothing came within {} s", self.patience.as_secs_f64())
    }
}

impl Peer {
    async fn next(&mut self) -> Result<Value, String> {
        loop {
            let Some(frame) = self.socket.next().await.map_err(|fault| format!("{fault:#}"))? else { continue };
            return serde_json::from_str(&frame).map_err(|fault| format!("a frame is not JSON: {fault}"));
        }
    }

    async fn next_of_conversation(&mut self, of_the_host: bool) -> Result<Value, String> {
        loop {
            let message = self.next().await?;
            if of_the_host || !message["type"].as_str().is_some_and(is_background) {
                return Ok(message);
            }
        }
    }
}

/// What the host adds to every message need not be mentioned, even where all of it is to be exact.
fn differing(expected: &Value, came: &Value, exact: bool) -> Vec<Difference> {
    let mut found = differences(expected, came, false);
    if exact && let (Some(expected), Some(came)) = (expected.get("payload"), came.get("payload")) {
        let more = differences(expected, came, true).into_iter();
        let more = more.map(|it| Difference { path: format!("/payload{}", it.path), ..it });
        found.extend(more.filter(|it| !found.contains(it)).collect::<Vec<_>>());
    }
    found
}

fn compare_tool(
    line: usize,
    name: &str,
    expected: &Outcome,
    came: Result<String, String>,
    exact: bool,
) -> Result<(), Mismatch> {
    let came = came.map(|result| serde_json::from_str(&result).unwrap_or(Value::String(result))).map_err(Value::from);
    let (expected, came) = match (expected, came) {
        (Outcome::Result(expected), Ok(came)) | (Outcome::Error(expected), Err(came)) => (expected, came),
        (Outcome::Result(expected), Err(came)) => {
            let problem = format!("the tool {name:?} gave no result");
            return Err(Mismatch {
                expected: vec![expected.clone()],
                came: vec![came],
                ..Mismatch::new(line, problem)
            });
        }
        (Outcome::Error(expected), Ok(came)) => {
            let problem = format!("the tool {name:?} gave a result, and no error");
            return Err(Mismatch {
                expected: vec![expected.clone()],
                came: vec![came],
                ..Mismatch::new(line, problem)
            });
        }
    };
    let differences = differences(expected, &came, exact);
    if differences.is_empty() {
        return Ok(());
    }
    let problem = format!("what the tool {name:?} gave is not what was expected");
    Err(Mismatch { line, problem, expected: vec![expected.clone()], came: vec![came], differences })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_expectation_is_about_the_payload() {
        let came = json!({"type": "a", "payload": {"n": 1, "m": 2}, "timestamp": 1.0, "seq": 2});
        assert!(differing(&json!({"type": "a", "payload": {"n": 1, "m": 2}}), &came, true).is_empty());
        let found = differing(&json!({"type": "a", "payload": {"n": 1}}), &came, true);
        assert_eq!((found.len(), found[0].path.as_str()), (1, "/payload/m"));
    }

    #[test]
    fn a_tool_that_fails_is_no_result_and_the_other_way_round() {
        let result = || Ok(r#"{"content":[]}"#.to_owned());
        assert!(compare_tool(1, "t", &Outcome::Result(json!({"content": []})), result(), true).is_ok());
        assert!(compare_tool(1, "t", &Outcome::Error(json!("$any")), result(), false).is_err());
        assert!(compare_tool(1, "t", &Outcome::Error(json!({"$like": "*no*"})), Err("is no t".into()), false).is_ok());
        assert!(compare_tool(1, "t", &Outcome::Result(json!({})), Err("x".into()), false).is_err());
    }
}
