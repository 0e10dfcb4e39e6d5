//! What one instance leaves to the next: exported, kept as bytes, imported.
//!
//! Both calls are made on nobody's behalf, with limits of their own, because they happen between the
//! messages of a session and nobody waits for them but the next message.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{timeout, timeout_at};

use super::super::{
    PluginVersion,
    call_state::CallState,
    capability::SharedCapabilities,
    cpu_time::{CpuMeter, Metered},
    engine::Seat,
    failure::{CallFailure, TimeLimit},
    guest::{Answer, Question},
    limits::Watch,
    runs::CallRun,
};
use super::live::Live;
use crate::telemetry::metrics::PluginOutcome;

/// The most that an export or an import may take: a message may wait for both.
const HANDOVER: Duration = Duration::from_secs(2);

/// Imports of one state that are begun. The first can have been cut short by a call that had little time left.
const MAX_ATTEMPTS: u32 = 2;

/// What an instance left behind.
pub(in super::super) struct Parked {
    /// The version's own label.
    pub from_version: Arc<str>,
    pub state: Vec<u8>,
    since: Instant,
    room: Seat,
    attempts: u32,
}

impl Parked {
    pub fn bytes(&self) -> usize {
        self.room.bytes()
    }

    /// An instance is about to take it over, or to end in the attempt. Whether it may: one that took
    /// longer than its call had, each time, takes every next message with it as well.
    pub fn attempt(&mut self) -> bool {
        self.attempts += 1;
        self.attempts <= MAX_ATTEMPTS
    }

    #[cfg(test)]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Live {
    /// What it wants to leave to its successor; `None` if it does not hand over, cannot, or there is no
    /// room. That is counted, and said in the log.
    pub async fn park(&mut self) -> Option<Parked> {
        let version = self.version().clone();
        if version.exports.handover.is_none() {
            version.count_handover("not_supported");
            return None;
        }
        let state = match self.export().await {
            Ok(state) => state,
            // It says so itself: there is nothing that it wants to leave.
            Err(CallFailure::Refused(refusal)) => {
                tracing::debug!(plugin = %version.name, version = %version.version, reason = %refusal.message, "an instance hands nothing over");
                version.count_handover("not_supported");
                return None;
            }
            Err(failure) => {
                tracing::warn!(plugin = %version.name, version = %version.version, %failure, "an instance could not export its state: its session starts anew");
                version.count_handover("export_failed");
                return None;
            }
        };
        let Some(room) = version.room_to_park(state.len()) else {
            tracing::warn!(plugin = %version.name, bytes = state.len(), "no room for what an instance leaves behind: its session starts anew");
            version.count_handover("no_room");
            return None;
        };
        Some(Parked { from_version: version.version.clone(), state, since: Instant::now(), room, attempts: 0 })
    }

    /// What it would leave behind. It can go on serving.
    pub async fn export(&mut self) -> Result<Vec<u8>, CallFailure> {
        match self.asked_by_the_host(Question::ExportState).await? {
            Answer::State(state) => Ok(state),
            _ => Err(CallFailure::Host("export-state gave no state".into())),
        }
    }

    /// Takes over what another left. After an error it is not to be used.
    pub async fn import(&mut self, from_version: &str, state: &[u8]) -> Result<(), CallFailure> {
        self.asked_by_the_host(Question::ImportState { from_version, state }).await.map(drop)
    }

    async fn asked_by_the_host(&mut self, question: Question<'_>) -> Result<Answer, CallFailure> {
        let version = self.version().clone();
        let deadline = Instant::now() + HANDOVER;
        let meter = CpuMeter::new();
        let watch = Watch { meter: meter.clone(), cpu_time: version.limits.cpu_time, deadline };
        let _awake = version.sandbox.keep_awake();
        self.begin(CallState::nobodys_with(version, HANDOVER, meter.clone(), CallRun::new()), watch);
        let asked = timeout_at(deadline.into(), Metered::new(self.ask(question), meter)).await;
        asked.unwrap_or(Err(CallFailure::TimedOut { limit: HANDOVER, setting: TimeLimit::Deadline }))
    }
}

impl PluginVersion {
    /// Gives a fresh instance what another one left. Whether it can be used: not if it failed half-way.
    pub(in super::super) async fn hand_over(&self, parked: &Parked, fresh: &mut Live) -> bool {
        let from = &parked.from_version;
        if self.exports.handover.is_none() {
            tracing::warn!(plugin = %self.name, version = %self.version, %from, "the version takes nothing over: its sessions start anew");
            self.count_handover("not_supported");
            return true;
        }
        match fresh.import(from, &parked.state).await {
            Ok(()) => {
                self.count_handover("imported");
                true
            }
            Err(failure) => {
                tracing::warn!(plugin = %self.name, version = %self.version, %from, %failure, "an instance could not take over: its session starts anew");
                self.count_handover("import_failed");
                false
            }
        }
    }

    fn count_handover(&self, outcome: &'static str) {
        self.shared.count_handover(&self.name, outcome);
    }

    /// Whether this version, which does not serve yet, can take over from one that does: with what up
    /// to [`SAMPLES`] of its sessions would leave now, or a fresh instance if it has none.
    pub(crate) async fn can_take_over_from(self: &Arc<Self>, serving: &Arc<Self>) -> Result<(), String> {
        if serving.exports.handover.is_none() {
            return Ok(());
        }
        let checked = timeout(CHECK, self.check_samples_of(serving)).await;
        checked
            .unwrap_or_else(|_| Err(format!("to try that with sessions of version {} takes too long", serving.version)))
    }

    async fn check_samples_of(self: &Arc<Self>, serving: &Arc<Self>) -> Result<(), String> {
        let samples = match serving.shared.sessions.samples(serving, SAMPLES).await {
            Some(samples) => samples,
            None => {
                let mut fresh = serving.start_ahead().await.map_err(|failure| failure.to_string())?;
                Vec::from_iter(fresh.export().await.ok())
            }
        };
        for state in samples {
            if self.exports.handover.is_none() {
                return Err(format!(
                    "sessions of version {} leave what they know, and this one exports no `handover`",
                    serving.version
                ));
            }
            let mut fresh = self.start_ahead().await.map_err(|failure| failure.to_string())?;
            fresh.import(&serving.version, &state).await.map_err(|failure| {
                let bytes = state.len();
                format!(
                    "it cannot import the {bytes} bytes that a session of version {} would leave: {failure}",
                    serving.version
                )
            })?;
        }
        Ok(())
    }
}

impl SharedCapabilities {
    pub(in super::super) fn count_handover(&self, plugin: &Arc<str>, outcome: &'static str) {
        let label = PluginOutcome { plugin: plugin.clone(), outcome };
        self.metrics.plugin_handovers.get_or_create(&label).inc();
    }
}

/// Sessions whose state a new version has to be able to import before it serves.
const SAMPLES: usize = 3;

/// What all of that may take: operations on the plugin wait for it.
const CHECK: Duration = Duration::from_secs(10);
