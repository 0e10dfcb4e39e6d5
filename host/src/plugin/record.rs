//! What is known of one plugin, and what follows from it.
//!
//! Decides, but does nothing: the supervisor starts jobs and retires versions.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{
    artifact::{Compiled, Validated},
    job::{Good, Job, Newest, Ready},
    manifest::Manifest,
    registry::{Canary, Member, Service, Serving},
    rollout::{beside::Beside, lineage::Lineage},
    status::{CanaryStatus, LoadFailure, PluginStatus, State},
    version::PluginVersion,
};
use crate::config::PluginConfig;

pub(crate) struct Record {
    pub name: Arc<str>,
    /// Earlier ones have precedence.
    pub order: u64,
    pub source: PathBuf,
    /// Whether its file is there, or it needs none.
    pub present: bool,
    /// Whether its file is there, whatever it holds.
    pub has_file: bool,
    /// What is meant to serve whom, across restarts.
    pub lineage: Lineage,
    /// Digest of what its file holds, if that can be a plugin.
    pub file: Option<String>,
    /// What is to be active, unless it is a file that cannot be a plugin.
    pub newest: Option<Newest>,
    /// What was active last.
    pub good: Option<Good>,
    /// The active version.
    pub serving: Option<Arc<PluginVersion>>,
    pub beside: Beside,
    /// When the active version took over from another, if it was not by rolling back.
    pub took_over: Option<Instant>,
    pub failure: Option<LoadFailure>,
    /// Whether the next snapshot differs because of it.
    pub changed: bool,
    /// What else could be active, until something has been.
    fallback: Option<Newest>,
    /// What was last tried: an artefact's digest, with a config.
    attempted: Option<(Option<String>, PluginConfig)>,
    busy: bool,
    /// Whether what comes of the job that is under way counts for nothing: the file was deleted since, or another
    /// version was chosen.
    stale: bool,
    off: bool,
    since: SystemTime,
}

/// What a file means that holds something new.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// What it holds is to serve.
    Deployment,
    /// It is as it was at the last operation; what was decided then goes on.
    AsBefore,
    /// It holds what is active. A trial of something else is over.
    Back,
}

/// What is missing.
pub(crate) enum Wish {
    Nothing,
    Start(Job),
    /// To be unloaded. If its types are not known yet, with a job that learns them.
    SwitchOff {
        learn: Option<Job>,
    },
}

impl Record {
    pub fn new(name: Arc<str>, order: u64, lineage: Lineage) -> Self {
        Self {
            name,
            order,
            source: PathBuf::new(),
            present: false,
            has_file: false,
            lineage,
            file: None,
            newest: None,
            good: None,
            serving: None,
            beside: Beside::default(),
            took_over: None,
            failure: None,
            changed: true,
            fallback: None,
            attempted: None,
            busy: false,
            stale: false,
            off: false,
            since: SystemTime::now(),
        }
    }

    /// It needs no file: it was deployed without one. Whether it was.
    pub fn revived(&mut self) -> bool {
        let Some(active) = self.lineage.active().filter(|_| self.lineage.file.is_none()) else { return false };
        self.newest = Some(Newest::Stored { name: self.name.clone(), digest: active.to_owned() });
        self.present = true;
        true
    }

    /// Its file holds something new.
    pub fn arrived(
        &mut self,
        source: PathBuf,
        content: Result<Validated, LoadFailure>,
    ) -> Result<Arrival, LoadFailure> {
        self.source = source;
        (self.present, self.has_file) = (true, true);
        self.changed = true;
        self.file = content.as_ref().ok().map(|validated| validated.captured.digest.clone());
        let active = self.lineage.active().map(str::to_owned);
        let stored = |digest: &String| Newest::Stored { name: self.name.clone(), digest: digest.clone() };
        let validated = match content {
            Ok(validated) => validated,
            Err(failure) => {
                self.newest = None;
                self.fallback = active.as_ref().filter(|_| self.good.is_none()).map(stored);
                return Err(failure);
            }
        };
        match active {
            Some(active) if active == validated.captured.digest => {
                let back = self.lineage.file.replace(active) != self.file;
                self.newest = Some(self.known(Newest::Validated(validated)));
                Ok(if back { Arrival::Back } else { Arrival::AsBefore })
            }
            Some(active) if self.lineage.file == self.file => {
                self.newest = Some(self.known(stored(&active)));
                self.fallback = self.good.is_none().then_some(Newest::Validated(validated));
                Ok(Arrival::AsBefore)
            }
            active => {
                self.fallback = active.as_ref().filter(|_| self.good.is_none()).map(stored);
                self.newest = Some(self.known(Newest::Validated(validated)));
                Ok(Arrival::Deployment)
            }
        }
    }

