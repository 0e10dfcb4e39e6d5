//! The record across a restart. Ages are kept as the time of day, since nothing else outlives a process.

use std::{
    sync::PoisonError,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{Answers, Bounds, Key, Origin, Remembered};

/// A record, as it is written to the data folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedAnswer {
    key: Key,
    origin: Origin,
    answer: Remembered,
    /// Milliseconds since 1970.
    finished_at: u64,
}

impl<A> Answers<A> {
    /// Everything that is remembered. Texts are shared, not copied. What is still running will not have
    /// finished when the process ends: a repeat is told so, and not handled a second time.
    pub fn export(&self, now: Instant, wall: SystemTime) -> Vec<SavedAnswer> {
        let mut saved = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            saved.extend(shard.all().map(|(key, origin, result)| {
                let (age, answer) = match result {
                    Some((at, answer)) => (now.saturating_duration_since(at), answer.clone()),
                    None => (Duration::ZERO, Remembered::Interrupted),
                };
                SavedAnswer {
                    key,
                    origin: origin.clone(),
                    answer,
                    finished_at: millis(wall).saturating_sub(as_millis(age)),
                }
            }));
        }
        saved
    }

    /// Takes back what the last process exported, if it is still within the window. A clock that was set
    /// back in between makes nothing older than the window from now.
    pub fn restore(
        &self,
        saved: impl IntoIterator<Item = SavedAnswer>,
        bounds: &Bounds,
        now: Instant,
        wall: SystemTime,
    ) {
        let mut saved: Vec<SavedAnswer> = saved.into_iter().collect();
        saved.sort_by_key(|saved| saved.finished_at);
        for SavedAnswer { key, origin, answer, finished_at } in saved {
            let age = Duration::from_millis(millis(wall).saturating_sub(finished_at));
            if age >= bounds.window {
                continue;
            }
            // A clock that cannot go back as far makes it younger: remembered too long, never too short.
            let at = now.checked_sub(age).unwrap_or(now);
            self.with(key, |shard| {
                if !shard.contains(key) {
                    shard.remember(key, origin, answer, bounds, at);
                }
            });
        }
    }
}

fn millis(wall: SystemTime) -> u64 {
    as_millis(wall.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
