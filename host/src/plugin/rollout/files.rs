//! What a file in the directory means for the versions of its plugin, and what is kept of plugins.

use std::{collections::HashSet, sync::Arc, time::Instant};

use tokio::task::spawn_blocking;

use super::{
    super::{
        job::Ready,
        operation::{OperationError, Order},
        record::Record,
        status::{LoadFailure, Stage},
        supervisor::Supervisor,
        version::PluginVersion,
    },
    audit::{AuditEvent, Granted},
    carry_out::done,
    command::{Goal, Ticket},
};
use crate::config::PluginConfig;

impl Supervisor {
    /// Takes up what the last process left. Names those that need no file.
    pub fn remember(&mut self) -> Vec<Arc<str>> {
        let mut revived = Vec::new();
        for (name, lineage) in std::mem::take(&mut self.archive.remembered) {
            let record = self.record(&name);
            record.lineage = lineage;
            if record.revived() {
                revived.push(name);
            }
        }
        revived
    }

    fn ticket_of_file(record: &Record, operation: &'static str, why: &str, began: Instant) -> Ticket {
        let order = Order { by: record.source.display().to_string(), why: why.to_owned() };
        let mut ticket = Ticket::unasked(operation, &record.name, &order, began);
        ticket.event.from_digest = record.lineage.active().map(str::to_owned);
        ticket
    }

    /// A file holds what is to serve, and that is ready: a deployment like any other.
    pub async fn file_is_ready(&mut self, name: &Arc<str>, ready: Ready, began: Instant, wanted: &PluginConfig) {
        let Some(record) = self.records.get(name) else { return };
        let ticket = Self::ticket_of_file(record, "deploy", "the file is new, or has changed", began);
        self.install(name, Goal::Deploy { percent: wanted.canary.percent }, ready, ticket).await;
    }

    /// A file does not come to traffic.
    pub fn file_is_unfit(&mut self, name: &Arc<str>, failure: &LoadFailure) {
        let Some(record) = self.records.get(name) else { return };
        // What was tried, for the file may hold something else by now. What is active fails, but is not new.
        let tried = record.tried().filter(|tried| record.lineage.active() != Some(tried)).map(str::to_owned);
        if tried.is_none() {
            return;
        }
        let mut ticket = Self::ticket_of_file(record, "deploy", "the file is new, or has changed", Instant::now());
        ticket.event.digest = tried;
        self.conclude(ticket, Err(failure.clone().into()));
    }

    /// An operator chose another version while what the file holds was on its way.
    pub fn file_is_superseded(&mut self, name: &Arc<str>, digest: String, by: &str) {
        let Some(record) = self.records.get_mut(name) else { return };
        let problem = format!("{by} chose another version while it was on its way: to have it, deploy it");
        record.failed(LoadFailure::new(Stage::Superseded, &problem));
        let mut ticket = Self::ticket_of_file(record, "deploy", "the file is new, or has changed", Instant::now());
        ticket.event.digest = Some(digest);
        self.conclude(ticket, Err(OperationError::NotNow(problem)));
    }

    /// A file holds again what is active: whatever was tried beside it is over.
    pub async fn file_is_back(&mut self, name: &Arc<str>) {
        let Some(record) = self.records.get(name) else { return };
        if record.lineage.canary.is_none() {
            let lineage = record.lineage.clone();
            return self.save_or_warn(name, &lineage).await;
        }
        let ticket =
            Self::ticket_of_file(record, "rollback", "the file holds the active version again", Instant::now());
        let answer = self.end_canary(name, &ticket).await;
        self.conclude(ticket, answer);
    }

    /// A file was deleted, and its plugin is unloaded.
    pub async fn file_is_gone(&mut self, name: &Arc<str>) {
        let Some(record) = self.records.get(name) else { return };
        let ticket = Self::ticket_of_file(record, "remove", "the file was deleted", Instant::now());
        let lineage = record.lineage.clone();
        let done = done(name, &lineage, "", &ticket);
        self.save_or_warn(name, &lineage).await;
        self.conclude(ticket, Ok(done));
    }

    async fn save_or_warn(&mut self, name: &Arc<str>, lineage: &super::lineage::Lineage) {
        if let Err(fault) = self.archive.save(name, lineage).await {
            tracing::error!(plugin = %name, %fault, "a restart will find an older state of the plugin's versions");
        }
    }

    /// The active version was built again. An event, if it was with other grants or secrets than before.
    pub fn regranted(&self, name: &Arc<str>, ready: &Ready) {
        let Some(before) = self.records.get(name).and_then(|record| record.good.as_ref()) else { return };
        let (before, now) = (&before.config, &ready.made_of.config);
        let why = match (before.grants == now.grants, before.secrets == now.secrets) {
            (true, true) => return,
            (false, true) => "the grants have changed",
            (true, false) => "the secrets have changed",
            (false, false) => "the grants and the secrets have changed",
        };
        let mut event = event_of_config(name, &ready.version, why);
        event.grants = Some(Granted::new(&ready.made_of));
        self.published.audit.record(event);
    }

    /// A version was taken out of service: it cannot be built again without what was taken from it.
    pub fn tell_out_of_service(&self, name: &Arc<str>, version: &PluginVersion, problem: &LoadFailure) {
        let mut event = event_of_config(name, version, "it had more than the config gives");
        event.outcome = "unfit";
        event.problem = Some(problem.to_string());
        self.published.audit.record(event);
    }

    /// A plugin whose file was deleted long ago.
    pub async fn forget(&mut self, name: &Arc<str>) {
        if let Err(fault) = self.archive.remove(name).await {
            tracing::warn!(plugin = %name, %fault, "what is remembered of a plugin cannot be removed");
        }
        self.archive.untidy = true;
    }

    /// Removes components that no plugin can be rolled back to any more. Only while no job is under way, for
    /// that may be about to need what it has just stored.
    pub async fn tidy_archive(&mut self) {
        if !std::mem::take(&mut self.archive.untidy) {
            return;
        }
        let mut needed: HashSet<String> = HashSet::new();
        for record in self.records.values() {
            needed.extend(record.lineage.digests().map(str::to_owned));
            needed.extend(record.newest.iter().map(|newest| newest.digest().to_owned()));
        }
        let store = self.archive.store.clone();
        if let Ok(Err(fault)) = spawn_blocking(move || store.retain(&needed)).await {
            tracing::warn!(%fault, "components that are not needed any more cannot be removed");
        }
    }
}

fn event_of_config(name: &str, version: &PluginVersion, why: &str) -> AuditEvent {
    let order = Order { by: "config".to_owned(), why: why.to_owned() };
    let mut event = AuditEvent::new("reload", name, &order);
    event.digest = Some(version.digest.clone());
    event.version = Some(version.version.to_string());
    event
}
