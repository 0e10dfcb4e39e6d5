//! What one plugin remembers for one owner: entries, their quota, and what of them is not on disk yet.
//!
//! Every operation is atomic and pure: time is passed in, and nothing here waits. Nothing is lost to make room:
//! what does not fit is refused, and what does not grow is never refused.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::{StateFault, usage::Account};
use crate::storage::shelves::{Header, Row};

/// What an entry costs beyond its key and value, counted so that many tiny ones are not free.
pub(super) const ENTRY_OVERHEAD: usize = 64;

pub(super) struct Shelf {
    entries: HashMap<Box<str>, Row>,
    bytes: usize,
    /// Nothing ends before (Unix milliseconds).
    due: Option<u64>,
    account: Arc<Account>,
    journal: Option<Journal>,
}

/// What an operation has to know of its surroundings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Of this shelf, in bytes.
    pub quota: usize,
    /// Of all shelves that share the pool, in bytes.
    pub pool: usize,
    /// Unix milliseconds.
    pub now: u64,
}

/// What has changed since it was last taken.
#[derive(Default)]
pub(super) struct Journal {
    /// Each with what it counts for in the backlog.
    keys: HashMap<Box<str>, usize>,
    /// Whether the header has to be written, whatever the keys say.
    touched: bool,
    /// Of all shelves.
    backlog: Arc<AtomicUsize>,
}

/// What was taken from a journal.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub keys: HashMap<Box<str>, usize>,
    pub header: Option<Header>,
    pub rows: Vec<(Box<str>, Option<Row>)>,
}

impl Shelf {
    /// Without a journal, for what no disk is to know.
    pub fn new(account: Arc<Account>) -> Self {
        Self { entries: HashMap::new(), bytes: 0, due: None, account, journal: None }
    }

    /// As it was read from the disk, where it is counted already.
    pub fn loaded(rows: Vec<(Box<str>, Row)>, account: Arc<Account>, backlog: Arc<AtomicUsize>) -> Self {
        let bytes = rows.iter().map(|(key, row)| cost(key, &row.value)).sum();
        let due = rows.iter().filter_map(|(_, row)| row.expires).min();
        let journal = Some(Journal { backlog, ..Journal::default() });
        Self { entries: rows.into_iter().collect(), bytes, due, account, journal }
    }

    pub fn get(&self, key: &str, now: u64) -> Option<&[u8]> {
        self.live(key, now).map(|row| &*row.value)
    }

    pub fn set(&mut self, key: &str, value: &[u8], ttl: Option<u64>, within: Bounds) -> Result<(), StateFault> {
        self.put(key, value, expiry(within.now, ttl), within)
    }

    /// Whether there was something to delete.
    pub fn delete(&mut self, key: &str, now: u64) -> bool {
        let existed = self.live(key, now).is_some();
        self.remove(key);
        existed
    }

    /// The sum. The entry keeps its time to live.
    pub fn increment(&mut self, key: &str, by: i64, within: Bounds) -> Result<i64, StateFault> {
        let (before, expires) = match self.live(key, within.now) {
            None => (0, None),
            Some(row) => (number(&row.value)?, row.expires),
        };
        let sum = before.checked_add(by).ok_or(StateFault::NotANumber)?;
        self.put(key, sum.to_string().as_bytes(), expires, within)?;
        Ok(sum)
    }

    /// Whether the value was still the expected one, and is the new one now.
    pub fn compare_and_set(
        &mut self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl: Option<u64>,
        within: Bounds,
    ) -> Result<bool, StateFault> {
        if self.get(key, within.now) != expected {
            return Ok(false);
        }
        self.set(key, value, ttl, within)?;
        Ok(true)
    }

    /// Drops what has ended; returns how many entries.
    pub fn purge(&mut self, now: u64) -> usize {
        if self.due.is_none_or(|due| now < due) { 0 } else { self.sweep(now) }
    }

    /// The same for one that the index says is due. It may know less than the index: an entry that was to end was replaced
    /// by one that is not.
    pub fn sweep(&mut self, now: u64) -> usize {
        let ended: Vec<Box<str>> =
            self.entries.iter().filter(|(_, row)| !is_live(row, now)).map(|(key, _)| key.clone()).collect();
        ended.iter().for_each(|key| self.remove(key));
        self.due = self.entries.values().filter_map(|row| row.expires).min();
        // Or the index of what is due would name it again and again.
        self.journal.iter_mut().for_each(|journal| journal.touched = true);
        ended.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Of keys and values, with what an entry costs beside them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.entries.iter().map(|(key, row)| (&**key, row))
    }

