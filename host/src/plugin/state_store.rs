//! What plugins remember, in the memory of this process.
//!
//! Keys live under an owner (a session, a user of a tenant, or nobody in particular) and a plugin, so
//! that no plugin can name another's and no user's call another user's. Every operation is atomic.
//! Nothing is lost to make room: what does not fit is refused. Time is passed in.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Enough for any name that a person would choose, or two identifiers and a separator.
const MAX_KEY_BYTES: usize = 256;

/// Locks, so that calls of different users seldom meet on one.
const SHARDS: usize = 32;

/// Owners (with something to remember) per shard: with the default quota of a megabyte or so a full
/// store is far beyond the memory of any machine, so this bounds the many owners with little in them.
const MAX_OWNERS_PER_SHARD: usize = 65_536;

/// What an entry costs beyond its key and value, counted so that many tiny ones are not free.
const ENTRY_OVERHEAD: usize = 64;

/// How long the end of a session is remembered, so that a call which outlives it leaves nothing behind.
/// Longer than any call may take.
const ENDED_FOR: Duration = Duration::from_secs(600);

/// Ended sessions that are remembered per shard. Beyond it, a late call could leave something behind,
/// which counts as one more owner.
const MAX_ENDED_PER_SHARD: usize = 4_096;

/// Whose memory it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Session(Arc<str>),
    User { tenant: Option<String>, subject: String },
    Plugin,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum StateFault {
    #[error("a key has 1 to {MAX_KEY_BYTES} bytes, and this one has {0}")]
    Key(usize),
    #[error("{wanted} bytes are more than the `max_state_bytes` of {quota} that each scope of each owner has")]
    Quota { wanted: usize, quota: usize },
    #[error("the host remembers things for as many owners as it can")]
    TooManyOwners,
    #[error("the session has ended")]
    SessionEnded,
    #[error("the value is not a decimal integer, or the sum is out of range")]
    NotANumber,
}

/// Where to look: the plugin, the owner, and how much it may keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub plugin: &'a Arc<str>,
    pub owner: &'a Owner,
    pub quota: usize,
    pub now: Instant,
}

pub(crate) struct StateStore {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    owners: HashMap<Owner, HashMap<Arc<str>, Shelf>>,
    ended: HashMap<Arc<str>, Instant>,
}

/// What one plugin remembers for one owner.
#[derive(Default)]
struct Shelf {
    entries: HashMap<Box<str>, Entry>,
    bytes: usize,
}

struct Entry {
    value: Vec<u8>,
    expires: Option<Instant>,
}

impl StateStore {
    pub fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    pub fn get(&self, at: Place<'_>, key: &str) -> Result<Option<Vec<u8>>, StateFault> {
        check_key(key)?;
        let mut shard = self.shard(at.owner);
        Ok(shard.shelf(at).and_then(|shelf| shelf.live(key, at.now).map(<[u8]>::to_vec)))
    }

    pub fn set(&self, at: Place<'_>, key: &str, value: Vec<u8>, ttl: Option<Duration>) -> Result<(), StateFault> {
        check_key(key)?;
        self.shard(at.owner).put(at, key, value, expiry(at.now, ttl))
    }

    /// Whether there was something to delete.
    pub fn delete(&self, at: Place<'_>, key: &str) -> Result<bool, StateFault> {
        check_key(key)?;
        let mut shard = self.shard(at.owner);
        let existed = shard.shelf(at).is_some_and(|shelf| {
            let existed = shelf.live(key, at.now).is_some();
            shelf.remove(key);
            existed
        });
        shard.tidy(at);
        Ok(existed)
    }

    /// The sum. The entry keeps its time to live.
    pub fn increment(&self, at: Place<'_>, key: &str, by: i64) -> Result<i64, StateFault> {
        check_key(key)?;
        let mut shard = self.shard(at.owner);
        let (before, expires) = match shard.shelf(at).and_then(|shelf| {
            let value = shelf.live(key, at.now)?.to_vec();
            Some((value, shelf.entries.get(key)?.expires))
        }) {
            None => (0, None),
            Some((value, expires)) => (number(&value)?, expires),
        };
        let sum = before.checked_add(by).ok_or(StateFault::NotANumber)?;
        shard.put(at, key, sum.to_string().into_bytes(), expires)?;
        Ok(sum)
    }

    /// Whether the value was still the expected one, and is the new one now.
    pub fn compare_and_set(
        &self,
        at: Place<'_>,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
        ttl: Option<Duration>,
    ) -> Result<bool, StateFault> {
        check_key(key)?;
        let mut shard = self.shard(at.owner);
        if shard.shelf(at).and_then(|shelf| shelf.live(key, at.now)) != expected {
            return Ok(false);
        }
        shard.put(at, key, value, expiry(at.now, ttl))?;
        Ok(true)
    }

    /// Drops what was remembered for a session, and what calls that outlive it would add.
    pub fn forget_session(&self, session_id: &str, now: Instant) {
        let session: Arc<str> = session_id.into();
        let owner = Owner::Session(session.clone());
        let mut shard = self.shard(&owner);
        shard.owners.remove(&owner);
        if shard.ended.len() < MAX_ENDED_PER_SHARD {
            shard.ended.insert(session, now);
        }
    }

