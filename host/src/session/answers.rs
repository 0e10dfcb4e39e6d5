//! The record of handled messages, by which a repeat is recognised and not handled again.
//!
//! Invariant: while a message is in the record, no other message of the same user with the same `id`,
//! type and payload is handled. It is in the record from [`Answers::begin`] until
//! `sessions.idempotency_window` after it finished, unless a bound is reached before:
//!
//! - `sessions.idempotency_ids_per_user`: of one user, those that finished first are forgotten;
//! - `sessions.idempotency_bytes`: one half is for the texts of answers, the oldest of which are dropped
//!   alone, so that a repeat is still not handled again; the other half for everything else, and there the
//!   messages that finished first are forgotten;
//! - a message that is still running is never forgotten. How many there are is bounded by the inboxes.
//!
//! It is divided into shards by user, each with its part of the bytes, so that a user who fills the
//! record displaces few others. Time is passed in. It knows neither sessions nor messages: who asks is a
//! value of the caller's. Reading order: `shard` (the bookkeeping), `key`, `saved` (across a restart).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

mod key;
mod saved;
mod shard;

pub(crate) use key::Key;
pub(crate) use saved::SavedAnswer;

use crate::{
    config::SessionConfig,
    telemetry::{Metrics, metrics::Outcome},
};
use shard::{Found, Shard};

/// Several times the cores that a host has, so that two messages rarely meet at one lock.
const SHARDS: usize = 16;

/// The longest text of an answer that is kept. Most answers have a thousandth of it; one that has more
/// would displace as many others.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The record of all users. `A` is who asks: what the caller needs in order to answer.
#[derive(Debug)]
pub(crate) struct Answers<A> {
    shards: [Mutex<Shard<A>>; SHARDS],
    metrics: Arc<Metrics>,
}

/// How much is remembered, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub window: Duration,
    pub ids_per_user: usize,
    pub bytes: usize,
}

/// What to do with a message.
#[derive(Debug)]
pub(crate) enum Begun<A> {
    /// It is the first: handle it, and say with the ticket what became of it.
    New(Ticket<A>),
    /// The first is still running, and whoever finishes it gets this asker to answer, too. (Not if the
    /// first came from the same session, which is answered anyway.)
    Joined,
    /// It was handled before: answer as it was answered then.
    Answered { answer: Remembered, origin: Origin },
}

/// What is known of a message that was handled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Remembered {
    Message(Arc<StoredAnswer>),
    /// There was no answer, and is none now.
    Silent,
    /// There was an answer; its text was too long or gave way. The repeat gets `ANSWER_NOT_KEPT`.
    NotKept,
    /// The last process ended before the handler did. The repeat gets `MESSAGE_INTERRUPTED`.
    Interrupted,
}

/// An answer without what belongs to one receiver: `seq` and `correlation_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredAnswer {
    pub message_type: Box<str>,
    pub payload: Box<str>,
    pub timestamp: f64,
}

/// Where the first message came from, and the place of its answer in that session. By it the caller can
/// tell a repeat whose answer is part of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub session_id: Arc<str>,
    pub connection_id: Arc<str>,
    /// `None` until there is an answer, and if it has none.
    pub seq: Option<u64>,
}

/// The right and the duty to say what became of a message. Dropped without a word, as by a panic, it is
/// the same as [`Ticket::forget`], with nobody to tell the askers.
#[derive(Debug)]
#[must_use = "dropping it forgets the message"]
pub(crate) struct Ticket<A> {
    /// `None` once it was used.
    answers: Option<Arc<Answers<A>>>,
    key: Key,
    bounds: Bounds,
}

impl<A: Clone> Answers<A> {
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { shards: std::array::from_fn(|_| Mutex::default()), metrics })
    }

    /// Enters a message into the record, or finds it there.
    pub fn begin(self: &Arc<Self>, key: Key, origin: Origin, asker: &A, bounds: &Bounds, now: Instant) -> Begun<A> {
        let found = self.with(key, |shard| shard.begin(key, origin, asker, bounds, now));
        let outcome = match &found {
            Found::Nothing => return Begun::New(Ticket { answers: Some(self.clone()), key, bounds: *bounds }),
            Found::Running => "joined",
            Found::Finished { answer: Remembered::Message(_), .. } => "answered",
            Found::Finished { answer: Remembered::Silent, .. } => "silent",
            Found::Finished { answer: Remembered::NotKept, .. } => "not_kept",
            Found::Finished { answer: Remembered::Interrupted, .. } => "interrupted",
        };
        self.metrics.repeated_messages.get_or_create(&Outcome { outcome }).inc();
        match found {
            Found::Finished { answer, origin } => Begun::Answered { answer, origin },
            _ => Begun::Joined,
        }
    }

    /// Forgets what is out of the window. Each call does so for its own shard; this is for times when
    /// none come.
    pub fn expire(&self, bounds: &Bounds, now: Instant) {
        for shard in &self.shards {
            self.counted(shard, |shard| shard.expire(bounds, now));
        }
    }
}

impl<A> Answers<A> {
    /// The answer of a message that finished has this place in its session.
    pub fn locate(&self, key: Key, seq: u64) {
        self.with(key, |shard| shard.locate(key, seq));
    }

    fn with<T>(&self, key: Key, work: impl FnOnce(&mut Shard<A>) -> T) -> T {
        self.counted(&self.shards[key.shard()], work)
    }

    /// Keeps the metrics true, whatever is done to a shard.
    fn counted<T>(&self, shard: &Mutex<Shard<A>>, work: impl FnOnce(&mut Shard<A>) -> T) -> T {
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shard.len();
        let done = work(&mut shard);
        let (after, forgotten) = (shard.len(), shard.take_forgotten());
        drop(shard);
        self.metrics.remembered_messages.inc_by(after as i64 - before as i64);
        self.metrics.forgotten_messages.inc_by(forgotten);
        done
    }
}

impl<A> Ticket<A> {
    /// Of its message.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The message was handled, with this answer or with none; `seq` is the answer's place in the session
    /// that the message came from. Returns who else is to be answered.
    pub fn finish(mut self, answer: Option<StoredAnswer>, seq: Option<u64>, now: Instant) -> Vec<A> {
        let Some(answers) = self.answers.take() else { return Vec::new() };
        answers.with(self.key, |shard| shard.finish(self.key, answer, seq, &self.bounds, now))
    }

    /// The message was not handled, so that a repeat is handled as the first. Returns who else asked and
    /// is to be told.
    pub fn forget(mut self) -> Vec<A> {
        let Some(answers) = self.answers.take() else { return Vec::new() };
        answers.with(self.key, |shard| shard.forget(self.key))
    }
}

impl<A> Drop for Ticket<A> {
    fn drop(&mut self) {
        if let Some(answers) = self.answers.take() {
            answers.with(self.key, |shard| shard.forget(self.key));
        }
    }
}

impl From<&SessionConfig> for Bounds {
    fn from(config: &SessionConfig) -> Self {
        Self {
            window: config.idempotency_window,
            ids_per_user: config.idempotency_ids_per_user,
            bytes: config.idempotency_bytes,
        }
    }
}

#[cfg(test)]
mod tests;
