//! The engine that every guest runs in, and how many of them may at one time.
//!
//! Instances come from a pool whose size is fixed when the host starts. A permit stands in front of
//! each place in it, so that a full pool is a short wait and then a clear refusal, never a failed
//! allocation. Calls within calls have permits of their own for each depth: a call that waits for
//! another never holds what that other one needs.

use std::{sync::Arc, time::Instant};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};
use wasmtime::{Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::{
    PluginSetupError,
    ticker::{Awake, Ticker},
};
use crate::config::Config;

/// The deepest calls within calls that the pool has places for, and the most that `max_call_depth` can be.
pub(crate) const MAX_DEPTH: usize = 8;

/// Places for one depth of nested calls, as a share of those for calls from outside: a call makes at
/// most one nested call at a time, and most make none.
const NESTED_SHARE: usize = 4;
const MIN_NESTED: usize = 4;

/// Components whose manifest is asked for at one time. Loading is rare, and takes turns.
const LOADING: usize = 2;

/// Instances that are started ahead at one time. They take no place from loading, nor from calls.
const REFILLING: usize = 2;

/// Instances that gave way to others, and are asked what they leave behind.
pub(super) const LEAVING: usize = 64;

/// The places of both, on top.
const MAX_ASIDE: usize = REFILLING + LEAVING;

/// Places for instances that wait, on top.
const MAX_KEPT_PLACES: usize = 2_048;

/// The most places for calls. Each reserves 4 GiB of addresses (not memory), of which a process has 128 TiB.
const MAX_PLACES: usize = 8_192;

/// What a component may consist of. Two memories and a handful of core modules is what the
/// toolchains of all languages get by with; the rest is room.
const MAX_MEMORIES: u32 = 2;
const MAX_TABLES: u32 = 4;
const MAX_CORE_INSTANCES: u32 = 24;

/// More than any `max_table_elements` in earnest: a large C# program has ten thousand.
const POOL_TABLE_ELEMENTS: usize = 100_000;

/// Bytes of an instance's memory and tables that stay mapped for the next instance in its place:
/// what a small guest touches in one call. Only good if the kernel can say which pages were touched.
const KEEP_MEMORY: usize = 512 << 10;
const KEEP_TABLES: usize = 16 << 10;

/// Places that are kept warm for modules that do not run at the moment.
const WARM_PLACES: u32 = 64;

/// One per host. Dropping it stops its clock.
pub(crate) struct Sandbox {
    engine: Engine,
    ticker: Ticker,
    /// By depth: the first for calls from outside.
    places: Vec<Arc<Semaphore>>,
    /// For instances that wait, and their memory in pages.
    seats: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    loading: Arc<Semaphore>,
    refilling: Arc<Semaphore>,
    leaving: Arc<Semaphore>,
    /// The memory of those, in pages: as much as of those that wait.
    leaving_pages: Arc<Semaphore>,
    max_leaving_pages: usize,
}

/// What there is too little of for another instance to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Short {
    Seats,
    Bytes,
}

/// A place in the pool, while it lives. Outlives the store that it was taken for.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Of one that leaves.
    _pages: Option<OwnedSemaphorePermit>,
    _awake: Awake,
}

/// Leave to wait for the next call, in the pool, while it lives. What is left of an instance in the form of bytes
/// has one without a place in the pool.
pub(crate) struct Seat {
    _seat: Option<OwnedSemaphorePermit>,
    pages: OwnedSemaphorePermit,
}

impl Seat {
    /// For how many bytes it was given.
    pub fn bytes(&self) -> usize {
        self.pages.num_permits() * PAGE
    }
}

/// In units of a Wasm page, since permits are counted with 32 bits.
const PAGE: usize = 64 << 10;

