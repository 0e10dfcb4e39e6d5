//! Stand-in.
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{Config, check::Checked};

#[derive(Clone)]
pub(crate) struct LiveConfig {
    current: Arc<ArcSwap<Config>>,
    generation: Arc<watch::Sender<u64>>,
}

impl LiveConfig {
    pub fn new(config: Config) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(config)), generation: Arc::new(watch::channel(0).0) }
    }
    pub fn from_checked(checked: Checked) -> Self {
        Self::new(checked.config)
    }
    pub fn load(&self) -> Arc<Config> {
        self.current.load_full()
    }
    pub fn publish(&self, config: Config) {
        self.current.store(Arc::new(config));
        self.generation.send_modify(|generation| *generation += 1);
    }
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }
}
