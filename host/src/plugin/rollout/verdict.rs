//! What is known of how versions do, as far as a rollout depends on it.

use std::time::{Duration, Instant};

pub(crate) use crate::plugin::health::verdict::Verdict;
use crate::{
    config::CanaryConfig,
    plugin::{PluginVersion, health},
};

/// Whoever watches the calls of versions.
pub(crate) trait Verdicts: Send + Sync {
    /// Why a version cannot go on serving, if it failed so much that it was left alone, within that time after
    /// it took over.
    fn failing_since_swap(&self, version: &PluginVersion, swap: Instant, within: Duration) -> Option<String>;

    /// How a canary does beside the active version.
    fn compare(&self, active: &PluginVersion, canary: &PluginVersion, config: &CanaryConfig, now: Instant) -> Verdict;
}

/// By what each version keeps of its own calls.
pub(crate) struct ByHealth;

impl Verdicts for ByHealth {
    fn failing_since_swap(&self, version: &PluginVersion, swap: Instant, within: Duration) -> Option<String> {
        version.health.opened_since(swap, within)
    }

    fn compare(&self, active: &PluginVersion, canary: &PluginVersion, config: &CanaryConfig, now: Instant) -> Verdict {
        health::judge(&active.health, &canary.health, config, now)
    }
}
