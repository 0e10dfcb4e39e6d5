//! How one version is doing, and what follows: whether calls are let in, and whether it is worse than
//! another.
//!
//! Three questions are kept apart. A [`circuit`] leaves a version alone that fails whoever calls it.
//! [`poison`] keeps a message from running again that brings the version down. A [`window`] of outcomes and
//! durations is what a canary is judged by. All of them hear of a call through its [`Permit`], once.
//!
//! A call that is let in costs a look at one atomic, the hashes of its message and its user, and two short locks that
//! nobody waits under. It knows nothing of other versions: what served before, and what a verdict leads
//! to, is somebody else's business.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use self::{
    circuit::{Circuit, Event, Pass, Reaction},
    digest::{Asker, Digests, MessageDigest},
    outcome::{Circumstances, Ending},
    poison::Poison,
    report::Report,
    verdict::Verdict,
    window::Window,
};
use super::{effects::CallContext, failure::CallFailure, health::asked::Asked};
use crate::{
    config::{CanaryConfig, PluginConfig},
    telemetry::{Metrics, metrics::PluginVersionLabel},
};

mod asked;
mod circuit;
mod digest;
mod histogram;
mod outcome;
mod poison;
mod report;
pub(crate) mod verdict;
mod weights;
mod window;

/// Of one version, for as long as it lives.
pub(crate) struct VersionHealth {
    deadline: Duration,
    digests: Digests,
    poison: Poison,
    window: Mutex<Window>,
    circuit: Mutex<Watched>,
    /// Whether the circuit neither has to be asked nor told of calls that were served.
    settled: AtomicBool,
}

/// The circuit, and who is told of what becomes of it.
struct Watched {
    circuit: Circuit,
    report: Report,
}

/// The right to one call, and the duty to say how it ended. If it is dropped instead, the call was
/// abandoned, and says nothing.
pub(crate) struct Permit {
    health: Arc<VersionHealth>,
    begun: Instant,
    asker: Asker,
    nested: bool,
    message: Option<MessageDigest>,
    /// `None` once it is known how it ended.
    pass: Option<Pass>,
}

impl VersionHealth {
    pub fn new(label: PluginVersionLabel, config: &PluginConfig, metrics: Arc<Metrics>, now: Instant) -> Arc<Self> {
        let health = &config.health;
        let circuit = Circuit::new(circuit::Rules {
            failures_to_open: health.failures_to_open,
            backoff_min: health.backoff_min,
            backoff_max: health.backoff_max,
        });
        Arc::new(Self {
            deadline: config.limits.deadline,
            digests: Digests::default(),
            poison: Poison::new(poison::Rules { crashes: health.poison_crashes, time: health.poison_time }),
            window: Mutex::new(Window::new(config.canary.window, now)),
            settled: AtomicBool::new(circuit.is_settled()),
            circuit: Mutex::new(Watched { circuit, report: Report::new(label, metrics) }),
        })
    }

    /// Whether a call may begin. `None`: it may, and is nobody's business here.
    ///
    /// A poisonous message is recognised first, so that it never is the probe.
    pub fn admit<'a>(
        self: &Arc<Self>,
        context: &CallContext,
        asked: impl Into<Asked<'a>>,
        now: Instant,
    ) -> Result<Option<Permit>, CallFailure> {
        let asked = asked.into();
        if asked == Asked::OfTheHost {
            return Ok(None);
        }
        let asker = self.digests.asker(&context.caller.principal, context.through());
        let message = if self.poison.is_on() { asked.digest(&self.digests) } else { None };
        if let Some(retry_after) = message.and_then(|message| self.poison.of(message, asker, now)) {
            self.lock().report.refused_poison();
            return Err(CallFailure::Poisoned { retry_after });
        }
        let pass = self.ask(asker, now).map_err(|retry_after| CallFailure::Unavailable { retry_after })?;
        Ok(Some(Permit {
            health: self.clone(),
            begun: now,
            asker,
            nested: !context.chain.is_empty(),
            message,
            pass: Some(pass),
        }))
    }

    /// If this version had to be left alone within that time after it took over, as several users found out: why.
    pub fn opened_since(&self, swap: Instant, within: Duration) -> Option<String> {
        self.lock().report.opened_since(swap, within)
    }

    /// From now on its circuit is among the metrics.
    pub fn show(&self) {
        let mut watched = self.lock();
        let state = watched.circuit.state();
        watched.report.show(state);
    }

    /// From now on it is not.
    pub fn hide(&self) {
        self.lock().report.hide();
    }

    fn ask(&self, asker: Asker, now: Instant) -> Result<Pass, Duration> {
        if self.settled.load(Relaxed) {
            return Ok(Pass::Ordinary);
        }
        match self.step(Event::Asked(asker), now, None) {
            Reaction::Refused { retry_after } => Err(retry_after),
            Reaction::Admitted(pass) => Ok(pass),
            Reaction::Noted => Ok(Pass::Ordinary),
        }
    }

    fn step(&self, event: Event, now: Instant, failure: Option<&CallFailure>) -> Reaction {
        let mut watched = self.lock();
        let before = watched.circuit.state();
        let reaction = watched.circuit.step(event, now, rand::random_range(-1.0..=1.0));
        let after = watched.circuit.state();
        self.settled.store(watched.circuit.is_settled(), Relaxed);
        watched.report.moved(before, after, failure, now);
        reaction
    }

    fn ended(&self, ending: Ending, pass: Pass, asker: Asker, failure: Option<&CallFailure>, now: Instant) {
        match ending {
            // A probe is only out while the circuit is not settled.
            Ending::Served if self.settled.load(Relaxed) => {}
            Ending::Served => _ = self.step(Event::Served(pass, asker), now, failure),
            Ending::Failed => _ = self.step(Event::Failed(pass, asker), now, failure),
            Ending::Void if pass == Pass::Probe => _ = self.step(Event::Void(pass), now, failure),
            Ending::Void => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    pub fn end<T>(mut self, result: &Result<T, CallFailure>, now: Instant) {
        let Some(pass) = self.pass.take() else { return };
        let (health, asker) = (&self.health, self.asker);
        let circumstances = Circumstances { deadline: health.deadline, nested: self.nested };
        let failure = result.as_ref().err();
        let ending = outcome::about_version(failure, &circumstances);
        match ending {
            Ending::Served => {
                let duration = now.saturating_duration_since(self.begun);
                health.window().record(asker.user, Some(duration), now);
            }
            Ending::Failed => health.window().record(asker.user, None, now),
            Ending::Void => {}
        }
        health.ended(ending, pass, asker, failure, now);
        let Some(message) = self.message else { return };
        match failure.filter(|failure| outcome::is_crash(failure)) {
            Some(failure) if health.poison.crashed(message, asker, now) => health.lock().report.poison(failure),
            Some(_) => {}
            None if ending == Ending::Served => health.poison.served(message, asker),
            None => {}
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.filter(|pass| *pass == Pass::Probe) {
            self.health.step(Event::Void(pass), Instant::now(), None);
        }
    }
}

/// Whether a canary does worse than the version that serves everybody else.
pub(crate) fn judge(active: &VersionHealth, canary: &VersionHealth, config: &CanaryConfig, now: Instant) -> Verdict {
    let (active, canary) = (active.window().figures(now), canary.window().figures(now));
    verdict::compare(&active, &canary, config)
}

#[cfg(test)]
mod tests;
