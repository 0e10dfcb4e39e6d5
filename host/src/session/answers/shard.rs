//! The record of some users: what is running, what finished, and in which order it is forgotten.
//!
//! Messages that finished are numbered as they do. So the order of the numbers is that of age, in the
//! shard and for each user alike, and the oldest is found without a search.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use super::{Bounds, Key, MAX_ANSWER_BYTES, Origin, Remembered, SHARDS, StoredAnswer};

/// What a record takes without the text of its answer: entries in three maps, and the origin's names.
pub(super) const RECORD_BYTES: usize = 400;

/// Who else may wait for one message to finish. More than a user has connections; beyond it, whoever has
/// waited longest has likely left.
const MAX_ASKERS: usize = 64;

#[derive(Debug)]
pub(super) struct Shard<A> {
    /// By [`Key::message`].
    records: HashMap<u128, Record<A>>,
    /// What finished, by number.
    finished: BTreeMap<u64, u128>,
    /// The same numbers by user, the oldest first. No user is here without one.
    users: HashMap<u128, VecDeque<u64>>,
    next_number: u64,
    /// What finished under a lower number has no text any more.
    first_with_text: u64,
    text_bytes: usize,
    /// Forgotten because of a bound, since somebody last asked.
    forgotten: u64,
}

#[derive(Debug)]
struct Record<A> {
    user: u128,
    origin: Origin,
    state: State<A>,
}

#[derive(Debug)]
enum State<A> {
    /// With who else is to be answered, each for its session.
    Running(Vec<(Arc<str>, A)>),
    Finished {
        at: Instant,
        answer: Remembered,
    },
}

/// What was in the record before.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    Running,
    Finished { answer: Remembered, origin: Origin },
}

impl<A> Shard<A> {
    pub fn begin(&mut self, key: Key, origin: Origin, asker: &A, bounds: &Bounds, now: Instant) -> Found
    where
        A: Clone,
    {
        self.expire(bounds, now);
        let Some(record) = self.records.get_mut(&key.message) else {
            self.records.insert(key.message, Record { user: key.user, origin, state: State::Running(Vec::new()) });
            return Found::Nothing;
        };
        match &mut record.state {
            State::Finished { answer, .. } => Found::Finished { answer: answer.clone(), origin: record.origin.clone() },
            State::Running(askers) => {
                if record.origin.session_id != origin.session_id {
                    join(askers, origin.session_id, asker.clone());
                }
                Found::Running
            }
        }
    }

    pub fn finish(
        &mut self,
        key: Key,
        answer: Option<StoredAnswer>,
        seq: Option<u64>,
        bounds: &Bounds,
        now: Instant,
    ) -> Vec<A> {
        let Some(record) = self.records.remove(&key.message) else { return Vec::new() };
        let answer = match answer {
            Some(answer) if answer.bytes() > longest_text(bounds) => Remembered::NotKept,
            Some(answer) => Remembered::Message(Arc::new(answer)),
            None => Remembered::Silent,
        };
        self.remember(key, Origin { seq, ..record.origin }, answer, bounds, now);
        record.state.into_askers()
    }

    /// The answer of a message that finished has this place in its session.
    pub fn locate(&mut self, key: Key, seq: u64) {
        if let Some(record) = self.records.get_mut(&key.message)
            && matches!(record.state, State::Finished { .. })
        {
            record.origin.seq = Some(seq);
        }
    }

    pub fn forget(&mut self, key: Key) -> Vec<A> {
        self.records.remove(&key.message).map(|record| record.state.into_askers()).unwrap_or_default()
    }

    /// Enters what finished, as the newest.
    pub fn remember(&mut self, key: Key, origin: Origin, answer: Remembered, bounds: &Bounds, at: Instant) {
        let number = self.next_number;
        self.next_number += 1;
        self.text_bytes += answer.bytes();
        // Clocks of several threads may have been read in another order than the lock was taken in.
        let at = self.newest().map_or(at, |newest| newest.max(at));
        self.records.insert(key.message, Record { user: key.user, origin, state: State::Finished { at, answer } });
        self.finished.insert(number, key.message);
        let numbers = self.users.entry(key.user).or_default();
        numbers.push_back(number);
        let over = numbers.len().saturating_sub(bounds.ids_per_user);
        let oldest: Vec<u64> = numbers.iter().copied().take(over).collect();
        oldest.into_iter().for_each(|number| self.displace(number));
        self.keep_within(bounds);
    }

