//! The sandbox: bytes on disk -> a call with an answer.
//!
//! From the outside there are two things. [`Plugins`] brings files to readiness and publishes an
//! immutable [`Registry`] snapshot each time something changed. A [`PluginVersion`] from a snapshot
//! is called; whatever the guest does, the caller gets an answer or one of the failures of
//! [`CallFailure`](failure::CallFailure) by the deadline.
//!
//! Reading order: `directory` with `arrivals` (events to `Captured`), `validate` (to `Validated`),
//! `compile` with `aot_cache` (to `Compiled`), `loader` with `job` (to a ready `PluginVersion`, in
//! `version`), `supervisor` with `record` (what serves), `registry` with `claims` (the snapshot), and on
//! the side of calls `instance`, `limits`, `failure`, `bindings`, and one file each under `capability`.

use std::{io, path::PathBuf, sync::Arc};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    aot_cache::AotCache,
    capability::SharedCapabilities,
    compile::Compiler,
    directory::Directory,
    engine::Sandbox,
    loader::Loader,
    supervisor::{Published, Supervisor},
};
use crate::{config::LiveConfig, telemetry::Metrics};

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
mod nearest;
pub(crate) mod operation;
mod record;
pub(crate) mod registry;
pub(crate) mod schema;
pub(crate) mod status;
mod supervisor;
#[cfg(test)]
pub(crate) mod test_guest;
mod validate;
pub(crate) mod version;

// From a call to its answer.
mod answer;
mod bindings;
mod call_record;
mod call_state;
mod capability;
pub(crate) mod detached;
mod engine;
mod guest;
mod guest_text;
mod instance;
mod instance_state;
pub(crate) mod json_object;
mod limits;
mod manifest_call;
mod runs;
mod state_store;
mod ticker;

pub(crate) use check::{CheckFault, CheckedPlugin, check_file};
pub(crate) use instance::GuestMessage;
pub(crate) use manifest::Ordering;
pub(crate) use registry::{Handler, Registry, Route};
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
}

impl Plugins {
    /// Returns when every file that is there and enabled was brought to readiness, or has failed.
    pub async fn start(
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
        let shared = SharedCapabilities::start(metrics.clone(), tasks, stop.clone());
        let loader = Arc::new(Loader { sandbox, compiler, shared: shared.clone() });

        let mut supervisor = Supervisor::new(config.clone(), loader, metrics, tasks.clone(), stop.clone());
        let published = supervisor.published.clone();
        supervisor.first(directory.look().await).await;
        let (listener, directory_changes) = mpsc::channel(PENDING_LOOKS);
        tasks.spawn(directory.follow(listener, stop));
        tasks.spawn(supervisor.run(directory_changes, config_changes));
        Ok(Arc::new(Self { config, shared, published }))
    }

    /// The snapshot of this moment. To be taken once per message.
    pub fn registry(&self) -> Arc<Registry> {
        self.published.registry.load_full()
    }

    /// The number of the newest snapshot, as it rises.
    #[cfg(test)]
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
        self.shared.forget_session(session_id);
    }
}

/// Why the host cannot offer plugins at all. A single plugin's trouble is never this.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginSetupError {
    #[error("the sandbox cannot be set up: {0:#}")]
    Engine(wasmtime::Error),
    #[error("the plugin directory {} cannot be used: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
}
