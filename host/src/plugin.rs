//! The sandbox: bytes on disk -> a call with an answer.
//!
//! From the outside there are two things. [`Plugins`] brings files to readiness and publishes an
//! immutable [`Registry`] snapshot each time something changed. A [`PluginVersion`] from a snapshot
//! is called; whatever the guest does, the caller gets an answer or one of the failures of
//! [`CallFailure`](failure::CallFailure) by the deadline.
//!
//! Reading order: `directory` with `arrivals` (events to `Captured`), `validate` (to `Validated`),
//! `compile` with `aot_cache` (to `Compiled`), `loader` with `job` (to a ready `PluginVersion`, in
//! `version`), `supervisor` with `record` (what serves), `registry` with `claims` (the snapshot), `rollout`
//! (which versions are kept, and which one serves whom), and on the side of calls `instance`, `health`,
//! `limits` with `cpu_time`, `failure`, `bindings`, and one file each under `capability`.

use std::{io, path::PathBuf, sync::Arc};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    aot_cache::AotCache,
    capability::SharedCapabilities,
    compile::Compiler,
    directory::Directory,
    effects::CallerSession,
    engine::Sandbox,
    instances::sessions::LastInstances,
    loader::Loader,
    operation::{OperationError, Order},
    rollout::{
        Archive,
        command::{Ended, PENDING_REQUESTS, Request},
        store::VersionStore,
        verdict::{ByHealth, Verdicts},
    },
    seals::Seals,
    state::{SavedState, StateForgotten, StateScope, StateUsage},
    supervisor::{Published, Sources, Supervisor},
};
use crate::{config::LiveConfig, storage::StoreError, telemetry::Metrics};

pub(crate) mod effects;
pub(crate) mod failure;

// From a file to traffic.
mod aot_cache;
mod arrivals;
mod artifact;
pub(crate) mod check;
mod claims;
mod compile;
mod directory;
mod directory_file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod job;
mod loader;
#[cfg(test)]
mod loading_tests;
pub(crate) mod manifest;
#[cfg(feature = "bench")]
mod native;
mod nearest;
pub(crate) mod offers;
pub(crate) mod operation;
mod record;
pub(crate) mod registry;
pub(crate) mod request;
mod rollout;
pub(crate) mod schema;
pub(crate) mod status;
mod supervisor;
#[cfg(test)]
pub(crate) mod test_guest;
#[cfg(test)]
pub(crate) mod test_host;
mod tightened;
mod validate;
pub(crate) mod version;

// From a call to its answer.
mod answer;
mod bindings;
mod call_log;
pub(crate) mod call_metrics;
mod call_record;
mod call_state;
mod capability;
mod cpu_time;
pub(crate) mod detached;
mod egress;
mod engine;
mod guest;
mod guest_text;
mod health;
mod instance;
mod instance_state;
mod instances;
pub(crate) mod json_object;
mod limits;
mod manifest_call;
mod runs;
mod seals;
pub(crate) mod state;
mod ticker;
mod wasi;

pub(crate) use check::{CheckFault, CheckedPlugin, check_file};
pub(crate) use guest::Completed;
pub(crate) use instance::GuestMessage;
pub(crate) use manifest::Ordering;
pub(crate) use registry::{Handler, Registry, Route};
pub(crate) use rollout::share::Who;
pub(crate) use schema::SchemaFault;
#[cfg(test)]
pub(crate) use status::Stage;
pub(crate) use status::{LoadFailure, PluginStatus};
pub(crate) use version::PluginVersion;

/// Looks of the directory that were not followed up yet: the supervisor is never busy for long.
const PENDING_LOOKS: usize = 4;

/// All plugins of a host, kept as the directory and the config have them.
pub(crate) struct Plugins {
    config: LiveConfig,
    shared: Arc<SharedCapabilities>,
    published: Arc<Published>,
    store: Arc<VersionStore>,
    requests: mpsc::Sender<Request>,
    ended: Arc<Ended>,
    tasks: TaskTracker,
}

