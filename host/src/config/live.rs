//! The configuration as a running host shares it: an immutable snapshot, replaced as a whole.
//!
//! Whoever needs several settings for one piece of work loads once and keeps what it got.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{Config, check::Checked, effective::Effective};

/// A handle on the current snapshot; clones share it.
#[derive(Clone)]
pub(crate) struct LiveConfig {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<Config>,
    effective: ArcSwap<Vec<Effective>>,
    generation: watch::Sender<u64>,
}

impl LiveConfig {
    /// Without an account of where the values came from.
    pub fn new(config: Config) -> Self {
        Self::build(config, Vec::new())
    }

    pub fn from_checked(checked: Checked) -> Self {
        Self::build(checked.config, checked.effective)
    }

    fn build(config: Config, effective: Vec<Effective>) -> Self {
        let shared = Shared {
            current: ArcSwap::from_pointee(config),
            effective: ArcSwap::from_pointee(effective),
            generation: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The current snapshot.
    pub fn load(&self) -> Arc<Config> {
        self.shared.current.load_full()
    }

    /// Every setting in force, with its origin.
    pub fn effective(&self) -> Arc<Vec<Effective>> {
        self.shared.effective.load_full()
    }

    /// Replaces the snapshot, then tells those who wait.
    pub fn publish(&self, config: Config) {
        self.shared.current.store(Arc::new(config));
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    /// Replaces the account as well, and tells those who wait only if a value changed.
    pub fn publish_checked(&self, checked: Checked) {
        self.shared.effective.store(Arc::new(checked.effective));
        if *self.load() != checked.config {
            self.publish(checked.config);
        }
    }

    /// Changes whenever the snapshot does. Load after each change: what counts is the newest.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.generation.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_in_flight_keeps_the_snapshot_that_it_started_with() {
        let live = LiveConfig::new(Config::for_tests("data"));
        let mut changes = live.subscribe();
        let before = live.load();
        let mut next = (*before).clone();
        next.limits.max_in_flight = 7;
        live.clone().publish(next);
        changes.changed().await.unwrap();
        assert_eq!(*changes.borrow(), 1);
        assert_eq!(live.load().limits.max_in_flight, 7);
        assert_ne!(before.limits.max_in_flight, 7);
    }
}
