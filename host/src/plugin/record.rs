//! What is known of one plugin, and what follows from it.
//!
//! Decides, but does nothing: the supervisor starts jobs and retires versions.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use super::{
    artifact::{Compiled, Validated},
    job::{Good, Job, Newest, Ready},
    manifest::Manifest,
    registry::{Member, Service},
    status::{LoadFailure, PluginStatus, State},
    version::PluginVersion,
};
use crate::config::PluginConfig;

pub(crate) struct Record {
    pub name: Arc<str>,
    /// Earlier ones have precedence.
    pub order: u64,
    pub source: PathBuf,
    /// Whether its file is there.
    pub present: bool,
    /// What its file holds, unless that cannot be a plugin.
    pub newest: Option<Newest>,
    /// What served last.
    pub good: Option<Good>,
    pub serving: Option<Arc<PluginVersion>>,
    pub failure: Option<LoadFailure>,
    /// Whether the next snapshot differs because of it.
    pub changed: bool,
    /// What was last tried: an artefact's digest, with a config.
    attempted: Option<(Option<String>, PluginConfig)>,
    busy: bool,
    /// Whether the job that is under way is about a file that has been deleted since.
    stale: bool,
    off: bool,
    since: SystemTime,
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
    pub fn new(name: Arc<str>, order: u64) -> Self {
        Self {
            name,
            order,
            source: PathBuf::new(),
            present: false,
            newest: None,
            good: None,
            serving: None,
            failure: None,
            changed: true,
            attempted: None,
            busy: false,
            stale: false,
            off: false,
            since: SystemTime::now(),
        }
    }

    /// Its file holds something new.
    pub fn arrived(&mut self, source: PathBuf, content: Result<Validated, LoadFailure>) -> Result<(), LoadFailure> {
        self.source = source;
        self.present = true;
        self.changed = true;
        match content {
            Ok(validated) => {
                self.newest = Some(self.known(validated));
                Ok(())
            }
            Err(failure) => {
                self.newest = None;
                Err(failure)
            }
        }
    }

    /// What was compiled before is not compiled again.
    fn known(&mut self, validated: Validated) -> Newest {
        match &self.good {
            Some(good) if good.compiled.digest == validated.captured.digest => Newest::Compiled(good.compiled.clone()),
            _ => Newest::Validated(validated),
        }
    }

    /// Its file is gone. Returns what has to be retired.
    pub fn removed(&mut self) -> Option<Arc<PluginVersion>> {
        self.present = false;
        self.stale = self.busy;
        self.newest = None;
        self.good = None;
        self.failure = None;
        self.attempted = None;
        self.taken_out()
    }

    pub fn switched_off(&mut self) -> Option<Arc<PluginVersion>> {
        self.off = true;
        self.taken_out()
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
        if self.newest.is_none() && good.is_none() {
            return Wish::Nothing;
        }
        self.busy = true;
        Wish::Start(Job { newest: self.newest.clone(), good, wanted: wanted.clone(), serving: self.serving.clone() })
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
        let Some(Newest::Validated(validated)) = &self.newest else {
            self.attempted = None;
            return None;
        };
        let attempt = (Some(validated.captured.digest.clone()), wanted.clone());
        if self.busy || self.attempted.as_ref() == Some(&attempt) {
            return None;
        }
        self.attempted = Some(attempt);
        self.busy = true;
        Some(Job { newest: self.newest.clone(), good: None, wanted: wanted.clone(), serving: None })
    }

    fn serves_already(&self, wanted: &PluginConfig) -> bool {
        let newest = self.newest.as_ref().map(Newest::digest);
        let good = self.good.as_ref().filter(|good| good.config == *wanted).map(|good| good.compiled.digest.as_str());
        self.serving.is_some() && newest.is_some() && newest == good
    }

    /// A job has ended. Whether its file is still there, and was all the time.
    pub fn finished(&mut self, compiled: Option<Arc<Compiled>>) -> bool {
        self.busy = false;
        if std::mem::take(&mut self.stale) || !self.present {
            return false;
        }
        if let Some(compiled) = compiled
            && self.newest.as_ref().is_some_and(|newest| newest.digest() == compiled.digest)
        {
            self.newest = Some(Newest::Compiled(compiled));
            self.changed = true;
        }
        true
    }

    /// Something else takes traffic from the next snapshot on. Returns what has to be retired.
    pub fn serves(&mut self, ready: Ready) -> Option<Arc<PluginVersion>> {
        ready.version.open(ready.first);
        self.changed = true;
        // What is wrong with a newer file stays wrong while an older artefact is built again.
        if self.newest.as_ref().is_some_and(|newest| newest.digest() == ready.made_of.compiled.digest) {
            self.failure = None;
        }
        self.good = Some(ready.made_of);
        self.since = SystemTime::now();
        self.serving.replace(ready.version)
    }

    pub fn failed(&mut self, failure: LoadFailure) {
        self.changed = true;
        self.failure = Some(failure);
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

    /// Its part of a snapshot.
    pub fn member(&self) -> Option<Member> {
        let name = self.name.clone();
        if let Some(version) = &self.serving {
            return Some(Member { name, service: Service::Serving(version.clone()) });
        }
        let handles = self.manifest().filter(|_| self.present)?.handles.clone();
        let service = match &self.failure {
            _ if self.off => Service::Disabled { handles },
            Some(failure) => Service::Unavailable { handles, reason: failure.to_string().into() },
            None => Service::Unavailable { handles, reason: "it is being loaded".into() },
        };
        Some(Member { name, service })
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
            source: self.source.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_about_a_file_that_was_deleted_meanwhile_counts_for_nothing_even_if_there_is_another_file() {
        let mut record = Record::new("echo".into(), 0);
        (record.present, record.busy) = (true, true);
        record.removed();
        record.present = true;
        assert!(!record.finished(None));
        record.busy = true;
        assert!(record.finished(None), "the next one counts");
    }
}
