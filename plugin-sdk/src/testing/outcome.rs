//! What a call came to: its answer, and everything that it caused meanwhile.

use serde_json::Value;

use crate::{Delivery, Error, Level, Message, Severity, Subject, Target, http::Request};

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
    /// The name of the request that the answer belongs to, if it was given one. After
    /// [`resume`](crate::Requests::resume) that is another one than the message's own.
    pub request: Option<String>,
    /// Whether the request is still open.
    pub left_open: bool,
    /// How a transport with statuses shows the answer.
    pub shown: Option<Shown>,
    /// What the plugin said has changed of its own offer.
    pub changed: Vec<Subject>,
}

/// How a transport with statuses shows an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The HTTP status.
    pub status: u16,
    /// Scopes that a token would need for another answer.
    pub missing_scopes: Vec<String>,
}

/// What a tool, resource or prompt told whoever waits for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// How far it is.
    Progress {
        /// Increases from report to report.
        progress: f64,
        /// What it will be at the end, if that is known.
        total: Option<f64>,
        /// In words.
        message: Option<String>,
    },
    /// A line for the client.
    Log {
        /// How urgent.
        severity: Severity,
        /// What part of the plugin says so.
        logger: Option<String>,
        /// Any JSON value.
        data: Value,
    },
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

impl Sent {
    pub(super) fn to_caller(kind: &str, payload: Value) -> Self {
        Self { to: Target::Caller, kind: kind.to_owned(), payload, how: Delivery::Kept }
    }
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
    /// Of a call that was never made.
    pub(super) fn refused(error: Error) -> Self {
        Self {
            result: Err(error),
            sent: vec![],
            published: vec![],
            events: vec![],
            logs: vec![],
            requests: vec![],
            request: None,
            left_open: false,
            shown: None,
            changed: vec![],
        }
    }

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
