//! The shelves of users and plugins that are in memory: all that are in use, and all that the disk does not
//! know as they are.
//!
//! A shelf is read whole when it is first asked for, and changed here alone. Invariants: a shelf with changes that are
//! not on disk never leaves; one that is being read is read by one reader, and nobody changes it meanwhile. So
//! what is here is never older than what is on disk. Beyond `state.cache_bytes`, shelves leave that were not asked for
//! since the last time somebody looked.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::{Notify, Semaphore};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    Owner, StateFault,
    owner::{group_key, shelf_key},
    shelf::Shelf,
    usage::Usage,
};
use crate::{
    config::LiveConfig,
    storage::shelves::{Change, ShelfFile},
    telemetry::Metrics,
};

/// Locks, so that calls of different users seldom meet on one.
const SHARDS: usize = 32;

/// What a shelf in memory costs beside its entries, so that many empty ones are not free.
const SHELF_OVERHEAD: usize = 256;

/// Shelves that are read at one time: enough for any disk's queue, few enough to leave threads for others.
const READS: usize = 16;

/// What leaves at once when memory is full, as a share of it: so that not every read has to look for room.
const ROOM_SHARE: usize = 8;

/// How often a shelf stays for which somebody is looking: when it was just read, so that it is still there when whoever
/// asked for it comes to use it, and after it was used.
const READ: u8 = 2;
const USED: u8 = 1;

/// Rounds that take every chance away and then find who has none.
pub(super) const ALL_ROUNDS: usize = READ as usize + 1;

pub(super) type Id = (Owner, Arc<str>);

pub(super) struct Cache {
    /// `None`: nothing is kept beyond this process, and nothing leaves.
    pub file: Option<Arc<ShelfFile>>,
    pub metrics: Arc<Metrics>,
    /// Bytes that wait to be written.
    pub backlog: Arc<AtomicUsize>,
    /// Told when there is something to write.
    pub dirty: Notify,
    /// Those who read a shelf share it; who drops shelves from memory and disk has it alone.
    pub moves: RwLock<()>,
    config: LiveConfig,
    usage: Arc<Usage>,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    resident: AtomicUsize,
    reads: Arc<Semaphore>,
    tasks: TaskTracker,
    /// The shard that is looked at next for shelves that can leave.
    hand: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    owners: HashMap<Owner, HashMap<Arc<str>, Slot>>,
    /// Each at least once that is dirty.
    dirty: Vec<Id>,
}

enum Slot {
    Here(Resident),
    /// Cancelled when the read has ended, however.
    Reading(CancellationToken),
}

struct Resident {
    shelf: Shelf,
    /// How often it still stays when somebody looks for room.
    chances: u8,
    /// Whether its changes are being written.
    in_flight: bool,
}

/// What has changed, to be written in one commit.
#[derive(Default)]
pub(super) struct Batch {
    pub changes: Vec<Change>,
    taken: Vec<(Id, HashMap<Box<str>, usize>)>,
}

enum Attempt<T> {
    Done(Result<T, StateFault>),
    Reading(CancellationToken),
    Absent,
}

