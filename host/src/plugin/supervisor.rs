//! Brings the directory and the config together with what serves: one task that owns the record of
//! every plugin, starts jobs, and publishes a snapshot when one of them changed something.
//!
//! Invariant: what serves is only replaced by something that is ready, and only taken away when its
//! file is deleted, or the operator switches it off or revokes an import that it needs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    PluginStatus,
    claims::{self, Owners},
    directory::Change,
    job::{Job, Newest, Outcome, Ready},
    loader::{Loader, missing_grants},
    manifest::Pattern,
    record::{Record, Wish},
    registry::Registry,
    status::{LoadFailure, Stage},
    version::PluginVersion,
};
use crate::{
    config::{Config, LiveConfig},
    telemetry::{
        Metrics,
        metrics::{Plugin, PluginOutcome, PluginVersionLabel},
    },
};

/// Plugins whose files were deleted that are still shown. More are forgotten, by name.
const REMEMBERED: usize = 64;

/// What everyone else sees.
pub(crate) struct Published {
    pub registry: ArcSwap<Registry>,
    pub statuses: ArcSwap<Vec<PluginStatus>>,
    pub changes: watch::Sender<u64>,
}

/// A job that has ended: whose it was, when it began, and what came of it, unless it crashed.
type Finished = (Arc<str>, Instant, Option<Outcome>);

pub(crate) struct Supervisor {
    pub config: LiveConfig,
    pub loader: Arc<Loader>,
    pub metrics: Arc<Metrics>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
    pub published: Arc<Published>,
    records: BTreeMap<Arc<str>, Record>,
    jobs: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Of shared types, in the newest snapshot.
    owners: Owners,
    generation: u64,
    arrivals: u64,
}

impl Supervisor {
    pub fn new(
        config: LiveConfig,
        loader: Arc<Loader>,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let registry = Registry::new(&[], &Owners::new());
        let published = Arc::new(Published {
            registry: ArcSwap::from_pointee(registry),
            statuses: ArcSwap::default(),
            changes: watch::Sender::new(0),
        });
        Self {
            config,
            loader,
            metrics,
            tasks,
            stop,
            published,
            records: BTreeMap::new(),
            jobs: FuturesUnordered::new(),
            owners: Owners::new(),
            generation: 0,
            arrivals: 0,
        }
    }

