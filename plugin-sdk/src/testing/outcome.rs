//! What a call came to: its answer, and everything that it caused meanwhile.

use serde_json::Value;

use crate::{Delivery, Error, Level, Message, Target, http::Request};

/// The result of a call and its effects, each list in order.
#[derive(Debug)]
pub struct Outcome {
    /// The answer, none, or an error: the plugin's own, or the host's (`PAYLOAD_INVALID`,
    /// `UNKNOWN_MESSAGE_TYPE`, `PLUGIN_ANSWER_INVALID`).
    pub result: Result<Option<Message>, Error>,
    /// Messages that it sent.
    pub sent: Vec<Sent>,
    /// What it published.
    pub published: Vec<Published>,
    /// The events of its run, the terminal one included.
    pub events: Vec<RunEvent>,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// Requests that it sent to other servers, refused ones included.
    pub requests: Vec<Request>,
}

/// A message that a plugin sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// To whom.
    pub to: Target,
    /// Its type.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
    /// Whether a newer one may replace it.
    pub how: Delivery,
}

/// Something that a plugin published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Where.
    pub topic: String,
    /// Its type.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
    /// Whether the caller gets no copy.
    pub exclude_caller: bool,
}

/// An event of an agent run, with the host's stamps in the payload.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// Its type.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// How urgent.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The fields: an object, or null.
    pub fields: Value,
}

impl Outcome {
    /// The payload of the answer.
    ///
    /// # Panics
    ///
    /// If there is no answer.
    #[must_use]
    pub fn answer(&self) -> Value {
        serde_json::from_str(&self.answer_message().payload).unwrap_or_default()
    }

    /// The type of the answer.
    ///
    /// # Panics
    ///
    /// If there is no answer.
    #[must_use]
    pub fn answer_type(&self) -> &str {
        &self.answer_message().kind
    }

    /// The answer.
    ///
    /// # Panics
    ///
    /// If there is no answer.
    #[must_use]
    pub fn answer_message(&self) -> &Message {
        match &self.result {
            Ok(Some(answer)) => answer,
            Ok(None) => panic!("the plugin did not answer"),
            Err(error) => panic!("the plugin refused: {error}"),
        }
    }

    /// The error that the caller gets.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn refusal(&self) -> &Error {
        match &self.result {
            Err(error) => error,
            Ok(answer) => panic!("the plugin did not refuse, it returned {answer:?}"),
        }
    }

    /// The types of the run's events.
    #[must_use]
    pub fn event_types(&self) -> Vec<&str> {
        self.events.iter().map(|event| event.kind.as_str()).collect()
    }
}
