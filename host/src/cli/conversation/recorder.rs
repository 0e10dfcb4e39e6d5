//! Writes down a conversation while it takes place, in a form that can be replayed.
//!
//! Nothing secret is written: tokens that come are wildcards, and what a client sends with one is left out, which
//! a comment says. Messages that were on their way at the same time are expected in any order.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use serde_json::{Map, Value, json};

use super::{
    is_background,
    volatile::{Sent, generalised},
};

/// Types whose payload holds a token.
const WITH_TOKENS: [&str; 2] = ["refresh_token", "resume"];

/// A file that grows with the conversation.
pub(crate) struct Recorder {
    file: BufWriter<File>,
    sent: Sent,
    /// Frames that were sent since a message last came.
    unanswered: usize,
    /// Messages that came since a frame was last sent.
    came: Vec<Value>,
}

impl Recorder {
    /// Begins a file, which must not be there yet.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(path)?;
        Ok(Self { file: BufWriter::new(file), sent: Sent::default(), unanswered: 0, came: Vec::new() })
    }

    /// A frame goes out.
    pub fn sent(&mut self, frame: &str) -> io::Result<()> {
        self.write_what_came()?;
        self.unanswered += 1;
        let Ok(message) = serde_json::from_str::<Value>(frame) else {
            return self.line(&json!({ "send": frame }));
        };
        if let Some(kind) = WITH_TOKENS.iter().find(|kind| message["type"] == **kind) {
            return writeln!(self.file, "# {kind} was sent here: it holds a token, and is not recorded");
        }
        self.sent.note(&message);
        // As it was typed, but for the ends of lines.
        writeln!(self.file, "{{\"send\":{}}}", frame.replace(['\r', '\n'], " "))
    }

    /// A frame came in.
    pub fn came(&mut self, frame: &str) -> io::Result<()> {
        let Ok(Value::Object(message)) = serde_json::from_str::<Value>(frame) else { return Ok(()) };
        let kind = message.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind == "connection_established" {
            let user = message.get("payload").and_then(|payload| payload["user_id"].as_str()).unwrap_or("user");
            return self.line(&json!({ "as": user }));
        }
        if !is_background(kind) && !WITH_TOKENS.contains(&kind) {
            self.came.push(generalised(&message, &self.sent));
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn finish(&mut self) -> io::Result<()> {
        self.write_what_came()?;
        self.file.flush()
    }

    fn write_what_came(&mut self) -> io::Result<()> {
        let came = std::mem::take(&mut self.came);
        let at_once = std::mem::take(&mut self.unanswered);
        if came.is_empty() {
            // What is sent now is on its way together with what was sent before.
            self.unanswered = at_once;
            return Ok(());
        }
        if at_once > 1 && came.len() > 1 {
            return self.line(&json!({ "expect_all": came }));
        }
        came.iter().try_for_each(|message| self.line(&expectation(message)))
    }

    fn line(&mut self, step: &Value) -> io::Result<()> {
        writeln!(self.file, "{step}")?;
        // So that what was said is there, however the program ends.
        self.file.flush()
    }
}

/// An error is what people look for, and has a step of its own.
fn expectation(message: &Value) -> Value {
    let only = |names: &[&str]| {
        message.as_object().map(Map::keys).is_some_and(|mut keys| keys.all(|key| names.contains(&key.as_str())))
    };
    if message["type"] == "error" && only(&["type", "payload"]) {
        return json!({ "expect_error": message["payload"] });
    }
    json!({ "expect": message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::conversation::parse;

    fn recorded(play: impl FnOnce(&mut Recorder)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conversation.jsonl");
        let mut recorder = Recorder::create(&path).unwrap();
        recorder.came(r#"{"type":"connection_established","payload":{"user_id":"alice"},"seq":1}"#).unwrap();
        play(&mut recorder);
        recorder.finish().unwrap();
        assert!(Recorder::create(&path).is_err(), "nothing is overwritten");
        let text = std::fs::read_to_string(path).unwrap();
        parse(&text).expect("what is recorded can be replayed");
        text
    }

    #[test]
    fn what_is_said_becomes_steps() {
        let text = recorded(|recorder| {
            recorder.sent(r#"{"type":"ping","id":"1"}"#).unwrap();
            recorder.came(r#"{"type":"heartbeat","payload":{},"seq":2}"#).unwrap();
            recorder.came(r#"{"type":"pong","payload":{},"correlation_id":"1","seq":3,"timestamp":1.0}"#).unwrap();
            recorder.sent("not json").unwrap();
            recorder.came(r#"{"type":"error","payload":{"code":"X","timestamp":1.5}}"#).unwrap();
        });
        let expected = [
            r#"{"as":"alice"}"#,
            r#"{"send":{"type":"ping","id":"1"}}"#,
            r#"{"expect":{"correlation_id":"1","payload":{},"type":"pong"}}"#,
            r#"{"send":"not json"}"#,
            r#"{"expect_error":{"code":"X","timestamp":"$number"}}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_was_under_way_at_once_is_expected_in_any_order() {
        let text = recorded(|recorder| {
            recorder.sent(r#"{"type":"a"}"#).unwrap();
            recorder.sent(r#"{"type":"b"}"#).unwrap();
            recorder.came(r#"{"type":"a_done"}"#).unwrap();
            recorder.came(r#"{"type":"b_done"}"#).unwrap();
        });
        assert!(text.ends_with("{\"expect_all\":[{\"type\":\"a_done\"},{\"type\":\"b_done\"}]}\n"), "{text}");
    }

    #[test]
    fn no_token_is_written() {
        let text = recorded(|recorder| {
            recorder.sent(r#"{"type":"refresh_token","payload":{"token":"secret.of.mine"}}"#).unwrap();
            recorder.came(r#"{"type":"resumed","payload":{"resume_token":"secret too"}}"#).unwrap();
        });
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("# refresh_token was sent here"), "{text}");
    }
}