    /// What was compiled before is not compiled again.
    fn known(&self, newest: Newest) -> Newest {
        match &self.good {
            Some(good) if good.compiled.digest == newest.digest() => Newest::Compiled(good.compiled.clone()),
            _ => newest,
        }
    }

    /// Its file is gone. Returns what has to be retired.
    pub fn removed(&mut self) -> Vec<Arc<PluginVersion>> {
        (self.present, self.has_file) = (false, false);
        self.stale = self.busy;
        self.lineage.removed();
        self.file = None;
        self.newest = None;
        self.good = None;
        self.fallback = None;
        self.failure = None;
        self.attempted = None;
        self.took_over = None;
        let mut retired = self.beside.clear();
        retired.extend(self.taken_out());
        retired
    }

    pub fn switched_off(&mut self) -> Vec<Arc<PluginVersion>> {
        self.off = true;
        let mut retired = self.beside.switched_off();
        retired.extend(self.taken_out());
        retired
    }

    pub fn taken_out(&mut self) -> Option<Arc<PluginVersion>> {
        self.changed = true;
        self.since = SystemTime::now();
        self.serving.take()
    }

    /// What follows from what it is and what the operator wants.
    pub fn wish(&mut self, wanted: &PluginConfig) -> Wish {
        if !self.present {
            return Wish::Nothing;
        }
        if !wanted.enabled {
            return self.wish_off(wanted);
        }
        if self.busy {
            // When the job that is under way ends, this is asked again.
            return Wish::Nothing;
        }
        self.changed |= std::mem::take(&mut self.off);
        let digest = self.newest.as_ref().map(|newest| newest.digest().to_owned());
        let attempt = (digest, wanted.clone());
        if self.attempted.as_ref() == Some(&attempt) {
            return Wish::Nothing;
        }
        self.attempted = Some(attempt);
        if self.serves_already(wanted) {
            self.changed |= self.failure.take().is_some();
            return Wish::Nothing;
        }
        // What serves as it is wanted is not built again; what does not serve may have to be.
        let good = self.good.clone().filter(|good| self.serving.is_none() || good.config != *wanted);
        let fallback = self.fallback.clone().filter(|_| self.good.is_none());
        if self.newest.is_none() && good.is_none() && fallback.is_none() {
            return Wish::Nothing;
        }
        self.busy = true;
        Wish::Start(Job {
            newest: self.newest.clone(),
            good,
            fallback,
            wanted: wanted.clone(),
            serving: self.serving.clone(),
        })
    }

    /// What serves with another config, built again without what is newer: that may not serve, whatever the config.
    pub fn wish_again(&mut self, refused: &str, wanted: &PluginConfig) -> Option<Job> {
        let newest = self.newest.as_ref().map(Newest::digest);
        let older = [self.good.as_ref().map(|good| &*good.compiled.digest), self.fallback.as_ref().map(Newest::digest)];
        if newest != Some(refused) || older.contains(&Some(refused)) {
            return None;
        }
        let good = self.good.clone().filter(|good| self.serving.is_none() || good.config != *wanted);
        let newest = self.fallback.clone().filter(|_| self.good.is_none());
        if good.is_none() && newest.is_none() {
            return None;
        }
        self.busy = true;
        Some(Job { newest, good, fallback: None, wanted: wanted.clone(), serving: None })
    }

    /// Whether it was this config that was tried last.
    pub fn has_tried(&self, wanted: &PluginConfig) -> bool {
        self.attempted.as_ref().is_some_and(|(_, tried)| tried == wanted)
    }

    fn wish_off(&mut self, wanted: &PluginConfig) -> Wish {
        let learn = self.learn(wanted);
        let was_off = std::mem::replace(&mut self.off, true);
        match learn {
            Some(job) if was_off => Wish::Start(job),
            None if was_off => Wish::Nothing,
            learn => Wish::SwitchOff { learn },
        }
    }

