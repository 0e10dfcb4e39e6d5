//! The circuit of one version as a state machine. It has no clock, no lock and no randomness: time and the
//! roll of the dice are passed in.
//!
//! A circuit cuts everybody off, so one user must not be able to open it. Failures in a row open it if
//! they hit several users, or if nobody but the one they hit was ever served: a version that has served
//! others is believed, against the word of a single user whose messages all fail. What that user sends is
//! left to poison recognition and to the limits of rate. A single user can still open the circuit of a
//! version that has served nobody else: there it takes nothing from anyone who had it.

use std::time::{Duration, Instant};

use super::digest::Caller;

/// How far a backoff strays from its length, so that versions which failed together are not tried together.
const JITTER: f64 = 0.1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// Zero: never.
    pub failures_to_open: u32,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Circuit {
    rules: Rules,
    state: State,
    /// Since the version was made.
    served: Callers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Every call is admitted.
    Closed { failures: u32, of: Callers },
    /// None is.
    Open { until: Instant, backoff: Duration },
    /// One is, the probe, and decides. One that takes longer than `backoff_max`, as an agent's run may, has
    /// not failed at least: the others wait for it no longer, and the next of them is a probe as well.
    HalfOpen { backoff: Duration, held_until: Option<Instant> },
}

/// Whose calls they were, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callers {
    Nobody,
    One(Caller),
    Several,
}

/// What a call was admitted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Ordinary,
    Probe,
}

/// What happens to a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A call would like to begin.
    Asked,
    /// One ended, and the version did its duty.
    Served(Pass, Caller),
    /// One ended, and it did not.
    Failed(Pass, Caller),
    /// One ended without saying anything about the version.
    Void(Pass),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    Admitted(Pass),
    Refused { retry_after: Duration },
    Noted,
}

impl Circuit {
    pub fn new(rules: Rules) -> Self {
        Self { rules, state: State::CLOSED, served: Callers::Nobody }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether calls need not ask, and served ones need not tell.
    pub fn is_settled(&self) -> bool {
        self.rules.failures_to_open == 0 || (self.state == State::CLOSED && self.served == Callers::Several)
    }

    /// `roll` is between -1 and 1, and evenly distributed.
    pub fn step(&mut self, event: Event, now: Instant, roll: f64) -> Reaction {
        if let Event::Served(_, caller) = event {
            self.served = self.served.and(caller);
        }
        let (state, reaction) = self.next(event, now, roll);
        self.state = state;
        reaction
    }

    fn next(&self, event: Event, now: Instant, roll: f64) -> (State, Reaction) {
        use {Event::*, Pass::*, State::*};
        let refused = |retry_after| Reaction::Refused { retry_after };
        match (self.state, event) {
            // Closed -> Closed: business as usual.
            (Closed { .. }, Asked) => (self.state, Reaction::Admitted(Ordinary)),
            (Closed { .. }, Served(..)) => (State::CLOSED, Reaction::Noted),
            // Closed -> Closed, or Open: one more in a row.
            (Closed { failures, of }, Failed(_, caller)) => {
                let (failures, of) = (failures.saturating_add(1), of.and(caller));
                let state = match self.is_enough(failures, of) {
                    true => self.open(self.rules.backoff_min, now, roll),
                    false => Closed { failures, of },
                };
                (state, Reaction::Noted)
            }
            // Open -> Open: its time is not over.
            (Open { until, .. }, Asked) if now < until => (self.state, refused(until - now)),
            // HalfOpen -> HalfOpen: one is enough. By then, it has most likely ended.
            (HalfOpen { held_until: Some(until), .. }, Asked) if now < until => {
                (self.state, refused(self.rules.backoff_min.min(until - now)))
            }
            // Open, or HalfOpen -> HalfOpen: this call is the probe.
            (Open { backoff, .. } | HalfOpen { backoff, .. }, Asked) => {
                (HalfOpen { backoff, held_until: Some(now + self.rules.backoff_max) }, Reaction::Admitted(Probe))
            }
            // HalfOpen -> Closed: it works again.
            (HalfOpen { .. }, Served(Probe, _)) => (State::CLOSED, Reaction::Noted),
            // HalfOpen -> Open: it does not, so it is left alone for longer.
            (HalfOpen { backoff, .. }, Failed(Probe, _)) => {
                (self.open(backoff.saturating_mul(2), now, roll), Reaction::Noted)
            }
            // HalfOpen -> HalfOpen: the probe has found out nothing, and the next call is another.
            (HalfOpen { backoff, .. }, Void(Probe)) => (HalfOpen { backoff, held_until: None }, Reaction::Noted),
            // Calls that had begun before the circuit opened come too late to say anything.
            (_, Served(..) | Failed(..) | Void(_)) => (self.state, Reaction::Noted),
        }
    }

    fn is_enough(&self, failures: u32, of: Callers) -> bool {
        let most = self.rules.failures_to_open;
        let blames_the_version = match of {
            Callers::Nobody => false,
            Callers::One(caller) => !self.served.are_others_than(caller),
            Callers::Several => true,
        };
        most > 0 && failures >= most && blames_the_version
    }

    fn open(&self, backoff: Duration, now: Instant, roll: f64) -> State {
        let backoff = backoff.min(self.rules.backoff_max);
        let wait = backoff.mul_f64(1.0 + JITTER * roll.clamp(-1.0, 1.0));
        State::Open { until: now + wait, backoff }
    }
}

impl State {
    const CLOSED: Self = Self::Closed { failures: 0, of: Callers::Nobody };
}

impl Callers {
    fn and(self, caller: Caller) -> Self {
        match self {
            Self::Nobody => Self::One(caller),
            Self::One(other) if other == caller => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }

    fn are_others_than(self, caller: Caller) -> bool {
        match self {
            Self::Nobody => false,
            Self::One(other) => other != caller,
            Self::Several => true,
        }
    }
}

#[cfg(test)]
mod tests;
