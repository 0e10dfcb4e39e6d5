//! How much plugins remember: by plugin and scope for operators, and in all for the bounds of the host.
//!
//! The numbers are gauges of the metrics, so that what an operator sees is what the bounds are held
//! against.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use prometheus_client::metrics::gauge::Gauge;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{super::operation::Order, StateFault};
use crate::telemetry::{Metrics, metrics::PluginScope};

/// Whose memory it is, as operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateScope {
    /// Of sessions; ends with them.
    Connection,
    /// Of users of a tenant.
    User,
    /// Of the plugin itself.
    Plugin,
}

impl StateScope {
    pub const ALL: [Self; 3] = [Self::Connection, Self::User, Self::Plugin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::User => "user",
            Self::Plugin => "plugin",
        }
    }
}

/// How much a plugin remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct StateUsage {
    pub plugin: String,
    pub connection: ScopeUsage,
    pub user: ScopeUsage,
    pub plugin_wide: ScopeUsage,
}

/// How much a plugin remembers in one scope. What has ended counts until it is dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ScopeUsage {
    /// Of keys and values, and 64 for each entry.
    pub bytes: u64,
    pub entries: u64,
    /// Sessions, or users, or the plugin itself.
    pub owners: u64,
}

/// What was dropped by an operator's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct StateForgotten {
    pub plugin: String,
    /// All, if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<StateScope>,
    pub bytes: u64,
    pub entries: u64,
}

/// By plugin and scope.
type Accounts = BTreeMap<(Arc<str>, StateScope), Arc<Account>>;

/// The accounts of all plugins.
pub(super) struct Usage {
    metrics: Arc<Metrics>,
    /// Of sessions, and of what is on disk.
    pools: [Arc<AtomicUsize>; 2],
    accounts: Mutex<Accounts>,
}

/// What one plugin remembers in one scope.
pub(super) struct Account {
    bytes: Gauge,
    entries: Gauge,
    owners: Gauge,
    pool: Arc<AtomicUsize>,
}

impl Usage {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, pools: Default::default(), accounts: Mutex::default() }
    }

    pub fn account(&self, plugin: &Arc<str>, scope: StateScope) -> Arc<Account> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let label = PluginScope { plugin: plugin.clone(), scope: scope.as_str() };
            Arc::new(Account {
                bytes: self.metrics.state_bytes.get_or_create(&label).clone(),
                entries: self.metrics.state_entries.get_or_create(&label).clone(),
                owners: self.metrics.state_owners.get_or_create(&label).clone(),
                pool: self.pools[usize::from(scope != StateScope::Connection)].clone(),
            })
        };
        accounts.entry((plugin.clone(), scope)).or_insert_with(make).clone()
    }

    pub fn of(&self, plugin: &str) -> Option<StateUsage> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let [connection, user, plugin_wide] =
            StateScope::ALL.map(|scope| accounts.get(&(plugin.into(), scope)).map(|account| account.usage()));
        if connection.is_none() && user.is_none() && plugin_wide.is_none() {
            return None;
        }
        Some(StateUsage {
            plugin: plugin.to_owned(),
            connection: connection.unwrap_or_default(),
            user: user.unwrap_or_default(),
            plugin_wide: plugin_wide.unwrap_or_default(),
        })
    }
}

impl StateUsage {
    pub fn none(plugin: &str) -> Self {
        let [connection, user, plugin_wide] = [ScopeUsage::default(); 3];
        Self { plugin: plugin.to_owned(), connection, user, plugin_wide }
    }

    pub fn of_scope(&self, scope: StateScope) -> ScopeUsage {
        match scope {
            StateScope::Connection => self.connection,
            StateScope::User => self.user,
            StateScope::Plugin => self.plugin_wide,
        }
    }
}

impl Account {
    /// Counts what is there before anything was loaded.
    pub fn begin(&self, usage: ScopeUsage) {
        let bytes = usize::try_from(usage.bytes).unwrap_or(usize::MAX);
        self.pool.fetch_add(bytes, Relaxed);
        self.bytes.inc_by(signed(bytes));
        self.entries.inc_by(usage.entries.cast_signed());
        self.owners.inc_by(usage.owners.cast_signed());
    }

    /// What was dropped that was never loaded.
    pub fn end(&self, usage: ScopeUsage) {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        self.replace((number(usage.bytes), number(usage.entries)), (0, 0));
    }

    /// Whether there is room for so many more bytes. Calls that ask at the same moment may be one value over together.
    pub fn check_pool(&self, more: usize, most: usize) -> Result<(), StateFault> {
        let used = self.pool.load(Relaxed);
        if used.saturating_add(more) > most { Err(StateFault::Full { most }) } else { Ok(()) }
    }

    /// A shelf had so many bytes and entries, and has others now.
    pub fn replace(&self, (old_bytes, old_entries): (usize, usize), (bytes, entries): (usize, usize)) {
        if bytes >= old_bytes {
            self.pool.fetch_add(bytes - old_bytes, Relaxed);
        } else {
            self.pool.fetch_sub(old_bytes - bytes, Relaxed);
        }
        self.bytes.inc_by(signed(bytes) - signed(old_bytes));
        self.entries.inc_by(signed(entries) - signed(old_entries));
        self.owners.inc_by(i64::from(entries > 0) - i64::from(old_entries > 0));
    }

    fn usage(&self) -> ScopeUsage {
        let number = |gauge: &Gauge| u64::try_from(gauge.get()).unwrap_or_default();
        ScopeUsage { bytes: number(&self.bytes), entries: number(&self.entries), owners: number(&self.owners) }
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// One line for the auditors, as every change by an operator has.
pub(crate) fn audit_forgotten(forgotten: &StateForgotten, order: &Order) {
    tracing::info!(
        target: "switchboard::audit",
        event = "state_forgotten",
        by = order.by,
        why = order.why,
        plugin = forgotten.plugin,
        scope = forgotten.scope.map(StateScope::as_str),
        bytes = forgotten.bytes,
        entries = forgotten.entries,
        "what a plugin remembered was dropped"
    );
}