impl Sandbox {
    pub fn new(config: &Config) -> Result<Arc<Self>, PluginSetupError> {
        let limits = &config.limits;
        let sizes = Sizes::of(limits.max_plugin_calls, limits.max_kept_instances);
        // Without a kernel that tells which pages were touched (Linux before 6.7), to keep pages
        // means to clear all of them each time, which costs more than it saves.
        let engine = engine(&sizes, true).or_else(|_| engine(&sizes, false)).map_err(PluginSetupError::Engine)?;
        let ticker = Ticker::start(&engine).map_err(|fault| PluginSetupError::Engine(fault.into()))?;
        let places = (0..=MAX_DEPTH).map(|depth| Arc::new(Semaphore::new(sizes.at(depth)))).collect();
        let pages = (limits.max_kept_instance_bytes / PAGE).min(Semaphore::MAX_PERMITS);
        // However large it is, one can always leave.
        let max_leaving_pages = pages.max(1);
        Ok(Arc::new(Self {
            engine,
            ticker,
            places,
            seats: Arc::new(Semaphore::new(sizes.kept)),
            pages: Arc::new(Semaphore::new(pages)),
            loading: Arc::new(Semaphore::new(LOADING)),
            refilling: Arc::new(Semaphore::new(REFILLING)),
            leaving: Arc::new(Semaphore::new(LEAVING)),
            leaving_pages: Arc::new(Semaphore::new(max_leaving_pages)),
            max_leaving_pages,
        }))
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Waits for a place for a call at this depth; none if there is none by then, or never will be.
    pub async fn place(&self, depth: usize, by: Instant) -> Option<Place> {
        self.wait_for(self.places.get(depth)?, by).await
    }

    /// Waits for a place in which a component that is being loaded can be asked for its manifest.
    pub async fn place_for_loading(&self, by: Instant) -> Option<Place> {
        self.wait_for(&self.loading, by).await
    }

    /// Waits for a place in which an instance can be started before it is needed.
    pub async fn place_for_refill(&self, by: Instant) -> Option<Place> {
        self.wait_for(&self.refilling, by).await
    }

    /// A place for an instance with so much memory that has given up its seat, until it has said what it leaves behind.
    pub fn place_to_leave(&self, memory_bytes: usize) -> Option<Place> {
        let permit = self.leaving.clone().try_acquire_owned().ok()?;
        let pages = u32::try_from(memory_bytes.div_ceil(PAGE).clamp(1, self.max_leaving_pages)).ok()?;
        let pages = self.leaving_pages.clone().try_acquire_many_owned(pages).ok()?;
        Some(Place { _permit: permit, _pages: Some(pages), _awake: self.ticker.keep_awake() })
    }

    /// Leave for an instance with so much memory to wait for its next call.
    pub fn seat(&self, memory_bytes: usize) -> Result<Seat, Short> {
        let seat = self.seats.clone().try_acquire_owned().map_err(|_| Short::Seats)?;
        Ok(Seat { _seat: Some(seat), ..self.room(memory_bytes).ok_or(Short::Bytes)? })
    }

    /// Leave to keep so many bytes, that an instance left behind. Nothing costs nothing at all, or there
    /// could be any number of it.
    pub fn room(&self, bytes: usize) -> Option<Seat> {
        let pages = u32::try_from(bytes.div_ceil(PAGE).max(1)).ok()?;
        let pages = self.pages.clone().try_acquire_many_owned(pages).ok()?;
        Some(Seat { _seat: None, pages })
    }

    /// While it lives, guests are interrupted when their time is over.
    pub fn keep_awake(&self) -> Awake {
        self.ticker.keep_awake()
    }

    async fn wait_for(&self, places: &Arc<Semaphore>, by: Instant) -> Option<Place> {
        let permit = match places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => timeout_at(by.into(), places.clone().acquire_owned()).await.ok()?.ok()?,
        };
        Some(Place { _permit: permit, _pages: None, _awake: self.ticker.keep_awake() })
    }
}

/// How many calls at each depth.
#[derive(Debug, PartialEq, Eq)]
struct Sizes {
    outer: usize,
    nested: usize,
    kept: usize,
}

impl Sizes {
    fn of(max_plugin_calls: usize, max_kept_instances: usize) -> Self {
        // Solved for `outer` so that all of them together stay within MAX_PLACES.
        let most = (MAX_PLACES - LOADING) * NESTED_SHARE / (NESTED_SHARE + MAX_DEPTH);
        let outer = max_plugin_calls.clamp(1, most);
        Self { outer, nested: (outer / NESTED_SHARE).max(MIN_NESTED), kept: max_kept_instances.min(MAX_KEPT_PLACES) }
    }

    fn at(&self, depth: usize) -> usize {
        if depth == 0 { self.outer } else { self.nested }
    }

    fn total(&self) -> u32 {
        u32::try_from(self.outer + self.nested * MAX_DEPTH + LOADING + MAX_ASIDE + self.kept).unwrap_or(u32::MAX)
    }
}

