//! What is recorded about a call: a span, metrics, and a log line if it went wrong.
//!
//! Recorded also for a call whose future was dropped, so that gauges return to zero.

use std::{sync::Arc, time::Instant};

use super::{PluginVersion, call_metrics::OK, effects::CallContext, failure::CallFailure};

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
        record.version.call_metrics().in_flight.inc();
        record
    }

    /// For what is logged meanwhile. Of level `debug`: one that is recorded with every call would cost a tenth of it.
    pub fn span(&self) -> tracing::Span {
        tracing::debug_span!(
            "plugin_call",
            plugin = %self.version.name,
            plugin_version = %self.version.version,
            connection_id = %self.connection_id,
            export = self.export,
        )
    }

    pub fn end<T>(&mut self, result: &Result<T, CallFailure>) {
        match result {
            Ok(_) => self.outcome = OK,
            Err(failure) => {
                self.outcome = failure.outcome();
                self.report(failure);
            }
        }
    }

    /// Refusals are the plugin's daily business; the rest is for someone to look into.
    fn report(&self, failure: &CallFailure) {
        let backtrace = match failure {
            CallFailure::Crashed { backtrace, .. } | CallFailure::OutOfMemory { backtrace, .. } => Some(&**backtrace),
            _ => None,
        };
        macro_rules! failed {
            ($level:ident) => {
                tracing::$level!(
                    plugin = %self.version.name,
                    plugin_version = %self.version.version,
                    connection_id = %self.connection_id,
                    export = self.export,
                    outcome = failure.outcome(),
                    %failure,
                    backtrace,
                    "a call failed"
                )
            };
        }
        match failure {
            CallFailure::Refused(refusal) => tracing::debug!(code = %refusal.code, "the plugin refused"),
            CallFailure::Cancelled => tracing::debug!("a run was cancelled"),
            CallFailure::Host(_) => failed!(error),
            _ => failed!(warn),
        }
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        let metrics = self.version.call_metrics();
        metrics.in_flight.dec();
        metrics.call_duration.observe(self.begun.elapsed().as_secs_f64());
        metrics.called(&self.version.shared.metrics, &self.version.name, self.outcome);
    }
}
