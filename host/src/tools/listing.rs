//! What one version of a plugin offers: asked once for each kind, checked, and kept as long as it serves or until
//! the plugin says that it has changed.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::task::TaskTracker;

use super::{
    entry::{self, Entry},
    same,
};
use crate::plugin::{PluginVersion, detached, effects::CallContext, failure::CallFailure, offers::Kind};

/// After a list could not be had for the first time, until it is asked for again. It doubles with each time that it
/// cannot be had, because those who want any list wait for it.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// And at most.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// For a deadline that the clock cannot express.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The entries of one version, in its order.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub entries: Vec<Arc<Entry>>,
}

/// The lists of the versions that serve.
pub(super) struct Listings {
    slots: Mutex<Vec<Arc<Slot>>>,
    tasks: TaskTracker,
}

struct Slot {
    version: Weak<PluginVersion>,
    kind: Kind,
    /// Rises when the plugin says that the list has changed.
    changes: AtomicU64,
    /// Held while the version is asked, so that it is asked once.
    known: Arc<tokio::sync::Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    listing: Option<Arc<Listing>>,
    /// Of the slot, before the list was asked for.
    changes: u64,
    /// How often it could not be had, one time after the other, and when the last time was.
    in_vain: Option<(u32, Instant)>,
}

impl Listings {
    pub fn new(tasks: TaskTracker) -> Self {
        Self { slots: Mutex::default(), tasks }
    }

    /// What the version offers of a kind. The last that is known, or nothing, if it cannot be had at the moment.
    pub async fn of(&self, version: &Arc<PluginVersion>, kind: Kind, context: &CallContext) -> Option<Arc<Listing>> {
        let slot = self.slot(version, kind);
        let mut known = slot.known.clone().lock_owned().await;
        let changes = slot.changes.load(Ordering::Acquire);
        if known.is_fresh(changes) || known.is_hopeless() {
            return known.listing.clone();
        }
        // A task of its own: who waits for it may be gone before, and the next one would have to begin anew.
        let (version, chain, tasks) = (version.clone(), context.chain.clone(), self.tasks.clone());
        let asking = self.tasks.spawn(async move {
            known.take(ask(&version, kind, chain, &tasks).await, changes, &version, kind);
            known.listing.clone()
        });
        asking.await.ok().flatten()
    }

    /// The plugin's list has changed: it is asked for again when somebody wants it. Lists that are under way count
    /// as made before.
    pub fn forget(&self, plugin: &str, kind: Kind) {
        let is_meant = |slot: &&Arc<Slot>| {
            slot.kind == kind && slot.version.upgrade().is_some_and(|version| *version.name == *plugin)
        };
        for slot in self.slots().iter().filter(is_meant) {
            slot.changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// When the first of those may be asked for that could not be had.
    pub fn in_vain(&self) -> Option<Instant> {
        let serves = |slot: &&Arc<Slot>| slot.version.upgrade().is_some_and(|version| !version.is_retired());
        let when = |slot: &Arc<Slot>| match slot.known.try_lock() {
            Ok(known) => known.in_vain.map(|(times, at)| at + retry(times)),
            // It is being asked for. What comes of that, only whoever waits for it knows.
            Err(_) => Some(Instant::now()),
        };
        self.slots().iter().filter(serves).filter_map(when).min()
    }

    fn slot(&self, version: &Arc<PluginVersion>, kind: Kind) -> Arc<Slot> {
        let mut slots = self.slots();
        slots.retain(|slot| slot.version.strong_count() > 0);
        if let Some(slot) = slots.iter().find(|slot| slot.kind == kind && same(&slot.version, version)) {
            return slot.clone();
        }
        let (version, changes) = (Arc::downgrade(version), AtomicU64::default());
        let slot = Arc::new(Slot { version, kind, changes, known: Arc::default() });
        slots.push(slot.clone());
        slot
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(
    version: &Arc<PluginVersion>,
    kind: Kind,
    chain: Vec<Arc<str>>,
    tasks: &TaskTracker,
) -> Result<Listing, CallFailure> {
    let now = Instant::now();
    let mut internal = detached::context(now.checked_add(version.limits.deadline).unwrap_or(now + LONGEST));
    // Somebody waits for it within a call, and it takes a place at that depth.
    internal.chain = chain;
    let text = match kind {
        Kind::Tools => version.list_tools(internal).await,
        Kind::Resources => version.list_resources(internal).await,
        Kind::ResourceTemplates => version.list_resource_templates(internal).await,
        Kind::Prompts => version.list_prompts(internal).await,
    }?;
    // Schemas can take seconds to compile, which is too long for a thread that others wait for.
    let read = tasks.spawn_blocking(move || entry::read(kind, &text)).await;
    let entries = read
        .map_err(|fault| CallFailure::Host(format!("a list could not be read: {fault}")))?
        .map_err(CallFailure::AnswerInvalid)?;
    for problem in entries.problems {
        tracing::warn!(
            plugin = %version.name, plugin_version = %version.version, ?kind, problem,
            "something that the plugin lists is not offered"
        );
    }
    Ok(Listing { entries: entries.right })
}

impl Known {
    /// What came of asking, which began when there had been so many changes.
    fn take(&mut self, asked: Result<Listing, CallFailure>, changes: u64, version: &PluginVersion, kind: Kind) {
        match asked {
            Ok(listing) => *self = Self { listing: Some(Arc::new(listing)), changes, in_vain: None },
            Err(failure) => {
                tracing::warn!(
                    plugin = %version.name, plugin_version = %version.version, ?kind, %failure,
                    "the plugin could not list what it offers"
                );
                let times = self.in_vain.map_or(0, |(times, _)| times);
                self.in_vain = Some((times.saturating_add(1), Instant::now()));
            }
        }
    }

    fn is_fresh(&self, changes: u64) -> bool {
        self.listing.is_some() && self.changes == changes
    }

    /// Whether it was asked for in vain just now.
    fn is_hopeless(&self) -> bool {
        self.in_vain.is_some_and(|(times, at)| at.elapsed() < retry(times))
    }
}

fn retry(times: u32) -> Duration {
    RETRY_MIN.saturating_mul(1 << times.saturating_sub(1).min(6)).min(RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_cannot_list_is_asked_ever_more_seldom() {
        let seconds: Vec<u64> = [1, 2, 3, 7, 100].into_iter().map(|times| retry(times).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 60, 60]);
    }

    #[test]
    fn a_list_that_was_asked_for_before_a_change_is_asked_for_again() {
        let known = Known { listing: Some(Arc::default()), changes: 3, in_vain: None };
        assert!(known.is_fresh(3) && !known.is_fresh(4));
        assert!(!Known::default().is_fresh(0));
        let failed = Known { in_vain: Some((1, Instant::now())), ..Known::default() };
        assert!(failed.is_hopeless() && !Known::default().is_hopeless());
    }
}