    /// A job that only reads the manifest, so that the types of a plugin that is off are known.
    fn learn(&mut self, wanted: &PluginConfig) -> Option<Job> {
        let Some(newest @ (Newest::Validated(_) | Newest::Stored { .. })) = &self.newest else {
            self.attempted = None;
            return None;
        };
        let attempt = (Some(newest.digest().to_owned()), wanted.clone());
        if self.busy || self.attempted.as_ref() == Some(&attempt) {
            return None;
        }
        self.attempted = Some(attempt);
        self.busy = true;
        Some(Job { newest: self.newest.clone(), good: None, fallback: None, wanted: wanted.clone(), serving: None })
    }

    fn serves_already(&self, wanted: &PluginConfig) -> bool {
        let newest = self.newest.as_ref().map(Newest::digest);
        let good = self.good.as_ref().filter(|good| good.config == *wanted).map(|good| good.compiled.digest.as_str());
        self.serving.is_some() && newest.is_some() && newest == good
    }

    /// A job has ended. Whether what it was about is still wanted, and was all the time.
    pub fn finished(&mut self, compiled: Option<Arc<Compiled>>) -> bool {
        self.busy = false;
        if let Some(compiled) = compiled
            && self.newest.as_ref().is_some_and(|newest| newest.digest() == compiled.digest)
        {
            self.newest = Some(Newest::Compiled(compiled));
            self.changed = true;
        }
        !std::mem::take(&mut self.stale) && self.present
    }

    /// Something else is active from the next snapshot on. Returns what has to be retired.
    pub fn serves(&mut self, mut ready: Ready) -> Vec<Arc<PluginVersion>> {
        ready.open();
        // What is wrong with a newer file stays wrong while an older artefact is built again.
        if self.newest.as_ref().is_some_and(|newest| newest.digest() == ready.digest()) {
            self.failure = None;
        }
        self.since = SystemTime::now();
        // It may have been the canary until now, or what a session was pinned to.
        let mut retired: Vec<_> = self.beside.take(ready.digest()).into_iter().collect();
        let before = self.good.replace(ready.made_of);
        match (before, self.serving.replace(ready.version)) {
            // A session may be pinned to it.
            (Some(made_of), Some(version)) if self.good.as_ref().is_some_and(|good| made_of.differs(good)) => {
                retired.extend(self.beside.put(Ready { version, made_of, first: None }));
            }
            (_, before) => retired.extend(before),
        }
        retired.extend(self.settle());
        retired.retain(|version| self.serving.as_ref().is_none_or(|serving| !Arc::ptr_eq(serving, version)));
        retired
    }

    /// The digest of what its file holds, if that is to serve and neither does yet nor is known to be unfit.
    pub fn awaited(&self) -> Option<&str> {
        let file = self.file.as_deref().filter(|_| self.busy || self.off)?;
        let is_newest = self.newest.as_ref().is_some_and(|newest| newest.digest() == file);
        (is_newest && self.lineage.active() != Some(file)).then_some(file)
    }

    /// Something is to be active. Unless it supersedes what is on its way, that goes on: from the beginning, for
    /// it was held against what served before.
    pub fn chosen(&mut self, ready: Ready, supersedes: bool) -> Vec<Arc<PluginVersion>> {
        self.present = true;
        self.stale = self.busy;
        if supersedes || self.awaited().is_none() {
            self.is_newest(ready.made_of.clone());
        } else {
            self.attempted = None;
        }
        if self.off {
            self.changed = true;
            self.attempted = None;
            self.good = Some(ready.made_of);
            return vec![ready.version];
        }
        self.serves(ready)
    }

    /// This is what has to be kept up with the config.
    fn is_newest(&mut self, made_of: Good) {
        self.failure = None;
        self.attempted = Some((Some(made_of.compiled.digest.clone()), made_of.config));
        self.newest = Some(Newest::Compiled(made_of.compiled));
    }

    /// A version serves a share of users from the next snapshot on, beside the active one.
    pub fn tries(&mut self, ready: Ready) -> Vec<Arc<PluginVersion>> {
        self.stale = self.busy;
        if let Some(good) = self.good.clone() {
            self.is_newest(good);
        }
        let mut retired: Vec<_> = self.beside.put(ready).into_iter().collect();
        retired.extend(self.settle());
        retired
    }

    /// Lets go of the versions that nobody needs any more.
    pub fn settle(&mut self) -> Vec<Arc<PluginVersion>> {
        self.changed = true;
        let active = self.good.as_ref().map(|good| good.compiled.digest.as_str());
        self.beside.settle(active, self.lineage.canary.as_ref().map(|trial| trial.digest.as_str()))
    }

