//! One attempt to bring a plugin to traffic: which artefacts to try with which config, in which order,
//! and what came of it.
//!
//! The newest artefact comes first. If it fails, and config has changed, what served before is built
//! again with the new config, and at last with the new limits and grants but the old settings: an
//! operator who lowers a limit is not to be ignored because of a typing error somewhere else.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{
    artifact::{Captured, Compiled, Validated},
    instances::ready::FirstInstance,
    loader::Loader,
    rollout::store::VersionStore,
    status::{LoadFailure, Stage},
    validate::validate,
    version::PluginVersion,
};
use crate::config::PluginConfig;

/// An artefact that served, and the config that it served with.
#[derive(Clone)]
pub(crate) struct Good {
    pub compiled: Arc<Compiled>,
    pub config: PluginConfig,
}

impl Good {
    pub fn differs(&self, other: &Self) -> bool {
        self.compiled.digest != other.compiled.digest
    }
}

/// An artefact, as far as it has come.
#[derive(Clone)]
pub(crate) enum Newest {
    /// In the version store.
    Stored {
        name: Arc<str>,
        digest: String,
    },
    Validated(Validated),
    Compiled(Arc<Compiled>),
}

impl Newest {
    pub fn digest(&self) -> &str {
        match self {
            Self::Stored { digest, .. } => digest,
            Self::Validated(validated) => &validated.captured.digest,
            Self::Compiled(compiled) => &compiled.digest,
        }
    }
}

/// What to do.
pub(crate) struct Job {
    pub newest: Option<Newest>,
    /// What served last, if it may have to be built again.
    pub good: Option<Good>,
    /// If neither can serve: what was meant to serve before, or what there is instead of it.
    pub fallback: Option<Newest>,
    pub wanted: PluginConfig,
    /// The version whose sessions the new one would take over.
    pub serving: Option<Arc<PluginVersion>>,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The newest artefact, if it compiled.
    pub compiled: Option<Arc<Compiled>>,
    pub ready: Option<Ready>,
    /// Why it is not the newest artefact with the wanted config that is ready.
    pub failure: Option<LoadFailure>,
    /// Why an artefact could not be kept for later.
    pub not_kept: Option<String>,
}

/// A version, and what it was made of.
pub(crate) struct Ready {
    pub version: Arc<PluginVersion>,
    pub made_of: Good,
    /// Of a version that is new: shows that it starts, and is there for the first call.
    pub first: Option<FirstInstance>,
}

impl Ready {
    /// From the next snapshot on, it is called.
    pub fn open(&mut self) {
        if let Some(first) = self.first.take() {
            self.version.open(first);
        }
    }

    pub fn digest(&self) -> &str {
        &self.made_of.compiled.digest
    }
}

impl Job {
    pub async fn run(self, loader: &Loader, store: &Arc<VersionStore>) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.compiled = match self.newest {
            Some(newest) => outcome.compile(newest, loader, store).await,
            None => None,
        };
        if !self.wanted.enabled {
            return outcome;
        }
        let newest = outcome.compiled.clone();
        for candidate in candidates(newest.as_ref(), self.good.as_ref(), &self.wanted) {
            if outcome.prepare(candidate, loader, self.serving.as_ref()).await {
                return outcome;
            }
        }
        if let Some(fallback) = self.fallback
            && let Some(compiled) = outcome.compile(fallback, loader, store).await
        {
            outcome.prepare(Good { compiled, config: self.wanted }, loader, self.serving.as_ref()).await;
        }
        outcome
    }
}

impl Outcome {
    /// The first fault is about what the operator wants; the others follow from it.
    fn fails(&mut self, fault: LoadFailure) {
        self.failure.get_or_insert(fault);
    }

    /// Also keeps what compiled, so that all that can come to traffic is in the version store before it does.
    async fn compile(&mut self, newest: Newest, loader: &Loader, store: &Arc<VersionStore>) -> Option<Arc<Compiled>> {
        let (validated, is_new) = match newest {
            Newest::Compiled(compiled) => return Some(compiled),
            Newest::Validated(validated) => (Ok(validated), true),
            Newest::Stored { name, digest } => (fetch(name, digest, store).await, false),
        };
        let compiled = match validated {
            Ok(validated) => {
                let captured = is_new.then(|| validated.captured.clone());
                loader.compile(validated).await.map(|compiled| (Arc::new(compiled), captured))
            }
            Err(failure) => Err(failure),
        };
        match compiled {
            Ok((compiled, captured)) => {
                if let Some(captured) = captured {
                    self.keep(captured, store).await;
                }
                Some(compiled)
            }
            Err(failure) => {
                self.fails(failure);
                None
            }
        }
    }

    async fn keep(&mut self, captured: Captured, store: &Arc<VersionStore>) {
        let (store, plugin) = (store.clone(), captured.name.clone());
        let kept = spawn_blocking(move || store.keep(&captured.digest, &captured.bytes)).await;
        self.not_kept = match kept {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => Some(fault.to_string()),
            Err(crash) => Some(crash.to_string()),
        };
        tracing::warn!(%plugin, fault = self.not_kept, "a version cannot be kept: it cannot be rolled back to");
    }

    async fn prepare(&mut self, candidate: Good, loader: &Loader, serving: Option<&Arc<PluginVersion>>) -> bool {
        // The same version with another config is nothing new to take over from, and what it takes away is not to
        // hang on a guest that refuses its own export.
        let serving = serving.filter(|serving| serving.digest != candidate.compiled.digest);
        match loader.ready(&candidate.compiled, &candidate.config, serving).await {
            Ok((version, first)) => self.ready = Some(Ready { version, made_of: candidate, first: Some(first) }),
            Err(fault) => self.fails(fault),
        }
        self.ready.is_some()
    }
}

async fn fetch(name: Arc<str>, digest: String, store: &Arc<VersionStore>) -> Result<Validated, LoadFailure> {
    let store = store.clone();
    let fetched = spawn_blocking(move || {
        let bytes = store.read(&digest).map_err(|fault| LoadFailure::new(Stage::Capture, fault))?;
        validate(Captured::new(name, bytes)).map_err(|fault| LoadFailure::new(Stage::Validate, fault))
    });
    fetched.await.unwrap_or_else(|crash| Err(LoadFailure::new(Stage::Capture, crash)))
}

fn candidates(newest: Option<&Arc<Compiled>>, good: Option<&Good>, wanted: &PluginConfig) -> Vec<Good> {
    let mut candidates: Vec<Good> = Vec::new();
    let mut add = |compiled: &Arc<Compiled>, config: PluginConfig| {
        let again = |other: &Good| other.compiled.digest == compiled.digest && other.config == config;
        if !candidates.iter().any(again) {
            candidates.push(Good { compiled: compiled.clone(), config });
        }
    };
    if let Some(newest) = newest {
        add(newest, wanted.clone());
    }
    if let Some(good) = good {
        add(&good.compiled, wanted.clone());
        add(&good.compiled, PluginConfig { settings: good.config.settings.clone(), ..wanted.clone() });
    }
    candidates
}
