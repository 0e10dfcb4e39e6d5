//! One event for everything that changes which version serves whom, whoever asked for it, under the
//! target that audits are filtered by. The newest are kept in memory for the admin listener.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use serde::Serialize;
use utoipa::ToSchema;

use super::super::operation::Order;
use crate::config::Grants;

/// The target to filter by.
const TARGET: &str = "switchboard::audit";

/// Events that are kept: days of deploying, and about a megabyte. The log has all of them.
const MAX_EVENTS: usize = 1_000;

/// Something that was done to a plugin, or was refused.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct AuditEvent {
    /// Unix seconds.
    pub at: f64,
    /// `deploy`, `promote`, `rollback`, `pin`, `unpin`, `enable`, `disable`, `remove` or `reload`.
    #[schema(value_type = String)]
    pub operation: &'static str,
    /// `done`; or why not: `unfit`, `refused`, `not_stored`.
    #[schema(value_type = String)]
    pub outcome: &'static str,
    /// The name of the admin token, the path of a file, or `host` for what the host decided.
    pub by: String,
    pub why: String,
    pub plugin: String,
    /// The version that it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version that was active before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_digest: Option<String>,
    /// Share of users, for a canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// For which a version was chosen by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Why it was not carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the version may do from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Granted>,
}

/// What a version was given when it began to serve.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Granted {
    /// Those that it imports. What it does not import it cannot use, granted or not.
    pub interfaces: Vec<String>,
    /// Names of tools, `*` for all.
    pub tools: Vec<String>,
    /// Patterns of topics.
    pub topics: Vec<String>,
    pub send_to_others: bool,
}

impl Granted {
    pub fn new(imports: &[&'static str], grants: &Grants) -> Self {
        Self {
            interfaces: imports.iter().map(|import| (*import).to_owned()).collect(),
            tools: grants.tools.clone(),
            topics: grants.topics.clone(),
            send_to_others: grants.send_to_others,
        }
    }
}

impl AuditEvent {
    pub fn new(operation: &'static str, plugin: &str, order: &Order) -> Self {
        Self {
            at: switchboard_protocol::unix_seconds(SystemTime::now()),
            operation,
            outcome: "done",
            by: order.by.clone(),
            why: order.why.clone(),
            plugin: plugin.to_owned(),
            digest: None,
            version: None,
            from_digest: None,
            percent: None,
            session_id: None,
            problem: None,
            grants: None,
        }
    }
}

/// The newest events.
#[derive(Default)]
pub(crate) struct AuditLog {
    events: Mutex<VecDeque<AuditEvent>>,
}

impl AuditLog {
    /// Tells of an event, and keeps it for a while.
    pub fn record(&self, event: AuditEvent) {
        tracing::info!(
            target: TARGET,
            operation = event.operation,
            outcome = event.outcome,
            by = event.by,
            why = event.why,
            plugin = event.plugin,
            digest = event.digest,
            version = event.version,
            from_digest = event.from_digest,
            percent = event.percent,
            session_id = event.session_id,
            problem = event.problem,
            grants = event.grants.as_ref().map(tracing::field::debug),
            "plugin"
        );
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= MAX_EVENTS {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// The newest first.
    #[cfg(test)]
    pub fn newest(&self) -> Vec<AuditEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_events_are_kept() {
        let log = AuditLog::default();
        let order = Order { by: "ops".into(), why: String::new() };
        for number in 0..MAX_EVENTS + 2 {
            log.record(AuditEvent::new("deploy", &number.to_string(), &order));
        }
        let events = log.newest();
        assert_eq!((events.len(), events[0].plugin.as_str()), (MAX_EVENTS, "1001"));
        assert_eq!(events[MAX_EVENTS - 1].plugin, "2");
    }
}
