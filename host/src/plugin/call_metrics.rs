//! The metrics that count with every message and every call of one version, looked up once: to find one by its labels
//! costs more than to count.

use std::sync::Arc;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

use crate::telemetry::{
    Metrics,
    metrics::{Plugin, PluginOutcome},
};

/// How a call ends that went well, in metrics.
pub(crate) const OK: &str = "ok";

/// How a message ends that was answered.
pub(crate) const ANSWERED: &str = "answered";

/// All are the plugin's: its versions share them.
#[derive(Debug)]
pub(crate) struct CallMetrics {
    pub in_flight: Gauge,
    pub call_duration: Histogram,
    pub message_duration: Histogram,
    calls_ok: Counter,
    messages_answered: Counter,
}

impl CallMetrics {
    pub fn new(metrics: &Metrics, plugin: &Arc<str>) -> Self {
        let label = Plugin { plugin: plugin.clone() };
        let outcome = |outcome| PluginOutcome { plugin: plugin.clone(), outcome };
        Self {
            in_flight: metrics.plugin_calls_in_flight.get_or_create_owned(&label),
            call_duration: metrics.plugin_call_duration.get_or_create_owned(&label),
            message_duration: metrics.message_duration.get_or_create_owned(&label),
            calls_ok: metrics.plugin_calls.get_or_create_owned(&outcome(OK)),
            messages_answered: metrics.messages.get_or_create_owned(&outcome(ANSWERED)),
        }
    }

    /// A call has ended.
    pub fn called(&self, metrics: &Metrics, plugin: &Arc<str>, outcome: &'static str) {
        match outcome {
            OK => _ = self.calls_ok.inc(),
            _ => _ = metrics.plugin_calls.get_or_create(&PluginOutcome { plugin: plugin.clone(), outcome }).inc(),
        }
    }

    /// The handling of a message has ended.
    pub fn handled(&self, metrics: &Metrics, plugin: &Arc<str>, outcome: &'static str) {
        match outcome {
            ANSWERED => _ = self.messages_answered.inc(),
            _ => _ = metrics.messages.get_or_create(&PluginOutcome { plugin: plugin.clone(), outcome }).inc(),
        }
    }
}