    /// Brings what is there at the start to readiness, all at once, and publishes the first snapshot.
    pub async fn first(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.arrived(change);
        }
        let mut finished = Vec::new();
        while let Some(job) = self.jobs.next().await {
            finished.push(job);
        }
        if self.stop.is_cancelled() {
            return;
        }
        // By name, so that conflicts end the same way at every start.
        finished.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        for job in finished {
            self.finished(job);
        }
        self.publish();
    }

    /// Follows the directory and the config until the host stops.
    pub async fn run(mut self, mut directory: mpsc::Receiver<Vec<Change>>, mut config: watch::Receiver<u64>) {
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                // First, because jobs end without a result then.
                biased;
                () = stop.cancelled() => return,
                Some(changes) = directory.recv() => changes.into_iter().for_each(|change| self.arrived(change)),
                Ok(()) = config.changed() => self.reconfigured(),
                Some(job) = self.jobs.next(), if !self.jobs.is_empty() => self.finished(job),
                else => return,
            }
            self.publish();
        }
    }

    fn arrived(&mut self, change: Change) {
        match change {
            Change::Content { name, source, content } => {
                let record = self.records.entry(name.clone()).or_insert_with(|| {
                    self.arrivals += 1;
                    Record::new(name.clone(), self.arrivals)
                });
                let failed = record.arrived(source, content).err();
                if let Some(failure) = failed {
                    self.failed(&name, failure, "the file does not fit");
                }
                self.consider(&name);
            }
            Change::Gone { name } => {
                tracing::info!(plugin = %name, "the file was deleted: the plugin is unloaded");
                self.count(&name, "removed");
                let Some(record) = self.records.get_mut(&name) else { return };
                let old = record.removed();
                self.retire(old);
                self.forget_surplus();
            }
        }
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

    /// Compares what is wanted of a plugin with what it is, and starts what is missing.
    fn consider(&mut self, name: &Arc<str>) {
        let config = self.config.load();
        let Some(record) = self.records.get_mut(name) else { return };
        match record.wish(config.plugin(name)) {
            Wish::Nothing => {}
            Wish::Start(job) => self.start(name.clone(), job),
            Wish::SwitchOff { learn } => {
                tracing::info!(plugin = %name, "switched off");
                let old = record.switched_off();
                if let Some(job) = learn {
                    self.start(name.clone(), job);
                }
                self.count(name, "disabled");
                self.retire(old);
            }
        }
    }

    fn start(&mut self, name: Arc<str>, job: Job) {
        let loader = self.loader.clone();
        let began = Instant::now();
        // As a task, so that a crash within it is not this one's.
        let task = self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move { job.run(&loader).await }));
        self.jobs.push(Box::pin(async move { (name, began, task.await.ok().flatten()) }));
    }

    fn finished(&mut self, (name, began, outcome): Finished) {
        let config = self.config.load();
        let Some(record) = self.records.get_mut(&name) else { return };
        let outcome = outcome.unwrap_or_else(|| Outcome {
            compiled: None,
            ready: None,
            failure: Some(LoadFailure::new(Stage::Compile, "the host crashed while loading it; see its log")),
        });
        let Outcome { compiled, ready, mut failure } = outcome;
        let current = record.finished(compiled);
        // Of a file that was deleted, or a plugin that was switched off meanwhile, nothing is wanted.
        if current && config.plugin(&name).enabled {
            let ready = ready.and_then(|ready| match self.admit(&ready, &config) {
                Ok(()) => Some(ready),
                Err(conflict) => {
                    failure = Some(LoadFailure::new(Stage::Claims, conflict));
                    None
                }
            });
            match ready {
                Some(ready) => self.swap(&name, ready, began),
                None => self.revoke(&name, &config),
            }
        }
        match failure {
            Some(failure) if current => self.failed(&name, failure, "a plugin could not be brought to traffic"),
            _ => {}
        }
        self.consider(&name);
    }

    /// Whether its types are not another plugin's.
    fn admit(&self, ready: &Ready, config: &Config) -> Result<(), claims::Conflict> {
        self.check_claims(&ready.version.name, &ready.version.manifest.handles, config)
    }

    fn check_claims(
        &self,
        name: &Arc<str>,
        handles: &[Arc<super::manifest::Handled>],
        config: &Config,
    ) -> Result<(), claims::Conflict> {
        let mut held: HashMap<&Pattern, &Arc<str>> = HashMap::new();
        for version in self.records.values().filter_map(|record| record.serving.as_ref()) {
            if version.name != *name {
                held.extend(version.manifest.handles.iter().map(|handled| (&handled.pattern, &version.name)));
            }
        }
        claims::conflict(name, handles.iter().map(|handled| &handled.pattern), &held, &config.type_owners)
    }

    fn swap(&mut self, name: &Arc<str>, ready: Ready, began: Instant) {
        let version = ready.version.clone();
        let Some(old) = self.records.get_mut(name).map(|record| record.serves(ready)) else { return };
        self.retire(old);
        self.count(name, "ready");
        let took = began.elapsed();
        let plugin = Plugin { plugin: name.clone() };
        self.metrics.plugin_load_duration.get_or_create(&plugin).observe(took.as_secs_f64());
        let label = PluginVersionLabel { plugin: name.clone(), version: version.version.clone() };
        self.metrics.plugin_serving.get_or_create(&label).set(1);
        version.health.show();
        tracing::info!(
            plugin = %name,
            version = %version.version,
            digest = %version.digest,
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "a plugin version takes traffic"
        );
    }

    /// What cannot be rebuilt because the operator revoked an import must not go on with it.
    fn revoke(&mut self, name: &Arc<str>, config: &Config) {
        let Some(record) = self.records.get_mut(name) else { return };
        let Some(good) = record.good.as_ref().filter(|_| record.serving.is_some()) else { return };
        let missing = missing_grants(&good.compiled, &config.plugin(name).grants);
        if !missing.is_empty() {
            tracing::warn!(plugin = %name, ?missing, "taken out of service: a grant that it needs was revoked");
            let old = record.taken_out();
            self.retire(old);
        }
    }

    fn failed(&mut self, name: &Arc<str>, failure: LoadFailure, what: &'static str) {
        let Some(record) = self.records.get_mut(name) else { return };
        let serving = record.serving.as_ref().map_or("nothing", |version| &*version.version);
        let LoadFailure { stage, reason } = &failure;
        let file = record.source.display();
        tracing::warn!(plugin = %name, %file, stage = stage.as_str(), %reason, serving, "{what}");
        let stage = *stage;
        record.failed(failure);
        self.count(name, stage.as_str());
    }

    /// Lets a version finish what it is doing.
    fn retire(&mut self, version: Option<Arc<PluginVersion>>) {
        let Some(version) = version else { return };
        let label = PluginVersionLabel { plugin: version.name.clone(), version: version.version.clone() };
        self.metrics.plugin_serving.remove(&label);
        version.health.hide();
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

    /// Publishes a snapshot if anything changed, and lets those try again that another one stood in the way of.
    fn publish(&mut self) {
        // Every mark is taken, so that none is left for the next time.
        let changed =
            self.records.values_mut().filter_map(|record| std::mem::take(&mut record.changed).then_some(())).count();
        if changed == 0 {
            return;
        }
        let config = self.config.load();
        self.owners.clone_from(&config.type_owners);
        self.generation += 1;
        let mut records: Vec<&Record> = self.records.values().collect();
        records.sort_by_key(|record| record.order);
        let members: Vec<_> = records.iter().filter_map(|record| record.member()).collect();
        let registry = Registry::new(&members, &config.type_owners);
        self.published.registry.store(Arc::new(registry));
        self.published.statuses.store(Arc::new(self.records.values().map(Record::status).collect()));
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

    fn forget_surplus(&mut self) {
        let removed: Vec<Arc<str>> =
            self.records.values().filter(|record| !record.present).map(|record| record.name.clone()).collect();
        for name in removed.iter().skip(REMEMBERED) {
            self.records.remove(name);
        }
    }

    fn count(&self, plugin: &Arc<str>, outcome: &'static str) {
        self.metrics.plugin_loads.get_or_create(&PluginOutcome { plugin: plugin.clone(), outcome }).inc();
    }
}
