//! What plugins remember from one call to the next.
//!
//! Keys live under an owner (a session, a user of a tenant, or nobody in particular) and a plugin, so
//! that no plugin can name another's and no user's call another user's. Every operation is atomic. Nothing is lost
//! to make room: what does not fit is refused. Time is passed in, and is that of the wall clock, because it outlives
//! the process.
//!
//! State of sessions is in memory (`sessions`) and saved with them. The rest is on disk (`writer`, and
//! `storage::shelves` below it), and what is in use in memory too (`cache`). An operation changes memory and returns;
//! the disk follows within `state.flush_interval`. See ADR 22. Reading order: `shelf`, `sessions`, `cache`, `writer`.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    cache::Cache,
    sessions::SessionShelves,
    shelf::{Bounds, Shelf},
    usage::Usage,
    writer::Writer,
};
use super::effects::CallerSession;
use crate::{
    config::LiveConfig,
    storage::{StoreError, shelves::ShelfFile},
    telemetry::{Metrics, metrics::Reason},
};

mod cache;
mod owner;
mod sessions;
mod shelf;
mod usage;
mod writer;

pub(crate) use owner::Owner;
pub(crate) use sessions::SavedState;
pub(crate) use usage::{ScopeUsage, StateForgotten, StateScope, StateUsage, audit_forgotten};

/// Enough for any name that a person would choose, or two identifiers and a separator.
const MAX_KEY_BYTES: usize = 256;

/// How often sessions are looked through for what has ended.
const PURGE_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub(crate) enum StateFault {
    #[error("a key has 1 to {MAX_KEY_BYTES} bytes, and this one has {0}")]
    Key(usize),
    #[error("{wanted} bytes are more than the `max_state_bytes` of {quota} that each scope of each owner has")]
    Quota { wanted: usize, quota: usize },
    #[error("the host remembers as much as it may for all plugins together, {most} bytes")]
    Full { most: usize },
    #[error("the host remembers things for as many owners as it can")]
    TooManyOwners,
    #[error("the session has ended")]
    SessionEnded,
    #[error("the value is not a decimal integer, or the sum is out of range")]
    NotANumber,
    #[error("the host's disk does not keep up with what is written; try again later")]
    Behind,
    #[error("the host cannot read it from its disk")]
    Unreadable,
}

/// Where to look: the plugin, the owner, and how much it may keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub plugin: &'a Arc<str>,
    pub owner: &'a Owner,
    /// That of the caller, whoever the owner is.
    pub session: &'a dyn CallerSession,
    pub quota: usize,
    /// Unix milliseconds.
    pub now: u64,
}

pub(crate) struct StateStore {
    config: LiveConfig,
    metrics: Arc<Metrics>,
    usage: Arc<Usage>,
    sessions: SessionShelves,
    cache: Arc<Cache>,
    writer: Option<Arc<Writer>>,
}

