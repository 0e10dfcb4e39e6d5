//! From memory to disk: everything that changed within an interval, in one commit that is on the disk when it
//! is done.
//!
//! There is one commit at a time. What cannot be written stays in memory and is tried again; while too much waits,
//! whoever would add to it waits for a moment and is refused then.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Owner, StateFault, StateScope,
    cache::{ALL_ROUNDS, Cache},
    now,
    owner::{group_key, parse_shelf},
    usage::{ScopeUsage, Usage},
};
use crate::{
    config::LiveConfig,
    storage::{
        StoreError,
        shelves::{Change, ShelfFile},
    },
    telemetry::metrics::Outcome,
};

/// Bytes that may wait to be written. A disk takes it in well under a second; it is also the most that one commit
/// writes, but for what calls that are under way add.
const MAX_BACKLOG: usize = 32 << 20;

/// From here on, it is not waited for the end of the interval.
const URGENT_BACKLOG: usize = MAX_BACKLOG / 2;

/// How long a call waits for the disk before it is refused. Less than the time that calls have by default.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long it is waited after a failure. A disk that is full does not become empty sooner.
const RETRY: Duration = Duration::from_secs(1);

/// How often what has ended is looked for: often enough that it does not pile up, seldom enough that
/// nobody notices.
const PURGE_INTERVAL: Duration = Duration::from_secs(30);

/// Shelves that are purged before what is left of them is written.
const PURGED_AT_ONCE: usize = 256;

/// Rows that are dropped in one commit.
const DROPPED_AT_ONCE: u64 = 10_000;

pub(super) struct Writer {
    cache: Arc<Cache>,
    file: Arc<ShelfFile>,
    usage: Arc<Usage>,
    config: LiveConfig,
    /// Held for the length of a commit.
    turn: Mutex<()>,
    urgent: Notify,
    /// Rises with each commit.
    commits: watch::Sender<u64>,
    failing: AtomicBool,
}

impl Writer {
    pub fn new(cache: Arc<Cache>, file: Arc<ShelfFile>, usage: Arc<Usage>, config: LiveConfig) -> Self {
        Self {
            cache,
            file,
            usage,
            config,
            turn: Mutex::default(),
            urgent: Notify::new(),
            commits: watch::Sender::new(0),
            failing: AtomicBool::new(false),
        }
    }

    /// Writes and purges until `stop`. What waits then is for [`Self::close`].
    pub async fn run(self: Arc<Self>, tasks: TaskTracker, stop: CancellationToken) {
        let writing = async {
            loop {
                self.cache.dirty.notified().await;
                self.pause().await;
                self.flush_on(&tasks).await;
                if self.is_failing() {
                    self.cache.dirty.notify_one();
                }
            }
        };
        let purging = async {
            let mut interval = interval(PURGE_INTERVAL);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                self.purge(now(), &tasks).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = writing => {}
            () = purging => {}
        }
    }

    /// Collects more, so that it is written together.
    async fn pause(&self) {
        let interval = self.config.load().state.flush_interval;
        if self.is_failing() {
            tokio::time::sleep(interval.max(RETRY)).await;
        } else if !interval.is_zero() {
            // An early end only makes the batch smaller.
            let _ = timeout(interval, self.urgent.notified()).await;
        }
    }

    /// Returns when there is room for more that has to be written.
    pub async fn room(&self) -> Result<(), StateFault> {
        let backlog = || self.cache.backlog.load(Relaxed);
        if backlog() < URGENT_BACKLOG {
            return Ok(());
        }
        self.urgent.notify_one();
        let mut commits = self.commits.subscribe();
        let room = async {
            while backlog() >= MAX_BACKLOG {
                if commits.changed().await.is_err() {
                    return;
                }
            }
        };
        timeout(PATIENCE, room).await.map_err(|_| StateFault::Behind)
    }

    async fn flush_on(self: &Arc<Self>, tasks: &TaskTracker) {
        let writer = self.clone();
        // Its outcome is in the log and in `failing`.
        let _ = tasks.spawn_blocking(move || writer.flush()).await;
    }

    /// Writes what the disk does not know. Blocks.
    pub fn flush(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = self.cache.collect();
        if batch.changes.is_empty() {
            return Ok(());
        }
        let mut batch = batch;
        let result = self.commit(std::mem::take(&mut batch.changes));
        self.cache.settle(batch, result.is_ok());
        self.cache.make_room(ALL_ROUNDS);
        self.show();
        self.commits.send_modify(|commits| *commits += 1);
        result
    }

