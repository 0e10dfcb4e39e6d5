//! The versions of a plugin that serve beside the active one: the canary, and those that sessions were
//! pinned to by hand.
//!
//! Decides, but does nothing, like the record that it is a part of. A version stays as long as
//! somebody needs it; what is handed back is to be retired.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Instant,
};

use super::super::{
    job::{Good, Job, Newest, Outcome, Ready},
    status::LoadFailure,
    tightened::{out_of_service, tightened},
    version::PluginVersion,
};
use crate::config::PluginConfig;

#[derive(Default)]
pub(crate) struct Beside {
    /// By digest.
    others: BTreeMap<String, Other>,
    /// Sessions, with the digests of their versions. In memory alone: who pins a session looks at it now.
    pins: BTreeMap<Arc<str>, String>,
}

struct Other {
    newest: Newest,
    good: Option<Good>,
    serving: Option<Arc<PluginVersion>>,
    /// When it first served here.
    since: Option<Instant>,
    problem: Option<LoadFailure>,
    /// What was last tried.
    attempted: Option<PluginConfig>,
    busy: bool,
}

impl Other {
    fn new(newest: Newest) -> Self {
        Self { newest, good: None, serving: None, since: None, problem: None, attempted: None, busy: false }
    }
}

impl Beside {
    pub fn serving(&self, digest: &str) -> Option<&Arc<PluginVersion>> {
        self.others.get(digest)?.serving.as_ref()
    }

    pub fn versions(&self) -> impl Iterator<Item = &Arc<PluginVersion>> {
        self.others.values().filter_map(|other| other.serving.as_ref())
    }

    /// When a version began to serve beside the active one.
    pub fn since(&self, digest: &str) -> Option<Instant> {
        self.others.get(digest)?.since
    }

    /// Why a version does not serve.
    pub fn problem(&self, digest: &str) -> Option<&LoadFailure> {
        self.others.get(digest)?.problem.as_ref()
    }

    /// A version that serves, with what it was made of.
    pub fn ready(&self, digest: &str) -> Option<Ready> {
        let other = self.others.get(digest)?;
        Some(Ready { version: other.serving.clone()?, made_of: other.good.clone()?, first: None })
    }

    pub fn pins(&self) -> impl Iterator<Item = (&Arc<str>, &String)> {
        self.pins.iter()
    }

    pub fn pin(&mut self, session: &str, digest: &str) {
        self.pins.insert(session.into(), digest.to_owned());
    }

    /// The version that the session had.
    pub fn unpin(&mut self, session: &str) -> Option<String> {
        self.pins.remove(session)
    }

    /// A version that is meant to serve, but has not come to it yet, because the host has just started.
    pub fn want(&mut self, name: &Arc<str>, digest: &str) {
        let stored = || Other::new(Newest::Stored { name: name.clone(), digest: digest.to_owned() });
        self.others.entry(digest.to_owned()).or_insert_with(stored);
    }

    /// A version serves from now on.
    pub fn put(&mut self, mut ready: Ready) -> Option<Arc<PluginVersion>> {
        ready.open();
        let newest = Newest::Compiled(ready.made_of.compiled.clone());
        let other = self.others.entry(ready.digest().to_owned()).or_insert_with(|| Other::new(newest));
        other.problem = None;
        other.since.get_or_insert_with(Instant::now);
        other.attempted = Some(ready.made_of.config.clone());
        other.good = Some(ready.made_of);
        let old = other.serving.replace(ready.version);
        old.filter(|old| other.serving.as_ref().is_none_or(|new| !Arc::ptr_eq(old, new)))
    }

    /// The version goes elsewhere.
    pub fn take(&mut self, digest: &str) -> Option<Arc<PluginVersion>> {
        self.others.remove(digest)?.serving
    }

    /// Hands back the versions that nobody needs beside the active one any more.
    pub fn settle(&mut self, active: Option<&str>, canary: Option<&str>) -> Vec<Arc<PluginVersion>> {
        let pinned: HashSet<&str> = self.pins.values().map(String::as_str).collect();
        let is_needed = |digest: &str| Some(digest) != active && (Some(digest) == canary || pinned.contains(digest));
        self.others.extract_if(.., |digest, _| !is_needed(digest)).filter_map(|(_, other)| other.serving).collect()
    }

    /// None of them serves while the plugin is switched off.
    pub fn switched_off(&mut self) -> Vec<Arc<PluginVersion>> {
        let off = |other: &mut Other| {
            other.attempted = None;
            other.serving.take()
        };
        self.others.values_mut().filter_map(off).collect()
    }

    /// The plugin is gone, and the pins with it.
    pub fn clear(&mut self) -> Vec<Arc<PluginVersion>> {
        self.pins.clear();
        std::mem::take(&mut self.others).into_values().filter_map(|other| other.serving).collect()
    }

    /// What is missing of what is wanted.
    pub fn wishes(&mut self, wanted: &PluginConfig) -> Vec<(String, Job)> {
        let mut wishes = Vec::new();
        for (digest, other) in &mut self.others {
            let built = other.serving.is_some() && other.good.as_ref().is_some_and(|good| good.config == *wanted);
            if other.busy || built || other.attempted.as_ref() == Some(wanted) {
                continue;
            }
            other.busy = true;
            other.attempted = Some(wanted.clone());
            let (newest, good) = (Some(other.newest.clone()), other.good.clone());
            wishes.push((digest.clone(), Job { newest, good, fallback: None, wanted: wanted.clone(), serving: None }));
        }
        wishes
    }

    /// A job has ended. Without a version that fits the wanted config, the one that serves goes on with
    /// what it has, unless some of that was taken away.
    pub fn finished(&mut self, digest: &str, outcome: Outcome, wanted: &PluginConfig) -> Option<Arc<PluginVersion>> {
        let Some(other) = self.others.get_mut(digest) else {
            return outcome.ready.map(|ready| ready.version);
        };
        other.busy = false;
        if let Some(compiled) = outcome.compiled {
            other.newest = Newest::Compiled(compiled);
        }
        if !wanted.enabled {
            return outcome.ready.map(|ready| ready.version);
        }
        if let Some(ready) = outcome.ready {
            let attempted = other.attempted.clone();
            let old = self.put(ready);
            if let Some(other) = self.others.get_mut(digest) {
                (other.attempted, other.problem) = (attempted, outcome.failure);
            }
            return old;
        }
        other.problem = outcome.failure;
        let tried = other.attempted.as_ref() == Some(wanted);
        // What was changed meanwhile is tried next.
        let served = other.good.as_ref().filter(|_| other.serving.is_some() && tried);
        let taken = served.map(|good| tightened(good, wanted)).unwrap_or_default();
        if taken.is_empty() {
            return None;
        }
        other.problem = other.problem.take().map(|problem| out_of_service(problem, &taken));
        other.serving.take()
    }
}