    /// Drops what has expired; returns how many entries.
    pub fn purge(&self, now: Instant) -> usize {
        self.shards.iter().map(|shard| lock(shard).purge(now)).sum()
    }

    fn shard(&self, owner: &Owner) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(owner)).unwrap_or_default() % SHARDS;
        lock(&self.shards[index])
    }
}

/// A panic elsewhere cannot leave a shard half changed: every change is one insertion or removal.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn shelf(&mut self, at: Place<'_>) -> Option<&mut Shelf> {
        self.owners.get_mut(at.owner)?.get_mut(at.plugin)
    }

    fn put(&mut self, at: Place<'_>, key: &str, value: Vec<u8>, expires: Option<Instant>) -> Result<(), StateFault> {
        if let Owner::Session(session) = at.owner
            && self.ended.contains_key(session)
        {
            return Err(StateFault::SessionEnded);
        }
        if self.owners.len() >= MAX_OWNERS_PER_SHARD && !self.owners.contains_key(at.owner) {
            return Err(StateFault::TooManyOwners);
        }
        let shelves = self.owners.entry(at.owner.clone()).or_default();
        let result = shelves.entry(at.plugin.clone()).or_default().put(at, key, value, expires);
        if result.is_err() {
            self.tidy(at);
        }
        result
    }

    /// Leaves no empty shelf behind.
    fn tidy(&mut self, at: Place<'_>) {
        if let Some(shelves) = self.owners.get_mut(at.owner) {
            shelves.retain(|_, shelf| !shelf.entries.is_empty());
            if shelves.is_empty() {
                self.owners.remove(at.owner);
            }
        }
    }

    fn purge(&mut self, now: Instant) -> usize {
        let mut purged = 0;
        self.owners.retain(|_, shelves| {
            shelves.retain(|_, shelf| {
                purged += shelf.purge(now);
                !shelf.entries.is_empty()
            });
            !shelves.is_empty()
        });
        self.ended.retain(|_, since| now.saturating_duration_since(*since) < ENDED_FOR);
        purged
    }
}

impl Shelf {
    fn live(&self, key: &str, now: Instant) -> Option<&[u8]> {
        self.entries.get(key).filter(|entry| entry.is_live(now)).map(|entry| entry.value.as_slice())
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(cost(key, &entry.value));
        }
    }

    fn put(&mut self, at: Place<'_>, key: &str, value: Vec<u8>, expires: Option<Instant>) -> Result<(), StateFault> {
        if self.bytes_with(key, &value) > at.quota {
            // Before anything is refused, what nobody can see any more makes room.
            self.purge(at.now);
        }
        let wanted = self.bytes_with(key, &value);
        if wanted > at.quota {
            return Err(StateFault::Quota { wanted, quota: at.quota });
        }
        self.bytes = wanted;
        self.entries.insert(key.into(), Entry { value, expires });
        Ok(())
    }

    fn bytes_with(&self, key: &str, value: &[u8]) -> usize {
        let replaced = self.entries.get(key).map_or(0, |entry| cost(key, &entry.value));
        self.bytes.saturating_sub(replaced).saturating_add(cost(key, value))
    }

    fn purge(&mut self, now: Instant) -> usize {
        let before = self.entries.len();
        let mut freed = 0;
        self.entries.retain(|key, entry| {
            let live = entry.is_live(now);
            freed += if live { 0 } else { cost(key, &entry.value) };
            live
        });
        self.bytes = self.bytes.saturating_sub(freed);
        before - self.entries.len()
    }
}

impl Entry {
    fn is_live(&self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len().saturating_add(value.len()).saturating_add(ENTRY_OVERHEAD)
}

/// A time to live beyond what the clock can express never ends.
fn expiry(now: Instant, ttl: Option<Duration>) -> Option<Instant> {
    ttl.and_then(|ttl| now.checked_add(ttl))
}

fn number(value: &[u8]) -> Result<i64, StateFault> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(StateFault::NotANumber)
}

