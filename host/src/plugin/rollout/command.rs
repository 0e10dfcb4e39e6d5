//! What the supervisor's task is asked for, on whose order, and how the answer gets back.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::{Notify, oneshot};

use super::{
    super::{
        artifact::Validated,
        operation::{Done, OperationError, Order},
    },
    audit::AuditEvent,
};

/// Operations that wait for the supervisor: it is never busy for long, and operators are few.
pub(crate) const PENDING_REQUESTS: usize = 16;

pub(crate) type Answer = Result<Done, OperationError>;

pub(crate) struct Request {
    pub plugin: Arc<str>,
    pub command: Command,
    pub order: Order,
    pub began: Instant,
    pub answer: oneshot::Sender<Answer>,
}

pub(crate) enum Command {
    /// `percent`: as in [`Deployment`](super::super::operation::Deployment).
    Deploy {
        validated: Validated,
        percent: Option<u32>,
    },
    Promote,
    /// To the version before, if none is named; or to the active one, if there is a canary.
    Rollback {
        to: Option<String>,
    },
    Pin {
        session_id: String,
        version: String,
    },
    Unpin {
        session_id: String,
    },
    Enable,
    Disable,
    /// With all of its versions, if it has no file.
    Remove,
}

impl Command {
    /// In audits and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Deploy { .. } => "deploy",
            Self::Promote => "promote",
            Self::Rollback { .. } => "rollback",
            Self::Pin { .. } => "pin",
            Self::Unpin { .. } => "unpin",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Remove => "remove",
        }
    }
}

/// What a job is for.
pub(crate) enum Purpose {
    /// To bring what serves in line with its file and the config.
    Follow,
    /// The same for a version beside the active one, by its digest.
    Beside(String),
    Operation(Box<Operation>),
}

/// An operation whose version is on its way.
pub(crate) struct Operation {
    pub goal: Goal,
    pub ticket: Ticket,
}

/// What is to become of a version that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    /// 0: for everybody.
    Deploy {
        percent: u32,
    },
    Promote,
    Rollback,
    Pin {
        session_id: String,
    },
}

/// Goes with an operation from its beginning to its answer.
pub(crate) struct Ticket {
    pub event: AuditEvent,
    pub began: Instant,
    /// `None` if nobody waits: a file, or the host itself.
    pub answer: Option<oneshot::Sender<Answer>>,
}

impl Ticket {
    /// For what nobody waits for.
    pub fn unasked(operation: &'static str, plugin: &str, order: &Order, began: Instant) -> Self {
        Self { event: AuditEvent::new(operation, plugin, order), began, answer: None }
    }

    pub fn is_unasked(&self) -> bool {
        self.answer.is_none()
    }
}

/// An answer that is given when what it says can be seen.
pub(crate) struct Answered {
    pub to: oneshot::Sender<Answer>,
    pub answer: Answer,
}

impl Answered {
    pub fn send(self) {
        // Whoever asked may not wait any more.
        let _ = self.to.send(self.answer);
    }
}

/// Sessions that had a version chosen by hand, and have ended. There are no more than there are pins.
#[derive(Default)]
pub(crate) struct Ended {
    sessions: Mutex<BTreeSet<String>>,
    sign: Notify,
}

impl Ended {
    pub fn add(&self, session_id: &str) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(session_id.to_owned());
        self.sign.notify_one();
    }

    /// Waits until there are some.
    pub async fn next(&self) -> BTreeSet<String> {
        loop {
            self.sign.notified().await;
            let sessions = std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
            if !sessions.is_empty() {
                return sessions;
            }
        }
    }
}