fn engine(sizes: &Sizes, keep_resident: bool) -> Result<Engine, wasmtime::Error> {
    let mut config = wasmtime::Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(sizes, keep_resident)))
        .epoch_interruption(true)
        // The contract's exports are synchronous; support for concurrent ones doubles the cost of a call.
        .concurrency_support(false)
        // Names of functions suffice to find a crash; to keep DWARF costs memory for every plugin.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    Engine::new(&config)
}

fn pool(sizes: &Sizes, keep_resident: bool) -> PoolingAllocationConfig {
    let total = sizes.total();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(total)
        .total_core_instances(total.saturating_mul(MAX_CORE_INSTANCES))
        .total_memories(total.saturating_mul(MAX_MEMORIES))
        .total_tables(total.saturating_mul(MAX_TABLES))
        .total_stacks(total)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_tables_per_module(MAX_TABLES)
        .table_elements(POOL_TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_PLACES);
    if keep_resident {
        pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(KEEP_MEMORY).table_keep_resident(KEEP_TABLES);
    }
    pool
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::settings;

    fn sandbox(calls: usize) -> Arc<Sandbox> {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(folder.path());
        config.limits.max_plugin_calls = calls;
        Sandbox::new(&config).unwrap()
    }

    #[test]
    fn however_many_calls_are_configured_the_pool_stays_within_the_address_space() {
        for calls in [0, 1, 32, 1_000, 1_000_000] {
            let sizes = Sizes::of(calls, calls);
            let most = MAX_PLACES + MAX_KEPT_PLACES + MAX_ASIDE + MIN_NESTED * MAX_DEPTH;
            assert!(sizes.outer >= 1 && sizes.total() as usize <= most, "{sizes:?}");
        }
        assert_eq!(Sizes::of(1_000, 0).outer, 1_000);
    }

    #[test]
    fn what_can_be_configured_is_what_the_pool_has_places_for() {
        let most = usize::try_from(settings::MAX_CALLS).unwrap();
        assert_eq!((Sizes::of(most, 0).outer, Sizes::of(most + 1, 0).outer), (most, most));
        assert_eq!(settings::MAX_KEPT, MAX_KEPT_PLACES as u64);
        assert_eq!(settings::MAX_CALL_DEPTH, MAX_DEPTH as u64);
        assert_eq!(settings::MAX_TABLE_ELEMENTS, POOL_TABLE_ELEMENTS as u64);
    }

    #[tokio::test]
    async fn a_full_pool_is_a_bounded_wait_and_leaves_nested_calls_their_places() {
        let sandbox = sandbox(1);
        let soon = || Instant::now() + Duration::from_millis(20);
        let held = sandbox.place(0, soon()).await;
        assert!(held.is_some());
        assert!(sandbox.place(0, soon()).await.is_none());
        assert!(sandbox.place(1, soon()).await.is_some());
        assert!(sandbox.place(MAX_DEPTH + 1, soon()).await.is_none());
        drop(held);
        assert!(sandbox.place(0, soon()).await.is_some());
    }

    #[tokio::test]
    async fn instances_that_are_started_ahead_or_leave_take_no_place_from_loading_or_calls() {
        let sandbox = sandbox(1);
        let soon = || Instant::now() + Duration::from_millis(20);
        let mut held = Vec::new();
        while let Some(place) = sandbox.place_for_refill(soon()).await {
            held.push(place);
        }
        while let Some(place) = sandbox.place_to_leave(0) {
            held.push(place);
        }
        assert_eq!(held.len(), REFILLING + LEAVING);
        assert!(sandbox.place_for_loading(soon()).await.is_some());
        assert!(sandbox.place(0, soon()).await.is_some());
    }

    #[test]
    fn instances_that_leave_have_no_more_memory_than_those_that_wait_unless_it_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(folder.path());
        config.limits.max_kept_instance_bytes = 4 * PAGE;
        let sandbox = Sandbox::new(&config).unwrap();
        let large = sandbox.place_to_leave(100 * PAGE);
        assert!(large.is_some() && sandbox.place_to_leave(PAGE).is_none());
        drop(large);
        let two = [sandbox.place_to_leave(2 * PAGE), sandbox.place_to_leave(PAGE + 1)];
        assert!(two.iter().all(Option::is_some) && sandbox.place_to_leave(1).is_none());
        drop(two);
        assert!(sandbox.place_to_leave(4 * PAGE).is_some());
    }
}
