//! What plugins can be granted: one interface of the contract, one file.
//!
//! Each implements the interface for [`CallState`](super::call_state::CallState), checks limits and
//! grants, and hands the rest to the call's [`Effects`](super::effects::Effects) or to what all calls
//! share. None of them waits but `runs.start`, `toolbox`, `catalogue`, `changes.watch`, `http`, and `state` for its disk, and these within the
//! call's deadline.

use std::{path::Path, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    instances::{ready::Opened, sessions::SessionInstances},
    runs::RunRegistry,
    seals::Seals,
    state::StateStore,
};
use crate::{config::LiveConfig, storage::StoreError, telemetry::Metrics};

mod catalogue;
mod changes;
mod clock;
mod host_info;
mod http;
mod inputs;
mod logging;
mod messages;
mod progress;
mod random;
mod requests;
mod runs;
mod seals;
mod settings;
mod state;
mod toolbox;
mod topics;

/// How often what has expired is dropped: often enough that it does not pile up, seldom enough that
/// nobody waits for the lock.
const PURGE_INTERVAL: Duration = Duration::from_secs(30);

/// What calls of all plugins share.
pub(crate) struct SharedCapabilities {
    pub state: Arc<StateStore>,
    pub runs: Arc<RunRegistry>,
    pub seals: Seals,
    /// Instances that outlive calls.
    pub(super) sessions: SessionInstances,
    pub(super) opened: Opened,
    pub metrics: Arc<Metrics>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

impl SharedCapabilities {
    /// Also starts the tasks that write state and drop what has expired. Without a folder, what plugins remember
    /// ends with the process. Blocks while the file is opened.
    pub fn start(
        config: LiveConfig,
        data_dir: Option<&Path>,
        seals: Seals,
        metrics: Arc<Metrics>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, StoreError> {
        let state = Arc::new(StateStore::open(config, data_dir, metrics.clone(), tasks)?);
        state.start(tasks, stop.clone());
        let shared = Arc::new(Self {
            state,
            runs: Arc::default(),
            seals,
            sessions: SessionInstances::default(),
            opened: Opened::default(),
            metrics,
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        let swept = shared.clone();
        tasks.spawn(async move { swept.sweep_until_stopped().await });
        let purged = shared.clone();
        tasks.spawn(async move { purged.purge_until(stop).await });
        Ok(shared)
    }

    async fn purge_until(&self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(PURGE_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = interval.tick() => self.runs.purge(),
            }
        }
    }
}