    /// And the account of how it went.
    fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let metrics = &self.cache.metrics;
        let begun = Instant::now();
        // A database whose disk has failed does nothing more until it is opened again.
        let opened = if self.is_failing() { self.file.open_again() } else { Ok(()) };
        let result = opened.and_then(|()| self.file.commit(changes));
        metrics.state_flush_duration.observe(begun.elapsed().as_secs_f64());
        let outcome = if result.is_ok() { "written" } else { "failed" };
        metrics.state_flushes.get_or_create(&Outcome { outcome }).inc();
        let was_failing = self.failing.swap(result.is_err(), Relaxed);
        match &result {
            Err(fault) if !was_failing => {
                tracing::error!(%fault, "what plugins remember cannot be written; it stays in memory and is tried again, and is lost if the process ends before that");
            }
            Ok(()) if was_failing => tracing::warn!("what plugins remember can be written again"),
            _ => {}
        }
        result
    }

    /// Drops what has ended, from memory and disk, a bounded number of shelves at a time.
    pub async fn purge(self: &Arc<Self>, now: u64, tasks: &TaskTracker) {
        let mut before = Vec::new();
        loop {
            let file = self.file.clone();
            let due = tasks.spawn_blocking(move || file.due(now, PURGED_AT_ONCE)).await;
            let Ok(Ok(due)) = due else { return };
            // Whatever cannot be done now is left for the next time.
            if due == before {
                return;
            }
            for (plugin, owner) in due.iter().filter_map(|key| parse_shelf(key)) {
                let purged = self.cache.with(&owner, &plugin, |shelf| Ok(shelf.sweep(now))).await;
                let Ok(entries) = purged else { return };
                tracing::trace!(%plugin, entries, "dropped expired state");
            }
            // What comes next is asked of the disk, which has to know that these are done.
            self.flush_on(tasks).await;
            if due.len() < PURGED_AT_ONCE || self.is_failing() {
                return;
            }
            before = due;
        }
    }

    /// Drops what a plugin remembers in a scope, from memory and disk. Blocks; others go on between its commits.
    /// What the plugin writes meanwhile may stay.
    pub fn forget(&self, plugin: &Arc<str>, scope: StateScope) -> Result<(), StoreError> {
        let Some(group) = group_key(plugin, scope) else { return Ok(()) };
        let mut last: Option<Vec<u8>> = None;
        loop {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let _alone = self.cache.moves.write().unwrap_or_else(PoisonError::into_inner);
            let listed = self.file.list(&group, last.as_deref(), DROPPED_AT_ONCE)?;
            let done = listed.is_empty();
            let found: Vec<(Vec<u8>, Owner, ScopeUsage)> = if done {
                self.in_memory(plugin, scope)
            } else {
                last = listed.last().map(|(shelf, _)| shelf.clone());
                let known = |(shelf, header): (Vec<u8>, crate::storage::shelves::Header)| {
                    let (_, owner) = parse_shelf(&shelf)?;
                    Some((shelf, owner, ScopeUsage { bytes: header.bytes, entries: header.entries, owners: 1 }))
                };
                listed.into_iter().filter_map(known).collect()
            };
            let gone =
                |shelf: &Vec<u8>| Change { group: group.clone(), shelf: shelf.clone(), header: None, rows: Vec::new() };
            self.file.commit(found.iter().map(|(shelf, ..)| gone(shelf)).collect())?;
            for (_, owner, usage) in &found {
                // What is in memory is counted as it is there.
                if !self.cache.forget(owner, plugin) {
                    self.usage.account(plugin, scope).end(*usage);
                }
            }
            if done {
                return Ok(());
            }
        }
    }

    fn in_memory(&self, plugin: &Arc<str>, scope: StateScope) -> Vec<(Vec<u8>, Owner, ScopeUsage)> {
        let owners = self.cache.owners_of(plugin).into_iter().filter(|owner| owner.scope() == scope);
        owners
            .filter_map(|owner| Some((super::owner::shelf_key(plugin, &owner)?, owner, ScopeUsage::default())))
            .collect()
    }

    /// Writes what is left, and lets go of the file. Blocks.
    pub fn close(&self) -> Result<(), StoreError> {
        let written = self.flush();
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.close();
        written
    }

    /// What the metrics say of it.
    pub fn show(&self) {
        let metrics = &self.cache.metrics;
        let signed = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        metrics.state_backlog.set(signed(self.cache.backlog.load(Relaxed)));
        metrics.state_cached.set(signed(self.cache.resident()));
        metrics.state_file.set(i64::try_from(self.file.length()).unwrap_or(i64::MAX));
    }

    /// Rises with each commit.
    #[cfg(test)]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    fn is_failing(&self) -> bool {
        self.failing.load(Relaxed)
    }
}
