//! What is published of the records: one snapshot for those who route, and what operators see. And what has to
//! hold between the versions in one snapshot.

use std::{collections::HashMap, sync::Arc};

use super::{
    super::{
        claims,
        job::{Newest, Ready},
        manifest::{Handled, Pattern},
        record::Record,
        registry::Registry,
        rollout::command::Answered,
        status::{LoadFailure, Stage},
        version::PluginVersion,
    },
    Supervisor,
};
use crate::{config::Config, telemetry::metrics::PluginVersionLabel};

/// The labels under which metrics show what serves.
#[derive(Default)]
pub(super) struct Shown {
    active: Vec<PluginVersionLabel>,
    canaries: Vec<PluginVersionLabel>,
}

impl Supervisor {
    /// Publishes a snapshot if anything changed, and lets those try again that another one stood in the way of.
    pub(super) fn publish(&mut self) {
        // Every mark is taken, so that none is left for the next time.
        let changed =
            self.records.values_mut().filter_map(|record| std::mem::take(&mut record.changed).then_some(())).count();
        if std::mem::take(&mut self.lost_one) || changed > 0 {
            self.publish_snapshot();
        }
        self.answers.drain(..).for_each(Answered::send);
    }

    fn publish_snapshot(&mut self) {
        let config = self.config.load();
        self.owners.clone_from(&config.type_owners);
        self.generation += 1;
        let mut records: Vec<&Record> = self.records.values().collect();
        records.sort_by_key(|record| record.order);
        let members: Vec<_> = records.iter().filter_map(|record| record.member()).collect();
        let registry = Registry::new(&members, &config.type_owners);
        self.published.registry.store(Arc::new(registry));
        self.published.statuses.store(Arc::new(self.records.values().map(Record::status).collect()));
        let versions = self.records.values().map(|record| (record.name.clone(), record.lineage.summaries()));
        self.published.versions.store(Arc::new(versions.collect()));
        self.show_serving();
        self.published.changes.send_replace(self.generation);
        self.retry_claims(&config);
    }

    fn retry_claims(&mut self, config: &Config) {
        let stands_back = |record: &&Record| record.failure.as_ref().is_some_and(|f| f.stage == Stage::Claims);
        let free: Vec<Arc<str>> = self
            .records
            .values()
            .filter(stands_back)
            .filter(|record| match &record.newest {
                Some(Newest::Compiled(compiled)) => {
                    self.check_claims(&record.name, &compiled.manifest.handles, config).is_ok()
                }
                _ => false,
            })
            .map(|record| record.name.clone())
            .collect();
        for name in free {
            if let Some(record) = self.records.get_mut(&name) {
                record.try_again();
            }
            self.consider(&name);
        }
    }

    /// One sample for each version that serves, and none for those that served.
    fn show_serving(&mut self) {
        let label = |version: &PluginVersion| PluginVersionLabel {
            plugin: version.name.clone(),
            version: version.version.clone(),
        };
        let active: Vec<_> = self.records.values().filter_map(|record| record.serving.as_deref()).map(label).collect();
        let canaries: Vec<_> = self.records.values().filter_map(Record::canary).collect();
        let metrics = &self.metrics;
        for gone in self.shown.active.iter().filter(|gone| !active.contains(gone)) {
            metrics.plugin_serving.remove(gone);
        }
        for label in &active {
            metrics.plugin_serving.get_or_create(label).set(1);
        }
        let labels: Vec<_> = canaries.iter().map(|canary| label(&canary.version)).collect();
        for gone in self.shown.canaries.iter().filter(|gone| !labels.contains(gone)) {
            metrics.plugin_canary_percent.remove(gone);
        }
        for (label, canary) in labels.iter().zip(&canaries) {
            metrics.plugin_canary_percent.get_or_create(label).set(i64::from(canary.percent));
        }
        self.shown = Shown { active, canaries: labels };
    }

    /// Everything that has to hold between a version that is ready and those that serve, before it takes traffic.
    pub fn admit(&self, ready: &Ready) -> Result<(), LoadFailure> {
        let version = &ready.version;
        self.check_claims(&version.name, &version.manifest.handles, &self.config.load())
            .map_err(|conflict| LoadFailure::new(Stage::Claims, conflict))
    }

    /// Whether its types are not another plugin's.
    fn check_claims(&self, name: &Arc<str>, handles: &[Arc<Handled>], config: &Config) -> Result<(), claims::Conflict> {
        let mut held: HashMap<&Pattern, &Arc<str>> = HashMap::new();
        for record in self.records.values().filter(|record| record.name != *name) {
            let canary = record.lineage.canary.as_ref().and_then(|trial| record.beside.serving(&trial.digest));
            for version in record.serving.iter().chain(canary) {
                held.extend(version.manifest.handles.iter().map(|handled| (&handled.pattern, &version.name)));
            }
        }
        claims::conflict(name, handles.iter().map(|handled| &handled.pattern), &held, &config.type_owners)
    }
}
