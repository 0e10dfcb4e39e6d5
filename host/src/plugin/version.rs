//! One version of a plugin, ready for calls: what was proven about an artefact, tied to the settings,
//! limits and grants that it runs with.
//!
//! Immutable. A change of any of them makes another `PluginVersion`; this one then drains: calls that
//! are under way finish, and after a deadline those that are left are interrupted. It does not know
//! where it stands in the registry.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use wasmtime::component::InstancePre;

use super::{
    bindings::Exports, call_metrics::CallMetrics, capability::SharedCapabilities, egress::Egress, engine::Sandbox,
    health::VersionHealth, instance_state::InstanceState, instances::ready::Ready, manifest::Manifest,
};
use crate::config::{Grants, InstanceConfig, Isolation, PluginLimits};

/// How long calls of a replaced version may go on, if its own deadline is not longer: enough for
/// every default deadline, and short enough that an operator who waits for it does not give up.
const MIN_DRAIN: Duration = Duration::from_secs(30);

/// Ready: linked with exactly what was granted, its settings accepted, its self-test passed.
pub(crate) struct PluginVersion {
    /// The stem of its file.
    pub name: Arc<str>,
    /// What the manifest says; a label, not an identity.
    pub version: Arc<str>,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    pub manifest: Manifest,
    /// What the operator decided, or the plugin asked for.
    pub isolation: Isolation,
    pub limits: PluginLimits,
    pub instances: InstanceConfig,
    pub grants: Grants,
    /// The way out, if `http` is granted.
    pub egress: Option<Arc<Egress>>,
    pub settings_json: Arc<str>,
    pub pre: InstancePre<InstanceState>,
    pub exports: Exports,
    pub sandbox: Arc<Sandbox>,
    pub shared: Arc<SharedCapabilities>,
    /// Instances that wait for any call.
    pub(super) ready: Ready,
    /// `max_concurrent_calls` permits.
    pub slots: Arc<Semaphore>,
    /// Cancelled when calls that are under way have to end.
    pub interrupted: CancellationToken,
    /// One token per call that is under way.
    pub in_flight: TaskTracker,
    /// How its calls go, and whether more are let in.
    pub health: Arc<VersionHealth>,
    /// From its first call on.
    pub(super) call_metrics: OnceLock<CallMetrics>,
}

impl PluginVersion {
    /// To be held for the length of a call, its wait for a slot included.
    pub fn begin_call(&self) -> TaskTrackerToken {
        self.in_flight.token()
    }

    pub fn call_metrics(&self) -> &CallMetrics {
        self.call_metrics.get_or_init(|| CallMetrics::new(&self.shared.metrics, &self.name))
    }

    /// Whether another one serves in its place.
    pub fn is_retired(&self) -> bool {
        self.in_flight.is_closed()
    }

    /// How long calls may go on once the version has been replaced.
    pub fn drain_limit(&self) -> Duration {
        MIN_DRAIN.max(self.limits.deadline)
    }

    /// Waits for the calls that are under way; interrupts those that are left after [`Self::drain_limit`].
    /// Whether none had to be interrupted.
    pub async fn drain(&self) -> bool {
        self.in_flight.close();
        self.ready.close();
        let finished = timeout(self.drain_limit(), self.in_flight.wait()).await.is_ok();
        if !finished {
            self.interrupted.cancel();
        }
        finished
    }
}

impl std::fmt::Debug for PluginVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginVersion")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