fn check_key(key: &str) -> Result<(), StateFault> {
    if (1..=MAX_KEY_BYTES).contains(&key.len()) { Ok(()) } else { Err(StateFault::Key(key.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: usize = 1_000;

    fn user(subject: &str) -> Owner {
        Owner::User { tenant: None, subject: subject.into() }
    }

    struct Fixture {
        store: StateStore,
        plugin: Arc<str>,
        now: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            Self { store: StateStore::new(), plugin: "notes".into(), now: Instant::now() }
        }

        fn at<'a>(&'a self, owner: &'a Owner, after: u64) -> Place<'a> {
            Place { plugin: &self.plugin, owner, quota: QUOTA, now: self.now + Duration::from_secs(after) }
        }
    }

    #[test]
    fn owners_and_plugins_do_not_see_each_other() {
        let f = Fixture::new();
        let (alice, bob) = (user("alice"), user("bob"));
        let elsewhere = Owner::User { tenant: Some("acme".into()), subject: "alice".into() };
        f.store.set(f.at(&alice, 0), "k", b"hers".to_vec(), None).unwrap();
        assert_eq!(f.store.get(f.at(&alice, 0), "k").unwrap().unwrap(), b"hers");
        for other in [&bob, &elsewhere, &Owner::Plugin, &Owner::Session("alice".into())] {
            assert_eq!(f.store.get(f.at(other, 0), "k").unwrap(), None);
        }
        let other: Arc<str> = "other".into();
        assert_eq!(f.store.get(Place { plugin: &other, ..f.at(&alice, 0) }, "k").unwrap(), None);
    }

    #[test]
    fn entries_end_at_their_time_to_live_and_are_purged() {
        let f = Fixture::new();
        f.store.set(f.at(&Owner::Plugin, 0), "k", b"v".to_vec(), Some(Duration::from_secs(5))).unwrap();
        assert!(f.store.get(f.at(&Owner::Plugin, 4), "k").unwrap().is_some());
        assert!(f.store.get(f.at(&Owner::Plugin, 5), "k").unwrap().is_none());
        assert!(!f.store.delete(f.at(&Owner::Plugin, 5), "k").unwrap());
        f.store.set(f.at(&Owner::Plugin, 0), "k", b"v".to_vec(), Some(Duration::from_secs(5))).unwrap();
        assert_eq!(f.store.purge(f.now + Duration::from_secs(6)), 1);
    }

    #[test]
    fn the_quota_holds_and_what_has_expired_makes_room() {
        let f = Fixture::new();
        let big = vec![0; QUOTA - ENTRY_OVERHEAD - 1];
        f.store.set(f.at(&Owner::Plugin, 0), "k", big.clone(), Some(Duration::from_secs(5))).unwrap();
        let refused = f.store.set(f.at(&Owner::Plugin, 1), "l", vec![0], None);
        assert!(matches!(refused, Err(StateFault::Quota { quota: QUOTA, .. })));
        f.store.set(f.at(&Owner::Plugin, 1), "k", big.clone(), Some(Duration::from_secs(4))).unwrap();
        f.store.set(f.at(&Owner::Plugin, 5), "l", big, None).unwrap();
    }

    #[test]
    fn a_refused_first_entry_leaves_no_empty_owner_behind() {
        let f = Fixture::new();
        f.store.set(f.at(&Owner::Plugin, 0), "k", vec![0; QUOTA], None).unwrap_err();
        assert!(f.store.shard(&Owner::Plugin).owners.is_empty());
    }

    #[test]
    fn numbers_are_added_and_anything_else_is_left_alone() {
        let f = Fixture::new();
        assert_eq!(f.store.increment(f.at(&Owner::Plugin, 0), "n", 2), Ok(2));
        assert_eq!(f.store.increment(f.at(&Owner::Plugin, 0), "n", -5), Ok(-3));
        assert_eq!(f.store.get(f.at(&Owner::Plugin, 0), "n").unwrap().unwrap(), b"-3");
        assert_eq!(f.store.increment(f.at(&Owner::Plugin, 0), "n", i64::MIN), Err(StateFault::NotANumber));
        f.store.set(f.at(&Owner::Plugin, 0), "t", b"text".to_vec(), None).unwrap();
        assert_eq!(f.store.increment(f.at(&Owner::Plugin, 0), "t", 1), Err(StateFault::NotANumber));
    }

    #[test]
    fn a_value_is_replaced_only_if_it_is_the_expected_one() {
        let f = Fixture::new();
        let cas = |expected: Option<&[u8]>, value: &[u8]| {
            f.store.compare_and_set(f.at(&Owner::Plugin, 0), "k", expected, value.to_vec(), None).unwrap()
        };
        assert!(!cas(Some(b"a"), b"b"));
        assert!(cas(None, b"a"));
        assert!(!cas(None, b"b"));
        assert!(cas(Some(b"a"), b"b"));
    }

    #[test]
    fn a_session_that_has_ended_is_forgotten_and_stays_so() {
        let f = Fixture::new();
        let session = Owner::Session("s1".into());
        f.store.set(f.at(&session, 0), "k", b"v".to_vec(), None).unwrap();
        f.store.forget_session("s1", f.now);
        assert_eq!(f.store.get(f.at(&session, 0), "k").unwrap(), None);
        assert_eq!(f.store.set(f.at(&session, 0), "k", b"v".to_vec(), None), Err(StateFault::SessionEnded));
    }

    #[test]
    fn keys_have_1_to_256_bytes() {
        let f = Fixture::new();
        assert_eq!(f.store.get(f.at(&Owner::Plugin, 0), ""), Err(StateFault::Key(0)));
        assert_eq!(f.store.get(f.at(&Owner::Plugin, 0), &"x".repeat(257)), Err(StateFault::Key(257)));
        assert_eq!(f.store.get(f.at(&Owner::Plugin, 0), &"x".repeat(256)), Ok(None));
    }
}