impl Cache {
    pub fn new(
        file: Option<Arc<ShelfFile>>,
        config: LiveConfig,
        metrics: Arc<Metrics>,
        usage: Arc<Usage>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            file,
            metrics,
            backlog: Arc::default(),
            dirty: Notify::new(),
            moves: RwLock::default(),
            config,
            usage,
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            resident: AtomicUsize::new(0),
            reads: Arc::new(Semaphore::new(READS)),
            tasks,
            hand: AtomicUsize::new(0),
        }
    }

    /// Does something with a shelf, which is read first if it is not here.
    pub async fn with<T>(
        self: &Arc<Self>,
        owner: &Owner,
        plugin: &Arc<str>,
        work: impl FnOnce(&mut Shelf) -> Result<T, StateFault>,
    ) -> Result<T, StateFault> {
        let mut work = Some(work);
        loop {
            match self.attempt(owner, plugin, &mut work) {
                Attempt::Done(result) => return result,
                Attempt::Reading(ended) => ended.cancelled().await,
                Attempt::Absent => self.fetch(owner, plugin).await?,
            }
        }
    }

    fn attempt<T, W>(&self, owner: &Owner, plugin: &Arc<str>, work: &mut Option<W>) -> Attempt<T>
    where
        W: FnOnce(&mut Shelf) -> Result<T, StateFault>,
    {
        let mut shard = self.shard(owner);
        if self.file.is_none() && shard.slot(owner, plugin).is_none() {
            let new = || Slot::Here(Resident::new(Shelf::new(self.usage.account(plugin, owner.scope()))));
            shard.owners.entry(owner.clone()).or_default().entry(plugin.clone()).or_insert_with(new);
        }
        match shard.slot(owner, plugin) {
            Some(Slot::Here(resident)) => {
                let Some(work) = work.take() else { return Attempt::Absent };
                let (was_dirty, before) = (resident.shelf.is_dirty(), resident.shelf.bytes());
                let result = work(&mut resident.shelf);
                resident.chances = USED;
                let (is_dirty, after) = (resident.shelf.is_dirty(), resident.shelf.bytes());
                self.resize(before, after);
                if is_dirty && !was_dirty {
                    shard.dirty.push((owner.clone(), plugin.clone()));
                    self.dirty.notify_one();
                }
                Attempt::Done(result)
            }
            Some(Slot::Reading(ended)) if !ended.is_cancelled() => Attempt::Reading(ended.clone()),
            _ => Attempt::Absent,
        }
    }

    /// Reads a shelf from the disk, if nobody else does.
    async fn fetch(self: &Arc<Self>, owner: &Owner, plugin: &Arc<str>) -> Result<(), StateFault> {
        let Ok(permit) = self.reads.clone().acquire_owned().await else { return Err(StateFault::Unreadable) };
        let Some(ended) = self.begin_reading(owner, plugin) else { return Ok(()) };
        let (cache, owner, plugin) = (self.clone(), owner.clone(), plugin.clone());
        // Not within this future, which may be dropped at any time.
        let reading = self.tasks.spawn_blocking(move || {
            // Before, so that what is read now stays until it is used.
            cache.make_room(1);
            let result = cache.read(owner, plugin);
            drop((ended, permit));
            result
        });
        reading.await.unwrap_or(Err(StateFault::Unreadable))
    }

    fn begin_reading(&self, owner: &Owner, plugin: &Arc<str>) -> Option<DropGuard> {
        let mut shard = self.shard(owner);
        match shard.slot(owner, plugin) {
            Some(Slot::Here(_)) => return None,
            Some(Slot::Reading(ended)) if !ended.is_cancelled() => return None,
            _ => {}
        }
        let ended = CancellationToken::new();
        shard.owners.entry(owner.clone()).or_default().insert(plugin.clone(), Slot::Reading(ended.clone()));
        Some(ended.drop_guard())
    }

    fn read(&self, owner: Owner, plugin: Arc<str>) -> Result<(), StateFault> {
        let _nothing_is_dropped = self.moves.read().unwrap_or_else(PoisonError::into_inner);
        self.metrics.state_reads.inc();
        let key = shelf_key(&plugin, &owner).unwrap_or_default();
        let rows = self.file.as_ref().map_or_else(|| Ok(Vec::new()), |file| file.load(&key));
        let mut shard = self.shard(&owner);
        match rows {
            Ok(rows) => {
                let account = self.usage.account(&plugin, owner.scope());
                let shelf = Shelf::loaded(rows, account, self.backlog.clone());
                self.resident.fetch_add(footprint(shelf.bytes()), Relaxed);
                shard.owners.entry(owner).or_default().insert(plugin, Slot::Here(Resident::new(shelf)));
                Ok(())
            }
            Err(fault) => {
                tracing::error!(%plugin, scope = owner.scope().as_str(), %fault, "what a plugin remembers cannot be read");
                shard.remove(&owner, &plugin);
                Err(StateFault::Unreadable)
            }
        }
    }

    /// Takes all that the disk does not know. What belongs to one owner is taken at one moment.
    pub fn collect(&self) -> Batch {
        let mut batch = Batch::default();
        for shard in &self.shards {
            let shard = &mut *lock(shard);
            for (owner, plugin) in std::mem::take(&mut shard.dirty) {
                let slot = shard.owners.get_mut(&owner).and_then(|shelves| shelves.get_mut(&plugin));
                let Some(Slot::Here(resident)) = slot else { continue };
                let key = shelf_key(&plugin, &owner).zip(group_key(&plugin, owner.scope()));
                let Some((shelf, group)) = key.filter(|_| resident.shelf.is_dirty()) else { continue };
                let taken = resident.shelf.take_changes();
                resident.in_flight = true;
                batch.changes.push(Change { group, shelf, header: taken.header, rows: taken.rows });
                batch.taken.push(((owner, plugin), taken.keys));
            }
        }
        batch
    }

    /// What was collected is on disk, or it is not.
    pub fn settle(&self, batch: Batch, committed: bool) {
        for ((owner, plugin), keys) in batch.taken {
            let shard = &mut *self.shard(&owner);
            let slot = shard.owners.get_mut(&owner).and_then(|shelves| shelves.get_mut(&plugin));
            let resident = match slot {
                Some(Slot::Here(resident)) => Some(resident),
                _ => None,
            };
            if let Some(resident) = resident {
                resident.in_flight = false;
                if !committed {
                    if !resident.shelf.is_dirty() {
                        shard.dirty.push((owner, plugin));
                    }
                    resident.shelf.put_back(keys);
                    continue;
                }
            }
            self.backlog.fetch_sub(keys.values().sum(), Relaxed);
        }
    }

    /// Lets shelves leave that nobody needs here, if there are too many. It is looked at each of them at most as
    /// often as `rounds` says.
    pub fn make_room(&self, rounds: usize) {
        let most = self.config.load().state.cache_bytes;
        if self.file.is_none() || self.resident.load(Relaxed) <= most {
            return;
        }
        let target = most - most / ROOM_SHARE;
        for _ in 0..rounds * SHARDS {
            let mut shard = lock(&self.shards[self.hand.fetch_add(1, Relaxed) % SHARDS]);
            shard.owners.retain(|_, shelves| {
                shelves.retain(|_, slot| self.stays(slot, target));
                !shelves.is_empty()
            });
            if self.resident.load(Relaxed) <= target {
                return;
            }
        }
    }

    fn stays(&self, slot: &mut Slot, target: usize) -> bool {
        let Slot::Here(resident) = slot else { return true };
        if resident.in_flight || resident.shelf.is_dirty() || self.resident.load(Relaxed) <= target {
            return true;
        }
        if resident.chances > 0 {
            resident.chances -= 1;
            return true;
        }
        self.resident.fetch_sub(footprint(resident.shelf.bytes()), Relaxed);
        false
    }

    /// Drops a shelf that is on disk no more. Whether it was here.
    pub fn forget(&self, owner: &Owner, plugin: &Arc<str>) -> bool {
        let mut shard = self.shard(owner);
        if !matches!(shard.slot(owner, plugin), Some(Slot::Here(_))) {
            return false;
        }
        let Some(Slot::Here(resident)) = shard.remove(owner, plugin) else { return false };
        self.resident.fetch_sub(footprint(resident.shelf.bytes()), Relaxed);
        resident.shelf.forget();
        true
    }

    /// Owners for whom a plugin has a shelf in memory.
    pub fn owners_of(&self, plugin: &str) -> Vec<Owner> {
        let owners = |shard: &Mutex<Shard>| -> Vec<Owner> {
            let here = |shelves: &HashMap<Arc<str>, Slot>| matches!(shelves.get(plugin), Some(Slot::Here(_)));
            lock(shard).owners.iter().filter(|(_, shelves)| here(shelves)).map(|(owner, _)| owner.clone()).collect()
        };
        self.shards.iter().flat_map(owners).collect()
    }

    /// Bytes of memory, about.
    pub fn resident(&self) -> usize {
        self.resident.load(Relaxed)
    }

    fn resize(&self, before: usize, after: usize) {
        if after >= before {
            self.resident.fetch_add(after - before, Relaxed);
        } else {
            self.resident.fetch_sub(before - after, Relaxed);
        }
    }

    /// By the owner alone, so that all that belongs to one is behind one lock.
    fn shard(&self, owner: &Owner) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(owner)).unwrap_or_default() % SHARDS;
        lock(&self.shards[index])
    }
}

impl Shard {
    fn slot(&mut self, owner: &Owner, plugin: &Arc<str>) -> Option<&mut Slot> {
        self.owners.get_mut(owner)?.get_mut(plugin)
    }

    fn remove(&mut self, owner: &Owner, plugin: &Arc<str>) -> Option<Slot> {
        let shelves = self.owners.get_mut(owner)?;
        let removed = shelves.remove(plugin);
        if shelves.is_empty() {
            self.owners.remove(owner);
        }
        removed
    }
}

impl Resident {
    fn new(shelf: Shelf) -> Self {
        Self { shelf, chances: READ, in_flight: false }
    }
}

fn footprint(bytes: usize) -> usize {
    bytes.saturating_add(SHELF_OVERHEAD)
}

/// A panic elsewhere cannot leave a shard half changed: every change is one insertion or removal.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
