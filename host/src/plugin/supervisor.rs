//! Brings the directory and the config together with what serves: one task that owns the record of
//! every plugin, starts jobs, and publishes a snapshot when one of them changed something.
//!
//! Invariant: what serves is only replaced by something that is ready, and only taken away when its
//! file is deleted, or the operator switches it off, removes it, or takes grants or limits away with which it
//! serves and without which it cannot be built again. What operators ask for beside files and config is carried
//! out in `rollout`, by the same task.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    PluginStatus,
    claims::Owners,
    directory::Change,
    job::{Job, Outcome, Ready},
    loader::Loader,
    operation::VersionSummary,
    record::{Arrival, Record, Wish},
    registry::Registry,
    rollout::{
        Archive,
        audit::AuditLog,
        command::{Answered, Ended, Purpose, Request, Ticket},
        judge::JUDGE_EVERY,
        lineage::Lineage,
        verdict::Verdicts,
    },
    status::{LoadFailure, Stage},
    tightened::{out_of_service, tightened},
    version::PluginVersion,
};
use crate::{
    config::{LiveConfig, PluginConfig},
    telemetry::{
        Metrics,
        metrics::{Plugin, PluginOutcome},
    },
};

mod publication;

use publication::Shown;

/// Plugins whose files were deleted that are still shown. More are forgotten, by name.
const REMEMBERED: usize = 64;

/// What everyone else sees.
pub(crate) struct Published {
    pub registry: ArcSwap<Registry>,
    pub statuses: ArcSwap<Vec<PluginStatus>>,
    /// Of every plugin, by name.
    pub versions: ArcSwap<BTreeMap<Arc<str>, Vec<VersionSummary>>>,
    pub audit: AuditLog,
    pub changes: watch::Sender<u64>,
}

/// A job that has ended: whose it was, what for, when it began, and what came of it, unless it crashed.
struct Finished {
    name: Arc<str>,
    purpose: Purpose,
    began: Instant,
    outcome: Option<Outcome>,
}

/// What the supervisor is told of.
pub(crate) struct Sources {
    pub directory: mpsc::Receiver<Vec<Change>>,
    pub config: watch::Receiver<u64>,
    pub requests: mpsc::Receiver<Request>,
    pub ended: Arc<Ended>,
}

pub(crate) struct Supervisor {
    pub config: LiveConfig,
    pub loader: Arc<Loader>,
    pub metrics: Arc<Metrics>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
    pub published: Arc<Published>,
    pub archive: Archive,
    pub verdicts: Arc<dyn Verdicts>,
    pub records: BTreeMap<Arc<str>, Record>,
    /// Plugins with an operation whose version is on its way, and that version's digest.
    pub operations: BTreeMap<Arc<str>, String>,
    /// Plugins that are being switched on, and who waits for it.
    pub enabling: BTreeMap<Arc<str>, Ticket>,
    /// Answers to operations, to be given when the next snapshot is published.
    pub answers: Vec<Answered>,
    /// Whether the next snapshot lacks a plugin that the last one had.
    pub lost_one: bool,
    jobs: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Of shared types, in the newest snapshot.
    owners: Owners,
    shown: Shown,
    generation: u64,
    arrivals: u64,
}

impl Supervisor {
    pub fn new(
        config: LiveConfig,
        loader: Arc<Loader>,
        archive: Archive,
        verdicts: Arc<dyn Verdicts>,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let registry = Registry::new(&[], &Owners::new());
        let published = Arc::new(Published {
            registry: ArcSwap::from_pointee(registry),
            statuses: ArcSwap::default(),
            versions: ArcSwap::default(),
            audit: AuditLog::default(),
            changes: watch::Sender::new(0),
        });
        Self {
            config,
            loader,
            metrics,
            tasks,
            stop,
            published,
            archive,
            verdicts,
            records: BTreeMap::new(),
            operations: BTreeMap::new(),
            enabling: BTreeMap::new(),
            answers: Vec::new(),
            lost_one: false,
            shown: Shown::default(),
            jobs: FuturesUnordered::new(),
            owners: Owners::new(),
            generation: 0,
            arrivals: 0,
        }
    }

