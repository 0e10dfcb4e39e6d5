//! What plugins remember for sessions (scope `connection`): in memory only, gone with the session, and
//! saved beside it when the host leaves.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{super::effects::CallerSession, StateFault, StateScope, shelf::Shelf, usage::Usage};
use crate::storage::shelves::Row;

/// Locks, so that calls of different sessions seldom meet on one.
const SHARDS: usize = 32;

/// Sessions (with something to remember) per shard. With the bound on their bytes it is seldom the first to be
/// reached; it bounds the many with next to nothing.
const MAX_OWNERS_PER_SHARD: usize = 65_536;

/// What a plugin remembers for a session, as it is written down with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedState {
    pub plugin: String,
    pub entries: Vec<SavedEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedEntry {
    pub key: String,
    pub value: Vec<u8>,
    /// Unix milliseconds.
    pub expires: Option<u64>,
}

pub(super) struct SessionShelves {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    usage: Arc<Usage>,
}

#[derive(Default)]
struct Shard {
    owners: HashMap<Arc<str>, HashMap<Arc<str>, Shelf>>,
}

impl SessionShelves {
    pub fn new(usage: Arc<Usage>) -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new(), usage }
    }

    /// Does something with a shelf that is empty at first. `adds`: it may have more in it afterwards, and so the session
    /// must go on. What is added before it has ended is dropped by its end.
    pub fn with<T>(
        &self,
        (session, plugin): (&Arc<str>, &Arc<str>),
        adds: Option<&dyn CallerSession>,
        work: impl FnOnce(&mut Shelf) -> Result<T, StateFault>,
    ) -> Result<T, StateFault> {
        let mut shard = self.shard(session);
        if adds.is_some_and(CallerSession::is_over) {
            return Err(StateFault::SessionEnded);
        }
        if adds.is_some() && shard.owners.len() >= MAX_OWNERS_PER_SHARD && !shard.owners.contains_key(session) {
            return Err(StateFault::TooManyOwners);
        }
        let shelves = shard.owners.entry(session.clone()).or_default();
        let account = || Shelf::new(self.usage.account(plugin, StateScope::Connection));
        let result = work(shelves.entry(plugin.clone()).or_insert_with(account));
        shard.tidy(session);
        result
    }

    /// Drops what was remembered for a session that has ended.
    pub fn forget_session(&self, session_id: &str) {
        let mut shard = self.shard(session_id);
        shard.owners.remove(session_id).into_iter().flatten().for_each(|(_, shelf)| shelf.forget());
    }

    /// Drops what a plugin remembers for all sessions.
    pub fn forget_plugin(&self, plugin: &str) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.owners.retain(|_, shelves| {
                shelves.remove(plugin).into_iter().for_each(Shelf::forget);
                !shelves.is_empty()
            });
        }
    }

    /// Drops what has ended; returns how many entries.
    pub fn purge(&self, now: u64) -> usize {
        let mut purged = 0;
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.owners.retain(|_, shelves| {
                shelves.retain(|_, shelf| {
                    purged += shelf.purge(now);
                    !shelf.is_empty()
                });
                !shelves.is_empty()
            });
        }
        purged
    }

    pub fn export(&self, session_id: &str) -> Vec<SavedState> {
        let shard = self.shard(session_id);
        let saved = shard.owners.get(session_id).into_iter().flatten().map(|(plugin, shelf)| SavedState {
            plugin: plugin.to_string(),
            entries: shelf
                .entries()
                .map(|(key, row)| SavedEntry { key: key.to_owned(), value: row.value.to_vec(), expires: row.expires })
                .collect(),
        });
        saved.collect()
    }

    pub fn restore(&self, session_id: &Arc<str>, session: &dyn CallerSession, saved: Vec<SavedState>) {
        for SavedState { plugin, entries } in saved {
            let restored = self.with((session_id, &plugin.into()), Some(session), |shelf| {
                for SavedEntry { key, value, expires } in entries {
                    shelf.restore(&key, Row { value: value.into(), expires });
                }
                Ok(())
            });
            if let Err(fault) = restored {
                tracing::warn!(%session_id, %fault, "what a plugin remembered for a session is not restored");
            }
        }
    }

    fn shard(&self, session: &str) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(session)).unwrap_or_default() % SHARDS;
        lock(&self.shards[index])
    }
}

impl Shard {
    /// Leaves no empty shelf behind.
    fn tidy(&mut self, session: &str) {
        if let Some(shelves) = self.owners.get_mut(session) {
            shelves.retain(|_, shelf| !shelf.is_empty());
            if shelves.is_empty() {
                self.owners.remove(session);
            }
        }
    }
}

/// A panic elsewhere cannot leave a shard half changed: every change is one insertion or removal.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
