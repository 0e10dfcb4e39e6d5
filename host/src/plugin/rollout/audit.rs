//! One event for everything that changes which version serves whom, whoever asked for it, under the
//! target that audits are filtered by.

use std::{fmt, time::SystemTime};

use super::super::{job::Good, operation::Order};
use crate::config::{PluginConfig, Secret};

/// The target to filter by.
const TARGET: &str = "switchboard::audit";

/// Something that was done to a plugin, or was refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AuditEvent {
    /// Unix seconds.
    pub at: f64,
    /// `deploy`, `promote`, `rollback`, `pin`, `unpin`, `enable`, `disable`, `remove` or `reload`.
    pub operation: &'static str,
    /// `done`; or why not: `unfit`, `refused`, `not_stored`.
    pub outcome: &'static str,
    /// The name of the admin token, the path of a file, or `host` for what the host decided.
    pub by: String,
    pub why: String,
    pub plugin: String,
    /// The version that it was about.
    pub digest: Option<String>,
    pub version: Option<String>,
    /// The version that was active before.
    pub from_digest: Option<String>,
    /// Share of users, for a canary.
    pub percent: Option<u32>,
    /// For which a version was chosen by hand.
    pub session_id: Option<String>,
    /// Why it was not carried out.
    pub problem: Option<String>,
    /// What the version may do from now on.
    pub grants: Option<Granted>,
}

/// What a version was given when it began to serve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Granted {
    /// Those that it imports. What it does not import it cannot use, granted or not.
    pub interfaces: Vec<String>,
    /// Names of tools, `*` for all.
    pub tools: Vec<String>,
    /// Patterns of topics.
    pub topics: Vec<String>,
    pub send_to_others: bool,
    /// Servers that it may send requests to.
    pub hosts: Vec<String>,
    /// Networks beside the public internet that these may be in.
    pub networks: Vec<String>,
    /// Names of credentials that the host adds, each with the header and the server.
    pub secrets: Vec<String>,
}

/// For people: `interfaces: http, state; hosts: https://api.example.com`, and nothing that was not given.
impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("interfaces", &self.interfaces),
            ("tools", &self.tools),
            ("topics", &self.topics),
            ("hosts", &self.hosts),
            ("networks", &self.networks),
            ("secrets", &self.secrets),
        ];
        let given = lists.iter().filter(|(_, list)| !list.is_empty());
        let mut parts: Vec<String> = given.map(|(name, list)| format!("{name}: {}", list.join(", "))).collect();
        if self.send_to_others {
            parts.push("send_to_others".to_owned());
        }
        match parts.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&parts.join("; ")),
        }
    }
}

impl Granted {
    pub fn new(made_of: &Good) -> Self {
        let PluginConfig { grants, secrets, .. } = &made_of.config;
        let place = |secret: &Secret| format!("{} to {}", secret.header, secret.host);
        Self {
            interfaces: made_of.compiled.imports.iter().map(|import| (*import).to_owned()).collect(),
            tools: grants.tools.clone(),
            topics: grants.topics.clone(),
            send_to_others: grants.send_to_others,
            hosts: grants.hosts.iter().map(ToString::to_string).collect(),
            networks: grants.networks.iter().map(ToString::to_string).collect(),
            secrets: secrets.iter().map(|(name, secret)| format!("{name}, {}", place(secret))).collect(),
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

/// Where events go: into the log, from which the telemetry keeps the newest for operators who ask.
#[derive(Default)]
pub(crate) struct AuditLog {
    /// For tests to read, the newest at the end.
    #[cfg(test)]
    told: std::sync::Mutex<Vec<AuditEvent>>,
}

impl AuditLog {
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
            grants = event.grants.as_ref().map(tracing::field::display),
            "plugin"
        );
        #[cfg(test)]
        self.told.lock().unwrap().push(event);
    }

    /// The newest first.
    #[cfg(test)]
    pub fn newest(&self) -> Vec<AuditEvent> {
        self.told.lock().unwrap().iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_told_without_what_was_not_given() {
        let mut granted = Granted {
            interfaces: Vec::new(),
            tools: Vec::new(),
            topics: Vec::new(),
            send_to_others: false,
            hosts: Vec::new(),
            networks: Vec::new(),
            secrets: Vec::new(),
        };
        assert_eq!(granted.to_string(), "nothing");
        granted.interfaces = vec!["http".to_owned(), "state".to_owned()];
        granted.hosts = vec!["https://api.example.com".to_owned()];
        granted.send_to_others = true;
        assert_eq!(granted.to_string(), "interfaces: http, state; hosts: https://api.example.com; send_to_others");
    }
}
