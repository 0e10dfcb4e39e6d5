//! What operators hear of a version's circuit and of its poison: log lines, metrics, and why it opened.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{super::failure::CallFailure, circuit::State};
use crate::telemetry::{
    Metrics,
    metrics::{Plugin, PluginVersionLabel},
};

/// Openings that are remembered, the newest. Each waits twice as long as the one before it, so there are
/// seldom more in the time after a swap that anyone asks about.
const REMEMBERED: usize = 16;

pub(super) struct Report {
    label: PluginVersionLabel,
    metrics: Arc<Metrics>,
    /// Whether the version is among the metrics. One that drains is not: its successor may have the same
    /// label.
    shown: bool,
    openings: VecDeque<Opening>,
}

struct Opening {
    at: Instant,
    /// Whether it has failed several users by then. One alone is believed as far as that the version is left alone
    /// for a while, and not that it has to go.
    by_several: bool,
    why: String,
}

impl Report {
    pub fn new(label: PluginVersionLabel, metrics: Arc<Metrics>) -> Self {
        Self { label, metrics, shown: false, openings: VecDeque::new() }
    }

    /// After each step of the circuit; `failure` is that of the call which caused it.
    pub fn moved(&mut self, before: State, after: State, failure: Option<&CallFailure>, now: Instant) {
        if position(before) == position(after) {
            return;
        }
        let PluginVersionLabel { plugin, version } = &self.label;
        match (before, after) {
            (_, State::Open { until, failed, .. }) => {
                let wait = until.saturating_duration_since(now);
                self.opened(before, wait, failed.is_several(), failure, now);
            }
            (_, State::HalfOpen { .. }) => {
                tracing::info!(%plugin, %version, "the circuit is half open: one call tries whether the version works again");
            }
            (_, State::Closed { .. }) => {
                tracing::info!(%plugin, %version, "the circuit closed: the version takes calls again");
            }
        }
        self.expose(after);
    }

    fn opened(&mut self, before: State, wait: Duration, by_several: bool, failure: Option<&CallFailure>, now: Instant) {
        let why = match before {
            // The one that was too much is not among those counted before.
            State::Closed { failures, .. } => format!("{} calls in a row failed", failures.saturating_add(1)),
            State::Open { .. } | State::HalfOpen { .. } => "the call that tried it failed".to_owned(),
        };
        let last_failure = failure.map(ToString::to_string).unwrap_or_default();
        let PluginVersionLabel { plugin, version } = &self.label;
        let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(%plugin, %version, why, last_failure, retry_after_ms, "the circuit opened: the version is left alone for a while");
        self.metrics.plugin_circuit_openings.get_or_create(&Plugin { plugin: plugin.clone() }).inc();
        if self.openings.len() == REMEMBERED {
            self.openings.pop_front();
        }
        let why = format!("{why}, the last with: {last_failure}");
        self.openings.push_back(Opening { at: now, by_several, why });
    }

    pub fn opened_since(&self, swap: Instant, within: Duration) -> Option<String> {
        let after = |at: Instant| at.checked_duration_since(swap).filter(|after| *after <= within);
        self.openings.iter().filter(|opening| opening.by_several).find_map(|Opening { at, why, .. }| {
            let millis = after(*at)?.as_millis();
            Some(format!("its circuit opened {millis} ms after it took over: {why}"))
        })
    }

    /// A message has become poison.
    pub fn poison(&self, failure: &CallFailure) {
        let PluginVersionLabel { plugin, version } = &self.label;
        let last_failure = failure.to_string();
        tracing::warn!(%plugin, %version, last_failure, "a message brought the handler down again: it is answered MESSAGE_POISONED for a while");
    }

    /// A message was not run.
    pub fn refused_poison(&self) {
        self.metrics.plugin_poisoned_messages.get_or_create(&Plugin { plugin: self.label.plugin.clone() }).inc();
    }

    pub fn show(&mut self, state: State) {
        self.shown = true;
        self.expose(state);
    }

    pub fn hide(&mut self) {
        // What was never shown has no sample of its own: one under its label is another version's.
        if std::mem::take(&mut self.shown) {
            self.metrics.plugin_circuit.remove(&self.label);
        }
    }

    fn expose(&self, state: State) {
        if self.shown {
            self.metrics.plugin_circuit.get_or_create(&self.label).set(position(state));
        }
    }
}

/// As the metric has it.
fn position(state: State) -> i64 {
    match state {
        State::Closed { .. } => 0,
        State::HalfOpen { .. } => 1,
        State::Open { .. } => 2,
    }
}