impl Plugins {
    /// Returns when every file that is there and enabled was brought to readiness, or has failed.
    pub async fn start(
        config: LiveConfig,
        metrics: Arc<Metrics>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, PluginSetupError> {
        Self::watched_by(Arc::new(ByHealth), config, metrics, tasks, stop).await
    }

    /// The same, with somebody who knows how versions do.
    async fn watched_by(
        verdicts: Arc<dyn Verdicts>,
        config: LiveConfig,
        metrics: Arc<Metrics>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, PluginSetupError> {
        // Before the config is read, so that no change is missed.
        let config_changes = config.subscribe();
        let current = config.load();
        let path = &current.server.plugin_dir;
        let mut directory =
            Directory::open(path).map_err(|source| PluginSetupError::Directory { path: path.clone(), source })?;
        let sandbox = Sandbox::new(&current)?;
        let compiler = Compiler::new(sandbox.clone(), AotCache::open(&current.server.data_dir));
        let shared = {
            let (config, metrics, tasks, stop) = (config.clone(), metrics.clone(), tasks.clone(), stop.clone());
            let data_dir = current.server.data_dir.clone();
            let start = move || {
                let seals = Seals::open_keys(&config.load().server.seal_keys, &data_dir)?;
                Ok::<_, PluginSetupError>(SharedCapabilities::start(
                    config,
                    Some(&data_dir),
                    seals,
                    metrics,
                    &tasks,
                    stop,
                )?)
            };
            tokio::task::spawn_blocking(start).await.map_err(|_| PluginSetupError::Crashed)??
        };
        let loader = Arc::new(Loader { sandbox, compiler, shared: shared.clone() });

        let data_dir = &current.server.data_dir;
        let archive =
            Archive::open(data_dir).map_err(|source| PluginSetupError::Archive { path: data_dir.clone(), source })?;
        let (store, expected) = (archive.store.clone(), archive.with_files());
        let mut supervisor =
            Supervisor::new(config.clone(), loader, archive, verdicts, metrics, tasks.clone(), stop.clone());
        let published = supervisor.published.clone();
        directory.expect(expected);
        supervisor.first(directory.look().await).await;
        let (listener, directory_changes) = mpsc::channel(PENDING_LOOKS);
        tasks.spawn(directory.follow(listener, stop));
        let (requests, requested) = mpsc::channel(PENDING_REQUESTS);
        let ended = Arc::new(Ended::default());
        tasks.spawn(supervisor.run(Sources {
            directory: directory_changes,
            config: config_changes,
            requests: requested,
            ended: ended.clone(),
        }));
        Ok(Arc::new(Self { config, shared, published, store, requests, ended, tasks: tasks.clone() }))
    }

    /// The snapshot of this moment. To be taken once per message.
    pub fn registry(&self) -> Arc<Registry> {
        self.published.registry.load_full()
    }

    /// The number of the newest snapshot, as it rises.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.published.changes.subscribe()
    }

    /// Whether everything that the host must not be without is serving; if not, what is missing.
    pub fn readiness(&self) -> Result<(), String> {
        status::readiness(&self.config.load(), &self.statuses())
    }

    /// Every plugin that has a file, or had one lately, by name.
    pub fn statuses(&self) -> Vec<PluginStatus> {
        self.published.statuses.load().to_vec()
    }

    /// Drops what plugins remember for a session that has ended.
    pub fn forget_session(&self, session_id: &str) {
        if self.published.registry.load().is_pinned(session_id) {
            self.ended.add(session_id);
        }
        self.shared.state.forget_session(session_id);
    }

    /// What plugins remember for a session, to be saved with it.
    pub fn session_state(&self, session_id: &str) -> Vec<SavedState> {
        self.shared.state.export_session(session_id)
    }

    pub fn restore_session_state(&self, session_id: &Arc<str>, session: &dyn CallerSession, saved: Vec<SavedState>) {
        self.shared.state.restore_session(session_id, session, saved);
    }

    /// Writes what plugins remember to the disk, when no call runs any more. Blocks.
    pub fn close_state(&self) -> Result<(), StoreError> {
        self.shared.state.close()
    }

    /// How much a plugin remembers, whether or not it still has a file.
    pub fn state_usage(&self, plugin: &str) -> Result<StateUsage, OperationError> {
        let known = || self.statuses().iter().any(|status| status.name == plugin);
        let usage = self.shared.state.usage(plugin);
        usage
            .or_else(|| known().then(|| StateUsage::none(plugin)))
            .ok_or_else(|| OperationError::UnknownPlugin(plugin.to_owned()))
    }

    /// Drops what a plugin remembers in one scope, or in all. What it writes meanwhile may stay.
    pub async fn forget_state(
        &self,
        plugin: &str,
        scope: Option<StateScope>,
        order: &Order,
    ) -> Result<StateForgotten, OperationError> {
        let before = self.state_usage(plugin)?;
        let scopes = scope.map_or_else(|| StateScope::ALL.to_vec(), |scope| vec![scope]);
        let (state, name, dropped) = (self.shared.state.clone(), Arc::from(plugin), scopes.clone());
        let forgotten = self.tasks.spawn_blocking(move || state.forget(&name, &dropped)).await;
        forgotten
            .map_err(|_| OperationError::Stopping)?
            .map_err(|fault| OperationError::NotStored(fault.to_string()))?;
        let sum =
            |number: fn(&state::ScopeUsage) -> u64| scopes.iter().map(|scope| number(&before.of_scope(*scope))).sum();
        let forgotten =
            StateForgotten { plugin: plugin.to_owned(), scope, bytes: sum(|u| u.bytes), entries: sum(|u| u.entries) };
        state::audit_forgotten(&forgotten, order);
        Ok(forgotten)
    }

    /// A session has ended: its instances do, with what is returned.
    pub fn end_instances(&self, session_id: &str) -> LastInstances {
        self.shared.sessions.end(session_id)
    }
}

/// Why the host cannot offer plugins at all. A single plugin's trouble is never this.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginSetupError {
    #[error("the sandbox cannot be set up: {0:#}")]
    Engine(wasmtime::Error),
    #[error("the plugin directory {} cannot be used: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("the versions of plugins cannot be kept in {}: {source}", path.display())]
    Archive { path: PathBuf, source: io::Error },
    #[error("what plugins remember cannot be used: {0}")]
    State(#[from] StoreError),
    #[error("the keys for what plugins seal (`server.seal_keys`) cannot be used: {0}")]
    Seals(#[from] seals::SealKeyError),
    #[error("the host crashed while it opened what plugins remember; see its log")]
    Crashed,
}
