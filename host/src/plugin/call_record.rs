//! What is recorded about a call: a span, metrics, and a log line if it went wrong.
//!
//! Recorded also for a call whose future was dropped, so that gauges return to zero.

use std::{sync::Arc, time::Instant};

use super::{PluginVersion, effects::CallContext, failure::CallFailure};
use crate::telemetry::metrics::{Plugin, PluginOutcome};

/// For a call that nobody waited for to the end.
const ABANDONED: &str = "abandoned";

pub(super) struct CallRecord {
    pub begun: Instant,
    version: Arc<PluginVersion>,
    connection_id: Arc<str>,
    export: &'static str,
    outcome: &'static str,
}

impl CallRecord {
    pub fn begin(version: &Arc<PluginVersion>, context: &CallContext, export: &'static str) -> Self {
        let record = Self {
            begun: Instant::now(),
            version: version.clone(),
            connection_id: context.caller.connection_id.clone(),
            export,
            outcome: ABANDONED,
        };
        record.version.shared.metrics.plugin_calls_in_flight.get_or_create(&record.plugin()).inc();
        record
    }

    pub fn span(&self) -> tracing::Span {
        tracing::info_span!(
            "plugin_call",
            plugin = %self.version.name,
            plugin_version = %self.version.version,
            connection_id = %self.connection_id,
            export = self.export,
        )
    }

    /// Within the span.
    pub fn end<T>(&mut self, result: &Result<T, CallFailure>) {
        match result {
            Ok(_) => self.outcome = "ok",
            Err(failure) => {
                self.outcome = failure.outcome();
                report(failure);
            }
        }
    }

    fn plugin(&self) -> Plugin {
        Plugin { plugin: self.version.name.clone() }
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        let metrics = &self.version.shared.metrics;
        let plugin = self.plugin();
        metrics.plugin_calls_in_flight.get_or_create(&plugin).dec();
        metrics.plugin_call_duration.get_or_create(&plugin).observe(self.begun.elapsed().as_secs_f64());
        let outcome = PluginOutcome { plugin: plugin.plugin, outcome: self.outcome };
        metrics.plugin_calls.get_or_create(&outcome).inc();
    }
}

/// Refusals are the plugin's daily business; the rest is for someone to look into.
fn report(failure: &CallFailure) {
    match failure {
        CallFailure::Crashed { backtrace, .. } | CallFailure::OutOfMemory { backtrace, .. } => {
            tracing::warn!(outcome = failure.outcome(), %failure, backtrace, "a call failed");
        }
        CallFailure::Refused(refusal) => tracing::debug!(code = %refusal.code, "the plugin refused"),
        CallFailure::Cancelled => tracing::debug!("a run was cancelled"),
        CallFailure::Host(_) => tracing::error!(outcome = failure.outcome(), %failure, "a call failed"),
        _ => tracing::warn!(outcome = failure.outcome(), %failure, "a call failed"),
    }
}