/// Unix milliseconds by the wall clock.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl StateStore {
    /// On the file of a data folder; without a folder, nothing is kept beyond the process. Blocks.
    pub fn open(
        config: LiveConfig,
        data_dir: Option<&Path>,
        metrics: Arc<Metrics>,
        tasks: &TaskTracker,
    ) -> Result<Self, StoreError> {
        let usage = Arc::new(Usage::new(metrics.clone()));
        let file = data_dir.map(ShelfFile::open).transpose()?.map(Arc::new);
        for (group, sums) in file.as_ref().map_or_else(|| Ok(Vec::new()), |file| file.sums())? {
            let Some((plugin, scope)) = owner::parse_group(&group) else { continue };
            let before = ScopeUsage { bytes: sums.bytes, entries: sums.entries, owners: sums.shelves };
            usage.account(&plugin, scope).begin(before);
        }
        let cache = Arc::new(Cache::new(file.clone(), config.clone(), metrics.clone(), usage.clone(), tasks.clone()));
        let writer = |file| Arc::new(Writer::new(cache.clone(), file, usage.clone(), config.clone()));
        let writer = file.map(writer);
        writer.iter().for_each(|writer| writer.show());
        let sessions = SessionShelves::new(usage.clone());
        Ok(Self { config, metrics, usage, sessions, cache, writer })
    }

    /// Starts what goes on beside calls, until `stop`.
    pub fn start(self: &Arc<Self>, tasks: &TaskTracker, stop: CancellationToken) {
        if let Some(writer) = &self.writer {
            tasks.spawn(writer.clone().run(tasks.clone(), stop.clone()));
        }
        let store = self.clone();
        tasks.spawn(async move {
            let mut interval = tokio::time::interval(PURGE_INTERVAL);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = interval.tick() => {
                        let entries = store.sessions.purge(now());
                        tracing::trace!(entries, "dropped expired state of sessions");
                    }
                }
            }
        });
    }

    pub async fn get(&self, at: Place<'_>, key: &str) -> Result<Option<Vec<u8>>, StateFault> {
        self.operate(at, key, Access::Looks, |shelf, _| Ok(shelf.get(key, at.now).map(<[u8]>::to_vec))).await
    }

    pub async fn set(&self, at: Place<'_>, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), StateFault> {
        self.operate(at, key, Access::Adds, |shelf, within| shelf.set(key, value, ttl_ms, within)).await
    }

    /// Whether there was something to delete.
    pub async fn delete(&self, at: Place<'_>, key: &str) -> Result<bool, StateFault> {
        self.operate(at, key, Access::Removes, |shelf, _| Ok(shelf.delete(key, at.now))).await
    }

    /// The sum. The entry keeps its time to live.
    pub async fn increment(&self, at: Place<'_>, key: &str, by: i64) -> Result<i64, StateFault> {
        self.operate(at, key, Access::Adds, |shelf, within| shelf.increment(key, by, within)).await
    }

    /// Whether the value was still the expected one, and is the new one now.
    pub async fn compare_and_set(
        &self,
        at: Place<'_>,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl_ms: Option<u64>,
    ) -> Result<bool, StateFault> {
        let work = |shelf: &mut Shelf, within: Bounds| shelf.compare_and_set(key, expected, value, ttl_ms, within);
        self.operate(at, key, Access::Adds, work).await
    }

    async fn operate<T>(
        &self,
        at: Place<'_>,
        key: &str,
        access: Access,
        work: impl FnOnce(&mut Shelf, Bounds) -> Result<T, StateFault>,
    ) -> Result<T, StateFault> {
        let result = self.try_operate(at, key, access, work).await;
        if let Err(fault) = &result
            && let Some(reason) = fault.refusal()
        {
            self.metrics.state_refused.get_or_create(&Reason { reason }).inc();
        }
        result
    }

    async fn try_operate<T>(
        &self,
        at: Place<'_>,
        key: &str,
        access: Access,
        work: impl FnOnce(&mut Shelf, Bounds) -> Result<T, StateFault>,
    ) -> Result<T, StateFault> {
        if !(1..=MAX_KEY_BYTES).contains(&key.len()) {
            return Err(StateFault::Key(key.len()));
        }
        let config = self.config.load();
        let bounds = |pool| Bounds { quota: at.quota, pool, now: at.now };
        if let Owner::Session(session) = at.owner {
            let within = bounds(config.state.max_connection_bytes);
            let may_add = (access == Access::Adds).then_some(at.session);
            return self.sessions.with((session, at.plugin), may_add, |shelf| work(shelf, within));
        }
        if let Some(writer) = self.writer.as_ref().filter(|_| access != Access::Looks) {
            writer.room().await?;
        }
        let within = bounds(config.state.max_bytes);
        self.cache.with(at.owner, at.plugin, |shelf| work(shelf, within)).await
    }

    /// Drops what was remembered for a session that has ended.
    pub fn forget_session(&self, session_id: &str) {
        self.sessions.forget_session(session_id);
    }

    /// What is remembered for a session, to be saved with it.
    pub fn export_session(&self, session_id: &str) -> Vec<SavedState> {
        self.sessions.export(session_id)
    }

    pub fn restore_session(&self, session_id: &Arc<str>, session: &dyn CallerSession, saved: Vec<SavedState>) {
        self.sessions.restore(session_id, session, saved);
    }

    /// How much a plugin remembers; `None` if nothing was ever heard of it.
    pub fn usage(&self, plugin: &str) -> Option<StateUsage> {
        self.usage.of(plugin)
    }

    /// Drops what a plugin remembers in these scopes. Blocks.
    pub fn forget(&self, plugin: &Arc<str>, scopes: &[StateScope]) -> Result<(), StoreError> {
        for scope in scopes {
            match (&self.writer, scope) {
                (_, StateScope::Connection) => self.sessions.forget_plugin(plugin),
                (Some(writer), _) => writer.forget(plugin, *scope)?,
                (None, _) => {
                    let owners = self.cache.owners_of(plugin).into_iter().filter(|owner| owner.scope() == *scope);
                    owners.for_each(|owner| _ = self.cache.forget(&owner, plugin));
                }
            }
        }
        Ok(())
    }

    /// Writes what is not on disk yet, when nothing runs any more, and lets go of the file. Blocks.
    pub fn close(&self) -> Result<(), StoreError> {
        let waiting = self.cache.backlog.load(Relaxed);
        let Some(writer) = &self.writer else { return Ok(()) };
        writer.close().inspect(|()| tracing::info!(waiting, "what plugins remember is on disk"))
    }
}

/// What an operation may do to a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Looks,
    Removes,
    Adds,
}

impl StateFault {
    /// In the metrics; `None` for what is the plugin's own mistake.
    fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Quota { .. } => Some("quota"),
            Self::Full { .. } => Some("full"),
            Self::TooManyOwners => Some("owners"),
            Self::Behind => Some("behind"),
            Self::Unreadable => Some("unreadable"),
            Self::Key(_) | Self::SessionEnded | Self::NotANumber => None,
        }
    }
}

#[cfg(test)]
mod tests;