    /// Brings what is there at the start to readiness, all at once, and publishes the first snapshot.
    pub async fn first(&mut self, changes: Vec<Change>) {
        for name in self.remember() {
            self.consider(&name);
        }
        for change in changes {
            self.arrived(change).await;
        }
        while !self.jobs.is_empty() {
            let mut finished = Vec::new();
            while let Some(job) = self.jobs.next().await {
                finished.push(job);
            }
            if self.stop.is_cancelled() {
                return;
            }
            // By name, so that conflicts end the same way at every start.
            finished.sort_by(|a, b| a.name.cmp(&b.name));
            for job in finished {
                self.finished(job).await;
            }
        }
        self.tidy_archive().await;
        self.publish();
    }

    /// Follows the directory, the config and operators until the host stops.
    pub async fn run(mut self, mut sources: Sources) {
        let stop = self.stop.clone();
        let mut judging = tokio::time::interval(JUDGE_EVERY);
        judging.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // First, because jobs end without a result then.
                biased;
                () = stop.cancelled() => return,
                Some(changes) = sources.directory.recv() => {
                    for change in changes {
                        self.arrived(change).await;
                    }
                }
                Ok(()) = sources.config.changed() => self.reconfigured(),
                Some(job) = self.jobs.next(), if !self.jobs.is_empty() => self.finished(job).await,
                Some(request) = sources.requests.recv() => self.requested(request).await,
                sessions = sources.ended.next() => self.unpin_ended(&sessions),
                _ = judging.tick() => self.judge().await,
            }
            if self.jobs.is_empty() {
                self.tidy_archive().await;
            }
            self.publish();
        }
    }

    async fn arrived(&mut self, change: Change) {
        match change {
            Change::Content { name, source, content } => {
                self.record(&name);
                let Some(record) = self.records.get_mut(&name) else { return };
                match record.arrived(source, content) {
                    Ok(Arrival::Deployment | Arrival::AsBefore) => {}
                    Ok(Arrival::Back) => self.file_is_back(&name).await,
                    Err(failure) => self.failed(&name, failure, "the file does not fit"),
                }
                self.consider(&name);
            }
            Change::Gone { name, source } => {
                tracing::info!(plugin = %name, "the file was deleted: the plugin is unloaded");
                self.count(&name, "removed");
                let Some(record) = self.records.get_mut(&name) else { return };
                record.source = source;
                let old = record.removed();
                self.retire(old);
                self.file_is_gone(&name).await;
                self.forget_surplus().await;
            }
        }
    }

    /// Makes a record for a plugin that has none yet.
    pub fn record(&mut self, name: &Arc<str>) -> &mut Record {
        self.records.entry(name.clone()).or_insert_with(|| {
            self.arrivals += 1;
            Record::new(name.clone(), self.arrivals, Lineage::default())
        })
    }

    fn reconfigured(&mut self) {
        let names: Vec<Arc<str>> = self.records.keys().cloned().collect();
        for name in names {
            self.consider(&name);
        }
        // Winners of shared types may have changed without any plugin changing.
        let owners = &self.config.load().type_owners;
        if self.owners != *owners {
            self.owners.clone_from(owners);
            self.records.values_mut().for_each(|record| record.changed = true);
        }
    }

    /// What config and operators want of a plugin.
    pub fn wanted(&self, record: &Record) -> PluginConfig {
        let mut wanted = self.config.load().plugin(&record.name).clone();
        wanted.enabled &= !record.lineage.disabled;
        wanted
    }

    /// Compares what is wanted of a plugin with what it is, and starts what is missing.
    pub fn consider(&mut self, name: &Arc<str>) {
        let Some(record) = self.records.get(name) else { return };
        let wanted = self.wanted(record);
        let Some(record) = self.records.get_mut(name) else { return };
        match record.wish(&wanted) {
            Wish::Nothing => {}
            Wish::Start(job) => self.start(name.clone(), job, Purpose::Follow),
            Wish::SwitchOff { learn } => {
                tracing::info!(plugin = %name, "switched off");
                let old = record.switched_off();
                if let Some(job) = learn {
                    self.start(name.clone(), job, Purpose::Follow);
                }
                self.count(name, "disabled");
                self.retire(old);
            }
        }
        self.consider_others(name, &wanted);
    }

    /// The same for the versions beside the active one.
    fn consider_others(&mut self, name: &Arc<str>, wanted: &PluginConfig) {
        let Some(record) = self.records.get_mut(name) else { return };
        if !record.present || !wanted.enabled {
            return;
        }
        if let Some(trial) = &record.lineage.canary {
            record.beside.want(name, &trial.digest);
        }
        for (digest, job) in record.beside.wishes(wanted) {
            self.start(name.clone(), job, Purpose::Beside(digest));
        }
    }

    pub fn start(&mut self, name: Arc<str>, job: Job, purpose: Purpose) {
        let (loader, store) = (self.loader.clone(), self.archive.store.clone());
        let began = Instant::now();
        // As a task, so that a crash within it is not this one's.
        let work = async move { job.run(&loader, &store).await };
        let task = self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(work));
        self.jobs.push(Box::pin(async move { Finished { name, purpose, began, outcome: task.await.ok().flatten() } }));
    }

    async fn finished(&mut self, finished: Finished) {
        let Finished { name, purpose, began, outcome } = finished;
        let outcome = outcome.unwrap_or_else(|| Outcome {
            failure: Some(LoadFailure::new(Stage::Compile, "the host crashed while loading it; see its log")),
            ..Outcome::default()
        });
        match purpose {
            Purpose::Follow => self.followed(&name, outcome, began).await,
            Purpose::Beside(digest) => self.another_finished(&name, &digest, outcome),
            Purpose::Operation(operation) => self.operated(&name, *operation, outcome).await,
        }
        self.consider(&name);
        if self.enabling.contains_key(&name) {
            self.switched_on(&name).await;
        }
    }

    async fn followed(&mut self, name: &Arc<str>, outcome: Outcome, began: Instant) {
        let Outcome { compiled, mut ready, mut failure, .. } = outcome;
        let Some(record) = self.records.get_mut(name) else { return };
        let current = record.finished(compiled);
        let Some(record) = self.records.get(name) else { return };
        let wanted = self.wanted(record);
        let mut again = None;
        // Of a file that was deleted, or a plugin that was switched off meanwhile, nothing is wanted.
        if current && wanted.enabled {
            if let Some(conflict) = ready.as_ref().and_then(|ready| self.admit(ready).err()) {
                failure = Some(conflict);
                // What stands back for another plugin is no reason to leave what serves as it was.
                let refused = ready.take();
                again = refused.and_then(|refused| self.records.get_mut(name)?.wish_again(refused.digest(), &wanted));
            }
            let Some(record) = self.records.get(name) else { return };
            match ready {
                Some(ready) if record.lineage.active() == Some(ready.digest()) => self.swap(name, ready, began),
                Some(ready) if record.file.as_deref() == Some(ready.digest()) => {
                    self.file_is_ready(name, ready, began, &wanted).await;
                }
                Some(ready) => {
                    tracing::info!(plugin = %name, digest = ready.digest(), "not served: the file holds something else by now");
                }
                None if again.is_some() => {}
                None => failure = failure.map(|failure| self.revoke(name, &wanted, failure)),
            }
        }
        if let Some(job) = again {
            self.start(name.clone(), job, Purpose::Follow);
        }
        if !current {
            self.count(name, Stage::Superseded.as_str());
        }
        match failure {
            Some(failure) if current => {
                self.file_is_unfit(name, &failure);
                self.failed(name, failure, "a plugin could not be brought to traffic");
            }
            _ => {}
        }
    }

    fn another_finished(&mut self, name: &Arc<str>, digest: &str, mut outcome: Outcome) {
        if let Some(Err(conflict)) = outcome.ready.as_ref().map(|ready| self.admit(ready)) {
            (outcome.ready, outcome.failure) = (None, Some(conflict));
        }
        if let Some(failure) = &outcome.failure {
            tracing::warn!(plugin = %name, %digest, %failure, "a version beside the active one does not come to traffic");
            self.count(name, failure.stage.as_str());
        }
        let Some(record) = self.records.get(name) else { return };
        let wanted = self.wanted(record);
        let Some(record) = self.records.get_mut(name) else { return };
        let unfit = outcome.ready.is_none();
        let old = record.beside.finished(digest, outcome, &wanted);
        let settled = record.settle();
        let now = record.beside.serving(digest).cloned();
        let problem = record.beside.problem(digest).cloned();
        if let (Some(old), Some(problem)) = (&old, problem.filter(|_| unfit)) {
            tracing::warn!(plugin = %name, %digest, %problem, "taken out of service");
            self.tell_out_of_service(name, old, &problem);
        }
        // First, for the new one may have the same label.
        self.retire(old.into_iter().chain(settled));
        if let Some(version) = now {
            version.health.show();
        }
    }

    fn swap(&mut self, name: &Arc<str>, ready: Ready, began: Instant) {
        let version = ready.version.clone();
        self.regranted(name, &ready);
        let Some(old) = self.records.get_mut(name).map(|record| record.serves(ready)) else { return };
        self.retire(old);
        self.tell_of(&version, began);
    }

    /// A version takes traffic.
    pub fn tell_of(&self, version: &PluginVersion, began: Instant) {
        let name = &version.name;
        self.count(name, "ready");
        let took = began.elapsed();
        let plugin = Plugin { plugin: name.clone() };
        self.metrics.plugin_load_duration.get_or_create(&plugin).observe(took.as_secs_f64());
        version.health.show();
        tracing::info!(
            plugin = %name,
            version = %version.version,
            digest = %version.digest,
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "a plugin version takes traffic"
        );
    }

    /// What cannot be built again must not go on with what the operator has taken away.
    fn revoke(&mut self, name: &Arc<str>, wanted: &PluginConfig, failure: LoadFailure) -> LoadFailure {
        let Some(record) = self.records.get_mut(name) else { return failure };
        let Some(good) = record.good.as_ref().filter(|_| record.serving.is_some()) else { return failure };
        if !record.has_tried(wanted) {
            // It was changed meanwhile, and is tried next.
            return failure;
        }
        let taken = tightened(good, wanted);
        if taken.is_empty() {
            return failure;
        }
        tracing::warn!(plugin = %name, ?taken, "taken out of service: it serves with what was taken from it");
        let old = record.taken_out();
        let failure = out_of_service(failure, &taken);
        old.iter().for_each(|old| self.tell_out_of_service(name, old, &failure));
        self.retire(old);
        failure
    }

    pub fn failed(&mut self, name: &Arc<str>, failure: LoadFailure, what: &'static str) {
        let Some(record) = self.records.get_mut(name) else { return };
        let serving = record.serving.as_ref().map_or("nothing", |version| &*version.version);
        let LoadFailure { stage, reason } = &failure;
        let file = record.source.display();
        tracing::warn!(plugin = %name, %file, stage = stage.as_str(), %reason, serving, "{what}");
        let stage = *stage;
        record.failed(failure);
        self.count(name, stage.as_str());
    }

    /// Lets versions finish what they are doing. What serves in the place of one is to be shown after this.
    pub fn retire(&self, versions: impl IntoIterator<Item = Arc<PluginVersion>>) {
        let versions: Vec<_> = versions.into_iter().collect();
        for version in &versions {
            version.health.hide();
            // Others may have the same label: it is what two components say of themselves.
            let left = self.records.get(&version.name).into_iter().flat_map(Record::versions);
            left.filter(|left| left.version == version.version).for_each(|left| left.health.show());
        }
        for version in versions {
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                let finished = tokio::select! {
                    finished = version.drain() => finished,
                    // Whoever stops the host waits for calls itself.
                    () = stop.cancelled() => return,
                };
                let (plugin, digest) = (&version.name, &version.digest);
                if finished {
                    tracing::info!(%plugin, version = %version.version, %digest, "a replaced version has drained");
                } else {
                    tracing::warn!(%plugin, version = %version.version, %digest, "a replaced version did not drain in time: its calls were interrupted");
                }
            });
        }
    }

    async fn forget_surplus(&mut self) {
        let removed: Vec<Arc<str>> =
            self.records.values().filter(|record| !record.present).map(|record| record.name.clone()).collect();
        for name in removed.iter().skip(REMEMBERED) {
            self.records.remove(name);
            self.forget(name).await;
        }
    }

    fn count(&self, plugin: &Arc<str>, outcome: &'static str) {
        self.metrics.plugin_loads.get_or_create(&PluginOutcome { plugin: plugin.clone(), outcome }).inc();
    }
}
