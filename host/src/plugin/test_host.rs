//! A host without sockets for unit tests: a plugin directory, a config, and what serves.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use switchboard_protocol::MessageType;
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    PluginSetupError, Plugins, Route, Who,
    rollout::verdict::{ByHealth, Verdicts},
    status::{LoadFailure, PluginStatus, Stage},
    test_guest::TestGuest,
};
use crate::{
    config::{Config, LiveConfig, PluginConfig},
    storage::StoreError,
    telemetry::Metrics,
};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Host {
    folder: TempDir,
    pub config: LiveConfig,
    pub plugins: Arc<Plugins>,
    pub metrics: Arc<Metrics>,
    pub tasks: TaskTracker,
    stop: CancellationToken,
}

impl Host {
    /// With these files in the directory, and a config that is changed before it starts.
    pub async fn start(files: &[(&str, TestGuest)], change: impl FnOnce(&mut Config)) -> Self {
        Self::resume(tempfile::tempdir().unwrap(), Arc::new(ByHealth), files, change).await
    }

    /// In a folder that another has left, with somebody who knows how versions do.
    pub async fn resume(
        folder: TempDir,
        verdicts: Arc<dyn Verdicts>,
        files: &[(&str, TestGuest)],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::for_tests(folder.path());
        config.server.plugin_dir = folder.path().join("plugins");
        config.limits.max_plugin_calls = 4;
        change(&mut config);
        fs::create_dir_all(&config.server.plugin_dir).unwrap();
        for (name, guest) in files {
            fs::write(config.server.plugin_dir.join(format!("{name}.wasm")), guest.build()).unwrap();
        }
        let config = LiveConfig::new(config);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let metrics = Metrics::new();
        let begin = Instant::now();
        let plugins = loop {
            let (verdicts, config, metrics) = (verdicts.clone(), config.clone(), metrics.clone());
            match Plugins::watched_by(verdicts, config, metrics, &tasks, stop.clone()).await {
                // What was being compiled as the last one stopped holds on to it for a moment longer.
                Err(PluginSetupError::State(StoreError::InUse { .. })) if begin.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                started => break started.unwrap(),
            }
        };
        Self { folder, config, plugins, metrics, tasks, stop }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("plugins").join(file)
    }

    /// As documented: written elsewhere, renamed into place.
    pub fn deploy(&self, name: &str, bytes: &[u8]) {
        let partial = self.path(&format!("{name}.wasm.tmp"));
        fs::write(&partial, bytes).unwrap();
        fs::rename(partial, self.path(&format!("{name}.wasm"))).unwrap();
    }

    pub fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        let mut config = Config::clone(&self.config.load());
        change(&mut config);
        self.config.publish(config);
    }

    /// Where a type goes, in a few words.
    pub fn route(&self, name: &str) -> String {
        self.route_of(name, &Who { tenant: None, subject: "anybody", session_id: "any" })
    }

    pub fn route_of(&self, name: &str, who: &Who<'_>) -> String {
        match self.plugins.registry().route(&MessageType::parse(name).unwrap(), who) {
            Route::Handler(handler) => format!("{} {}", handler.version.name, handler.version.version),
            Route::Disabled { plugin } => format!("{plugin} is disabled"),
            Route::Unavailable { plugin, reason, .. } => format!("{plugin} is unavailable: {reason}"),
            Route::Unknown { nearest } => format!("unknown, near {nearest:?}"),
        }
    }

    pub fn status(&self, name: &str) -> Option<PluginStatus> {
        self.plugins.statuses().into_iter().find(|status| status.name == name)
    }

    /// Waits until a type goes there.
    pub async fn routed(&self, name: &str, expected: &str) {
        self.until(|| self.route(name), |found| found.contains(expected), expected).await;
    }

    /// Waits until an attempt failed at this stage, for a reason with these words.
    pub async fn failed(&self, plugin: &str, stage: Stage, words: &str) {
        let error = || self.status(plugin).and_then(|status| status.last_error);
        let fits = |error: &Option<LoadFailure>| {
            error.as_ref().is_some_and(|error| error.stage == stage && error.reason.contains(words))
        };
        self.until(error, fits, words).await;
    }

    pub async fn until<T: std::fmt::Debug>(&self, look: impl Fn() -> T, fits: impl Fn(&T) -> bool, expected: &str) {
        let begin = Instant::now();
        while !fits(&look()) {
            assert!(begin.elapsed() < PATIENCE, "{:?} instead of {expected}; {:#?}", look(), self.plugins.statuses());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Leaves the folder for another.
    pub async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.unwrap();
        self.folder
    }
}

/// Changes one plugin's section.
pub(crate) fn section(name: &'static str, change: impl FnOnce(&mut PluginConfig)) -> impl FnOnce(&mut Config) {
    move |config| {
        let mut section = config.plugin(name).clone();
        change(&mut section);
        config.plugins.insert(name.to_owned(), section);
    }
}