    /// A version that serves already.
    pub fn ready(&self, digest: &str) -> Option<Ready> {
        match (&self.serving, &self.good) {
            (Some(version), Some(good)) if good.compiled.digest == digest => {
                Some(Ready { version: version.clone(), made_of: good.clone(), first: None })
            }
            _ => self.beside.ready(digest),
        }
    }

    pub fn failed(&mut self, failure: LoadFailure) {
        self.changed = true;
        self.failure = Some(failure);
    }

    /// Whether a job is under way that may make it serve.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// The digest of what was last tried, if it was more than to build the old again.
    pub fn tried(&self) -> Option<&str> {
        self.attempted.as_ref()?.0.as_deref()
    }

    /// Makes the next wish start over.
    pub fn try_again(&mut self) {
        if !self.busy {
            self.attempted = None;
        }
    }

    /// The newest manifest that could be read.
    fn manifest(&self) -> Option<&Manifest> {
        match (&self.newest, &self.good) {
            (Some(Newest::Compiled(compiled)), _) => Some(&compiled.manifest),
            (_, Some(good)) => Some(&good.compiled.manifest),
            _ => None,
        }
    }

    /// Every version that serves somebody.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<PluginVersion>> {
        self.serving.iter().chain(self.beside.versions())
    }

    /// Its part of a snapshot.
    pub fn member(&self) -> Option<Member> {
        let name = self.name.clone();
        if let Some(active) = &self.serving {
            let service = Service::Serving(Serving { active: active.clone(), canary: self.canary() });
            return Some(Member { name, service, pins: self.pins() });
        }
        let handles = self.manifest().filter(|_| self.present)?.handles.clone();
        let service = match &self.failure {
            _ if self.off => Service::Disabled { handles },
            Some(failure) => Service::Unavailable { handles, reason: failure.to_string().into() },
            None => Service::Unavailable { handles, reason: "it is being loaded".into() },
        };
        Some(Member { name, service, pins: self.pins() })
    }

    /// The canary, if it serves.
    pub fn canary(&self) -> Option<Canary> {
        let trial = self.lineage.canary.as_ref()?;
        Some(Canary { version: self.beside.serving(&trial.digest)?.clone(), percent: trial.percent })
    }

    fn pins(&self) -> Vec<(Arc<str>, Arc<PluginVersion>)> {
        let pinned = |(session, digest): (&Arc<str>, &String)| Some((session.clone(), self.ready(digest)?.version));
        self.beside.pins().filter_map(pinned).collect()
    }

    fn state(&self) -> State {
        match &self.serving {
            _ if !self.present => State::Removed,
            Some(_) => State::Serving,
            None if self.off => State::Disabled,
            None if self.failure.is_none() => State::Loading,
            None => State::Failed,
        }
    }

    /// What operators see of it.
    pub fn status(&self) -> PluginStatus {
        let manifest = self.serving.as_ref().map(|version| &version.manifest).or_else(|| self.manifest());
        PluginStatus {
            name: self.name.to_string(),
            state: self.state(),
            version: self.serving.as_ref().map(|version| version.version.to_string()),
            digest: self.serving.as_ref().map(|version| version.digest.clone()),
            description: manifest.and_then(|manifest| manifest.description.clone()),
            types: manifest.iter().flat_map(|m| &m.handles).map(|handled| handled.pattern.to_string()).collect(),
            isolation: self.serving.as_ref().map(|version| version.isolation.as_str()),
            since: switchboard_protocol::unix_seconds(self.since),
            last_error: self.failure.clone(),
            disabled_by_operator: self.lineage.disabled,
            canary: self.lineage.canary.as_ref().map(|trial| CanaryStatus {
                digest: trial.digest.clone(),
                version: self.lineage.version(&trial.digest).map(|known| known.version.clone()).unwrap_or_default(),
                percent: trial.percent,
                since: trial.since,
                serving: self.canary().is_some(),
                last_error: self.beside.problem(&trial.digest).cloned(),
            }),
            source: self.source.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_about_a_file_that_was_deleted_meanwhile_counts_for_nothing_even_if_there_is_another_file() {
        let mut record = Record::new("echo".into(), 0, Lineage::default());
        (record.present, record.busy) = (true, true);
        record.removed();
        record.present = true;
        assert!(!record.finished(None));
        record.busy = true;
        assert!(record.finished(None), "the next one counts");
    }
}
