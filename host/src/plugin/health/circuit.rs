//! The circuit of one version as a state machine. It has no clock, no lock and no randomness: time and the
//! roll of the dice are passed in.
//!
//! A circuit cuts everybody off, so one user must not be able to open it. Failures in a row open it if
//! they hit several users, or if nobody but the one they hit was ever served: a version that has served
//! others is believed, against the word of a single user whose messages all fail. What that user sends is
//! left to poison recognition and to the limits of rate. A single user can still open the circuit of a
//! version that has served nobody else: there it takes nothing from anyone who had it.
//!
//! The same user must not be able to keep it open. Whoever had the last probe, and did not close the circuit
//! with it, is not the next: for as long as it waited, the probe is there for somebody else. Nor does it wait longer
//! because the same one has failed again.
//!
//! Users who call through a plugin are counted twice, by themselves and as that plugin ([`Crowd`]).

use std::time::{Duration, Instant};

use super::digest::{Asker, Caller};

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
    served: Crowd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Every call is admitted.
    Closed { failures: u32, of: Crowd },
    /// None is. `failed`: whom it failed since it was closed; `tried`: whose probe failed last.
    Open { until: Instant, backoff: Duration, failed: Crowd, tried: Option<Asker> },
    /// One is, the probe, and decides. One that takes longer than `backoff_max`, as an agent's run may, has
    /// not failed at least: the others wait for it no longer, and the next of them is a probe as well.
    HalfOpen { backoff: Duration, failed: Crowd, tried: Option<Asker>, prober: Asker, held_until: Instant },
}

/// Whose calls they were: the users, and what they came through. Only what is true of both is held against a version:
/// one user may come through several plugins, and one plugin may act for several users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowd {
    users: Callers,
    through: Callers,
}

/// One side of it, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Callers {
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
    Asked(Asker),
    /// One ended, and the version did its duty.
    Served(Pass, Asker),
    /// One ended, and it did not.
    Failed(Pass, Asker),
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
        Self { rules, state: State::CLOSED, served: Crowd::NOBODY }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether calls need not ask, and served ones need not tell.
    pub fn is_settled(&self) -> bool {
        self.rules.failures_to_open == 0 || (self.state == State::CLOSED && self.served.is_several())
    }

    /// `roll` is between -1 and 1, and evenly distributed.
    pub fn step(&mut self, event: Event, now: Instant, roll: f64) -> Reaction {
        if let Event::Served(_, asker) = event {
            self.served = self.served.and(asker);
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
            (Closed { .. }, Asked(_)) => (self.state, Reaction::Admitted(Ordinary)),
            (Closed { .. }, Served(..)) => (State::CLOSED, Reaction::Noted),
            // Closed -> Closed, or Open: one more in a row.
            (Closed { failures, of }, Failed(_, asker)) => {
                let (failures, of) = (failures.saturating_add(1), of.and(asker));
                let state = match self.is_enough(failures, of) {
                    true => self.open(self.rules.backoff_min, of, None, now, roll),
                    false => Closed { failures, of },
                };
                (state, Reaction::Noted)
            }
            // Open -> Open: its time is not over.
            (Open { until, backoff, tried, .. }, Asked(asker)) if now < after(until, backoff, tried, asker) => {
                (self.state, refused(after(until, backoff, tried, asker) - now))
            }
            // HalfOpen -> HalfOpen: one is enough. By then, it has most likely ended.
            (HalfOpen { held_until, .. }, Asked(_)) if now < held_until => {
                (self.state, refused(self.rules.backoff_min.min(held_until - now)))
            }
            // HalfOpen -> HalfOpen: it found out nothing, and is somebody else's turn.
            (HalfOpen { backoff, prober, held_until, .. }, Asked(asker))
                if now < after(held_until, backoff, Some(prober), asker) =>
            {
                (self.state, refused(after(held_until, backoff, Some(prober), asker) - now))
            }
            // Open, or HalfOpen -> HalfOpen: this call is the probe.
            (Open { backoff, failed, tried, .. } | HalfOpen { backoff, failed, tried, .. }, Asked(prober)) => {
                let held_until = now + self.rules.backoff_max;
                (HalfOpen { backoff, failed, tried, prober, held_until }, Reaction::Admitted(Probe))
            }
            // HalfOpen -> Closed: it works again.
            (HalfOpen { .. }, Served(Probe, _)) => (State::CLOSED, Reaction::Noted),
            // HalfOpen -> Open: it does not, so it is left alone for longer, unless only the same one says so.
            (HalfOpen { backoff, failed, tried, .. }, Failed(Probe, asker)) => {
                let again = tried.is_some_and(|tried| tried.may_be(asker));
                let backoff = if again { backoff } else { backoff.saturating_mul(2) };
                (self.open(backoff, failed.and(asker), Some(asker), now, roll), Reaction::Noted)
            }
            // HalfOpen -> HalfOpen: the probe has found out nothing, and the next call is another.
            (HalfOpen { backoff, failed, tried, prober, .. }, Void(Probe)) => {
                (HalfOpen { backoff, failed, tried, prober, held_until: now }, Reaction::Noted)
            }
            // Calls that had begun before the circuit opened come too late to say anything.
            (_, Served(..) | Failed(..) | Void(_)) => (self.state, Reaction::Noted),
        }
    }

    fn is_enough(&self, failures: u32, of: Crowd) -> bool {
        let most = self.rules.failures_to_open;
        let Crowd { users, through } = self.served;
        most > 0 && failures >= most && of.users.outweigh(users) && of.through.outweigh(through)
    }

    fn open(&self, backoff: Duration, failed: Crowd, tried: Option<Asker>, now: Instant, roll: f64) -> State {
        let backoff = backoff.min(self.rules.backoff_max);
        let wait = backoff.mul_f64(1.0 + JITTER * roll.clamp(-1.0, 1.0));
        State::Open { until: now + wait, backoff, failed, tried }
    }
}

/// From when on a call may be the probe that others may be from that moment on.
fn after(moment: Instant, backoff: Duration, tried: Option<Asker>, asker: Asker) -> Instant {
    if tried.is_some_and(|tried| tried.may_be(asker)) { moment + backoff } else { moment }
}

impl State {
    const CLOSED: Self = Self::Closed { failures: 0, of: Crowd::NOBODY };
}

impl Crowd {
    const NOBODY: Self = Self { users: Callers::Nobody, through: Callers::Nobody };

    /// Whether they are two users at least, who do not all come through the same plugin.
    pub fn is_several(self) -> bool {
        self.users == Callers::Several && self.through == Callers::Several
    }

    fn and(self, asker: Asker) -> Self {
        Self { users: self.users.and(asker.user), through: self.through.and(asker.through) }
    }
}

impl Callers {
    fn and(self, caller: Caller) -> Self {
        match self {
            Self::Nobody => Self::One(caller),
            Self::One(other) if other == caller => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }

    /// Whether what failed these is the version's own fault, although those were served.
    fn outweigh(self, served: Self) -> bool {
        match (self, served) {
            (Self::Nobody, _) | (Self::One(_), Self::Several) => false,
            (Self::Several, _) | (Self::One(_), Self::Nobody) => true,
            (Self::One(failed), Self::One(served)) => failed == served,
        }
    }
}

#[cfg(test)]
mod tests;