    /// Forgets what finished before the window.
    pub fn expire(&mut self, bounds: &Bounds, now: Instant) {
        while let Some((&number, message)) = self.finished.first_key_value()
            && self.finished_at(*message).is_none_or(|at| now.saturating_duration_since(at) >= bounds.window)
        {
            self.remove(number);
        }
    }

    /// Everything in the order of age, what is running last.
    pub fn all(&self) -> impl Iterator<Item = (Key, &Origin, Option<(Instant, &Remembered)>)> {
        let finished = self.finished.values().filter_map(|message| self.records.get_key_value(message));
        let running = self.records.iter().filter(|(_, record)| matches!(record.state, State::Running(_)));
        finished.chain(running).map(|(&message, record)| {
            let result = match &record.state {
                State::Running(_) => None,
                State::Finished { at, answer } => Some((*at, answer)),
            };
            (Key { user: record.user, message }, &record.origin, result)
        })
    }

    pub fn contains(&self, key: Key) -> bool {
        self.records.contains_key(&key.message)
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    fn keep_within(&mut self, bounds: &Bounds) {
        // Whatever the bound, what just finished is remembered.
        let most = (half_of_share(bounds) / RECORD_BYTES).max(1);
        while self.finished.len() > most
            && let Some((&number, _)) = self.finished.first_key_value()
        {
            self.displace(number);
        }
        while self.text_bytes > half_of_share(bounds)
            && let Some((&number, &message)) = self.finished.range(self.first_with_text..).next()
        {
            self.first_with_text = number + 1;
            self.drop_text(message);
        }
    }

    fn drop_text(&mut self, message: u128) {
        if let Some(Record { state: State::Finished { answer, .. }, .. }) = self.records.get_mut(&message)
            && let Remembered::Message(text) = answer
        {
            self.text_bytes -= text.bytes();
            *answer = Remembered::NotKept;
        }
    }

    fn displace(&mut self, number: u64) {
        self.forgotten += 1;
        self.remove(number);
    }

    /// Removes what is the oldest of its user, at least.
    fn remove(&mut self, number: u64) {
        let Some(record) = self.finished.remove(&number).and_then(|message| self.records.remove(&message)) else {
            return;
        };
        if let State::Finished { answer, .. } = &record.state {
            self.text_bytes -= answer.bytes();
        }
        if let Some(numbers) = self.users.get_mut(&record.user) {
            debug_assert_eq!(numbers.front(), Some(&number));
            numbers.pop_front();
            if numbers.is_empty() {
                self.users.remove(&record.user);
            }
        }
    }

    fn newest(&self) -> Option<Instant> {
        self.finished.last_key_value().and_then(|(_, message)| self.finished_at(*message))
    }

    fn finished_at(&self, message: u128) -> Option<Instant> {
        match self.records.get(&message)?.state {
            State::Finished { at, .. } => Some(at),
            State::Running(_) => None,
        }
    }
}

/// One place for each session, the newest last.
fn join<A>(askers: &mut Vec<(Arc<str>, A)>, session_id: Arc<str>, asker: A) {
    askers.retain(|(joined, _)| *joined != session_id);
    if askers.len() == MAX_ASKERS {
        askers.remove(0);
    }
    askers.push((session_id, asker));
}

/// What a shard may use for texts, and as much again for everything else.
pub(super) fn half_of_share(bounds: &Bounds) -> usize {
    bounds.bytes / SHARDS / 2
}

pub(super) fn longest_text(bounds: &Bounds) -> usize {
    MAX_ANSWER_BYTES.min(half_of_share(bounds))
}

impl<A> State<A> {
    fn into_askers(self) -> Vec<A> {
        match self {
            Self::Running(askers) => askers.into_iter().map(|(_, asker)| asker).collect(),
            Self::Finished { .. } => Vec::new(),
        }
    }
}

impl Remembered {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(answer) => answer.bytes(),
            Self::Silent | Self::NotKept | Self::Interrupted => 0,
        }
    }
}

impl StoredAnswer {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.message_type.len() + self.payload.len()
    }
}

impl<A> Default for Shard<A> {
    fn default() -> Self {
        Self {
            records: HashMap::new(),
            finished: BTreeMap::new(),
            users: HashMap::new(),
            next_number: 0,
            first_with_text: 0,
            text_bytes: 0,
            forgotten: 0,
        }
    }
}
