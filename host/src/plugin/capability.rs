//! What plugins can be granted: one interface of the contract, one file.
//!
//! Each implements the interface for [`CallState`](super::call_state::CallState), checks limits and
//! grants, and hands the rest to the call's [`Effects`](super::effects::Effects) or to what all calls
//! share. None of them waits but `runs.start`, `toolbox` and `http`, and these within the call's deadline.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    instances::{ready::Opened, sessions::SessionInstances},
    runs::RunRegistry,
    state_store::StateStore,
};
use crate::telemetry::Metrics;

mod clock;
mod host_info;
mod http;
mod logging;
mod messages;
mod random;
mod runs;
mod settings;
mod state;
mod toolbox;
mod topics;

/// How often what has expired is dropped: often enough that it does not pile up, seldom enough that
/// nobody waits for the lock.
const PURGE_INTERVAL: Duration = Duration::from_secs(30);

/// What calls of all plugins share.
pub(crate) struct SharedCapabilities {
    pub state: StateStore,
    pub runs: Arc<RunRegistry>,
    /// Instances that outlive calls.
    pub(super) sessions: SessionInstances,
    pub(super) opened: Opened,
    pub metrics: Arc<Metrics>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

impl SharedCapabilities {
    /// Also starts the task that drops what has expired.
    pub fn start(metrics: Arc<Metrics>, tasks: &TaskTracker, stop: CancellationToken) -> Arc<Self> {
        let shared = Arc::new(Self {
            state: StateStore::new(),
            runs: Arc::default(),
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
        shared
    }

    /// Drops what plugins remember for a session that has ended.
    pub fn forget_session(&self, session_id: &str) {
        self.state.forget_session(session_id, Instant::now());
    }

    async fn purge_until(&self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(PURGE_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = interval.tick() => {
                    let entries = self.state.purge(Instant::now());
                    self.runs.purge();
                    tracing::trace!(entries, "dropped expired state");
                }
            }
        }
    }
}
