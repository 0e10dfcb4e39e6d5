//! One attempt to bring a plugin to traffic: which artefacts to try with which config, in which order,
//! and what came of it.
//!
//! The newest artefact comes first. If it fails, and config has changed, what served before is built
//! again with the new config, and at last with the new limits and grants but the old settings: an
//! operator who lowers a limit is not to be ignored because of a typing error somewhere else.

use std::sync::Arc;

use super::{
    artifact::{Compiled, Validated},
    instances::ready::FirstInstance,
    loader::Loader,
    status::LoadFailure,
    version::PluginVersion,
};
use crate::config::PluginConfig;

/// An artefact that served, and the config that it served with.
#[derive(Clone)]
pub(crate) struct Good {
    pub compiled: Arc<Compiled>,
    pub config: PluginConfig,
}

/// The newest artefact, as far as it has come.
#[derive(Clone)]
pub(crate) enum Newest {
    Validated(Validated),
    Compiled(Arc<Compiled>),
}

impl Newest {
    pub fn digest(&self) -> &str {
        match self {
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
    pub wanted: PluginConfig,
    /// The version whose sessions the new one would take over.
    pub serving: Option<Arc<PluginVersion>>,
}

/// What came of it.
pub(crate) struct Outcome {
    /// The newest artefact, if it compiled.
    pub compiled: Option<Arc<Compiled>>,
    pub ready: Option<Ready>,
    /// Why it is not the newest artefact with the wanted config that is ready.
    pub failure: Option<LoadFailure>,
}

/// A version, and what it was made of.
pub(crate) struct Ready {
    pub version: Arc<PluginVersion>,
    pub made_of: Good,
    /// Shows that it starts, and is there for the first call.
    pub first: FirstInstance,
}

impl Job {
    pub async fn run(self, loader: &Loader) -> Outcome {
        let compiled = match self.newest.clone() {
            Some(Newest::Validated(validated)) => Some(loader.compile(validated).await.map(Arc::new)),
            Some(Newest::Compiled(compiled)) => Some(Ok(compiled)),
            None => None,
        };
        let (compiled, mut failure) = match compiled {
            Some(Ok(compiled)) => (Some(compiled), None),
            Some(Err(failure)) => (None, Some(failure)),
            None => (None, None),
        };
        if self.wanted.enabled {
            for candidate in candidates(compiled.as_ref(), self.good.as_ref(), &self.wanted) {
                match loader.ready(&candidate.compiled, &candidate.config, self.serving.as_ref()).await {
                    Ok((version, first)) => {
                        let ready = Ready { version, made_of: candidate, first };
                        return Outcome { compiled, ready: Some(ready), failure };
                    }
                    // The first one is about what the operator wants; the others follow from it.
                    Err(fault) => _ = failure.get_or_insert(fault),
                }
            }
        }
        Outcome { compiled, ready: None, failure }
    }
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
