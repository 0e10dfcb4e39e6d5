//! Messages that bring a version down: recognised, and answered without running for a while.
//!
//! A message is poison for the user whose calls crashed over it as often as the setting says. It is poison
//! for everybody once it has crashed for [`WITNESSES`] users and nobody was served with it: until then it
//! may be the user's state, and not the message, that the guest cannot bear. Otherwise whoever brings their
//! own state into disorder would take `{"type": "list"}` away from everybody. What came through another plugin
//! counts for that user through that plugin, and as one witness whichever users the plugin acted for.
//!
//! It counts for one version: another may have mended it. Users learn no more of each other than that
//! somebody has sent what they are about to send themselves, to the letter.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::digest::{Asker, Caller, MessageDigest};

/// Users for whom a message has to crash before it is nobody's fault but its own.
const WITNESSES: usize = 2;

/// Messages of one version that are remembered, a few hundred KiB; more, and the one that crashed longest
/// ago is forgotten. Each has cost the guest a crash, so nobody fills this quickly.
const MAX_SUSPECTS: usize = 4_096;

/// Users that are told apart for one message; more, and the first is forgotten. If nobody was served with
/// it, two are enough; and if somebody was, hardly more than a few share the state that it crashes over.
const MAX_CALLERS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// Zero: never.
    pub crashes: u32,
    /// From the last crash on.
    pub time: Duration,
}

/// The suspects of one version.
#[derive(Debug)]
pub(super) struct Poison {
    rules: Rules,
    /// Whether there is nobody to compare with.
    clean: AtomicBool,
    suspects: Mutex<Suspects>,
}

#[derive(Debug, Default)]
struct Suspects {
    by_message: HashMap<MessageDigest, Suspect>,
    /// Of any.
    last_crash: Option<Instant>,
}

#[derive(Debug)]
struct Suspect {
    /// How often for whom, the first first.
    crashes: Vec<(Asker, u32)>,
    /// Whether somebody was served with it since it crashed first.
    served: bool,
    last: Instant,
}

impl Poison {
    pub fn new(rules: Rules) -> Self {
        Self { rules, clean: AtomicBool::new(true), suspects: Mutex::default() }
    }

    /// Whether messages are of interest at all.
    pub fn is_on(&self) -> bool {
        self.rules.crashes > 0
    }

    /// For how long the message is not to be run for this user.
    pub fn of(&self, message: MessageDigest, caller: Asker, now: Instant) -> Option<Duration> {
        if self.clean.load(Relaxed) {
            return None;
        }
        let mut suspects = self.lock();
        if suspects.are_all_forgotten(self.rules.time, now) {
            suspects.by_message.clear();
            self.clean.store(true, Relaxed);
            return None;
        }
        let suspect = suspects.by_message.get(&message)?;
        let left = (suspect.last + self.rules.time).saturating_duration_since(now);
        if left.is_zero() {
            suspects.by_message.remove(&message);
            return None;
        }
        suspect.is_poison_for(caller, self.rules.crashes).then_some(left)
    }

    /// The guest went down over it. Whether it is poison from now on, and was not before.
    pub fn crashed(&self, message: MessageDigest, caller: Asker, now: Instant) -> bool {
        let mut suspects = self.lock();
        suspects.make_room(message, self.rules.time, now);
        suspects.last_crash = Some(now);
        let fresh = || Suspect { crashes: Vec::new(), served: false, last: now };
        let suspect = suspects.by_message.entry(message).or_insert_with(fresh);
        let before = suspect.is_poison_for(caller, self.rules.crashes);
        suspect.note(caller, now);
        self.clean.store(false, Relaxed);
        !before && suspect.is_poison_for(caller, self.rules.crashes)
    }

    /// The guest stood it.
    pub fn served(&self, message: MessageDigest, caller: Asker) {
        if self.clean.load(Relaxed) {
            return;
        }
        let mut suspects = self.lock();
        if let Some(suspect) = suspects.by_message.get_mut(&message) {
            suspect.served = true;
            suspect.crashes.retain(|(other, _)| *other != caller);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Suspects> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Suspects {
    fn are_all_forgotten(&self, time: Duration, now: Instant) -> bool {
        self.last_crash.is_none_or(|last| now.saturating_duration_since(last) >= time)
    }

    /// After a crash there is time to look at all of them.
    fn make_room(&mut self, newcomer: MessageDigest, time: Duration, now: Instant) {
        self.by_message.retain(|_, suspect| now.saturating_duration_since(suspect.last) < time);
        if self.by_message.len() < MAX_SUSPECTS || self.by_message.contains_key(&newcomer) {
            return;
        }
        let oldest = self.by_message.iter().min_by_key(|(_, suspect)| suspect.last).map(|(message, _)| *message);
        if let Some(oldest) = oldest {
            self.by_message.remove(&oldest);
        }
    }
}

impl Suspect {
    fn is_poison_for(&self, caller: Asker, crashes: u32) -> bool {
        let own = self.crashes.iter().find(|(other, _)| *other == caller).map_or(0, |(_, count)| *count);
        let all: u32 = self.crashes.iter().map(|(_, count)| count).fold(0, |sum, count| sum.saturating_add(*count));
        own >= crashes || (!self.served && self.has_witnesses() && all >= crashes)
    }

    /// Two users through one plugin may be that plugin, and one user through two plugins is that user.
    fn has_witnesses(&self) -> bool {
        let distinct =
            |who: fn(&Asker) -> Caller| self.crashes.iter().map(|(asker, _)| who(asker)).collect::<HashSet<_>>().len();
        distinct(|asker| asker.user).min(distinct(|asker| asker.through)) >= WITNESSES
    }

    fn note(&mut self, caller: Asker, now: Instant) {
        self.last = now;
        match self.crashes.iter_mut().find(|(other, _)| *other == caller) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => {
                if self.crashes.len() == MAX_CALLERS {
                    self.crashes.remove(0);
                }
                self.crashes.push((caller, 1));
            }
        }
    }
}

#[cfg(test)]
mod tests;
