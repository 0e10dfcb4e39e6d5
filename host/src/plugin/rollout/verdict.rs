//! What is known of how versions do, as far as a rollout depends on it.

use std::time::Instant;

use crate::plugin::PluginVersion;

/// How a canary does beside the active version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has not had enough calls to tell.
    NotYet,
    /// It is not worse.
    Keep,
    /// It is, for this reason.
    Worse(String),
}

/// Whoever watches the calls of versions.
pub(crate) trait Verdicts: Send + Sync {
    /// Why a version cannot go on serving, if it fails so much that it is left alone. Asked about versions
    /// that took over lately, and about canaries.
    fn failing_since_swap(&self, version: &PluginVersion, now: Instant) -> Option<String>;

    fn compare(&self, active: &PluginVersion, canary: &PluginVersion, now: Instant) -> Verdict;
}

/// Where nobody watches: only operators promote and roll back.
pub(crate) struct Unwatched;

impl Verdicts for Unwatched {
    fn failing_since_swap(&self, _: &PluginVersion, _: Instant) -> Option<String> {
        None
    }

    fn compare(&self, _: &PluginVersion, _: &PluginVersion, _: Instant) -> Verdict {
        Verdict::NotYet
    }
}