    /// Puts an entry back that was here in an earlier process, whatever the limits are by now.
    pub fn restore(&mut self, key: &str, row: Row) {
        let unbounded = Bounds { quota: usize::MAX, pool: usize::MAX, now: 0 };
        // Within no bounds, nothing is refused.
        let _ = self.put(key, &row.value, row.expires, unbounded);
    }

    /// To be called for one that vanishes with what is in it, and not only from memory.
    pub fn forget(mut self) {
        self.account.replace((self.bytes, self.entries.len()), (0, 0));
        self.drop_journal();
    }

    fn drop_journal(&mut self) {
        if let Some(journal) = self.journal.take() {
            journal.backlog.fetch_sub(journal.keys.values().sum(), Relaxed);
        }
    }

    /// Whether there is something that the disk does not know.
    pub fn is_dirty(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.touched || !journal.keys.is_empty())
    }

    /// Everything that the disk does not know. It stays in the backlog until it is confirmed or put back.
    pub fn take_changes(&mut self) -> Taken {
        let Some(journal) = &mut self.journal else { return Taken::default() };
        journal.touched = false;
        let keys = std::mem::take(&mut journal.keys);
        let rows = keys.keys().map(|key| (key.clone(), self.entries.get(key).cloned())).collect();
        let header = (!self.entries.is_empty()).then_some(Header {
            bytes: self.bytes as u64,
            entries: self.entries.len() as u64,
            due: self.due,
        });
        Taken { keys, header, rows }
    }

    /// The disk does not know of them after all.
    pub fn put_back(&mut self, keys: HashMap<Box<str>, usize>) {
        let Some(journal) = &mut self.journal else { return };
        journal.touched = true;
        for (key, charge) in keys {
            if let Some(again) = journal.keys.insert(key, charge) {
                // Changed once more meanwhile, and counted twice.
                journal.backlog.fetch_sub(again, Relaxed);
            }
        }
    }

    fn live(&self, key: &str, now: u64) -> Option<&Row> {
        self.entries.get(key).filter(|row| is_live(row, now))
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, row)) = self.entries.remove_entry(key) {
            let cost = cost(&key, &row.value);
            self.resize(self.bytes.saturating_sub(cost), self.entries.len() + 1);
            self.note(&key, cost);
        }
    }

    fn put(&mut self, key: &str, value: &[u8], expires: Option<u64>, within: Bounds) -> Result<(), StateFault> {
        if self.bytes_with(key, value) > within.quota {
            // Before anything is refused, what nobody can see any more makes room.
            self.purge(within.now);
        }
        let wanted = self.bytes_with(key, value);
        if wanted > self.bytes {
            if wanted > within.quota {
                return Err(StateFault::Quota { wanted, quota: within.quota });
            }
            self.account.check_pool(wanted - self.bytes, within.pool)?;
        }
        let count = self.entries.len();
        self.due = self.due.into_iter().chain(expires).min();
        self.entries.insert(key.into(), Row { value: value.into(), expires });
        self.resize(wanted, count);
        self.note(key, cost(key, value));
        Ok(())
    }

    /// Tells the account what has become of it. `count` is how many entries there were before.
    fn resize(&mut self, bytes: usize, count: usize) {
        self.account.replace((self.bytes, count), (bytes, self.entries.len()));
        self.bytes = bytes;
    }

    fn note(&mut self, key: &str, cost: usize) {
        let Some(journal) = &mut self.journal else { return };
        match journal.keys.get_mut(key) {
            Some(charge) if *charge >= cost => {}
            Some(charge) => {
                journal.backlog.fetch_add(cost - *charge, Relaxed);
                *charge = cost;
            }
            None => {
                journal.backlog.fetch_add(cost, Relaxed);
                journal.keys.insert(key.into(), cost);
            }
        }
    }

    fn bytes_with(&self, key: &str, value: &[u8]) -> usize {
        let replaced = self.entries.get(key).map_or(0, |row| cost(key, &row.value));
        self.bytes.saturating_sub(replaced).saturating_add(cost(key, value))
    }
}

fn is_live(row: &Row, now: u64) -> bool {
    row.expires.is_none_or(|expires| now < expires)
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len().saturating_add(value.len()).saturating_add(ENTRY_OVERHEAD)
}

/// A time to live beyond what the clock can express never ends.
fn expiry(now: u64, ttl: Option<u64>) -> Option<u64> {
    ttl.and_then(|ttl| now.checked_add(ttl)).map(|at| at.max(1))
}

fn number(value: &[u8]) -> Result<i64, StateFault> {
    str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(StateFault::NotANumber)
}

#[cfg(test)]
mod tests;
