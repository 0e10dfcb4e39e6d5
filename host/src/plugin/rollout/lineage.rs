//! The versions that a plugin has had, and which of them is meant to serve whom: pure decisions.
//!
//! It says what is meant; whether that can be brought to traffic is the supervisor's business. It is what
//! outlives the process (see `book`), so a change of its fields changes `FORMAT` there.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::super::operation::{OperationError, Role, VersionSummary};

/// Digits of a digest that are enough to name a version: 32 bits among a handful of versions.
const MIN_DIGITS: usize = 8;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lineage {
    /// The operator's own switch, beside that of the config.
    pub disabled: bool,
    /// What the directory's file held when this was last changed; `None`: there was no file.
    pub file: Option<String>,
    pub canary: Option<Trial>,
    /// Digests of the versions that were active, the one that is active now at the end. Rolling back takes
    /// one off. None twice.
    trail: Vec<String>,
    /// Everything that can be rolled back to, by when it was last deployed.
    versions: Vec<Version>,
}

/// A version that a share of users has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub digest: String,
    pub percent: u32,
    /// Unix seconds.
    pub since: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub digest: String,
    /// What its manifest says.
    pub version: String,
    /// Unix seconds of its first deployment.
    pub deployed_at: f64,
    pub deployed_by: String,
    pub why: String,
}

impl Lineage {
    /// The version that is meant to serve.
    pub fn active(&self) -> Option<&str> {
        self.trail.last().map(String::as_str)
    }

    /// The version that was active before it.
    pub fn before(&self) -> Option<&str> {
        self.trail.iter().rev().nth(1).map(String::as_str)
    }

    pub fn version(&self, digest: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.digest == digest)
    }

    /// A version has come to readiness: as the canary if it is to have a share of users, else for all of them.
    pub fn deployed(&mut self, version: Version, percent: u32) {
        let (digest, now) = (version.digest.clone(), version.deployed_at);
        let known = self.versions.iter().position(|known| known.digest == digest);
        let version = known.map_or(version, |known| self.versions.remove(known));
        self.versions.push(version);
        if percent == 0 {
            self.activate(&digest);
            return;
        }
        // More users for the same version is the same trial.
        let since = self.canary.as_ref().filter(|canary| canary.digest == digest).map_or(now, |canary| canary.since);
        self.canary = Some(Trial { digest, percent, since });
    }

    /// Makes a version the newest of those that were active. A trial beside it is over.
    pub fn activate(&mut self, digest: &str) {
        self.trail.retain(|other| other != digest);
        self.trail.push(digest.to_owned());
        self.canary = None;
    }

    /// Goes back to a version. If it was active before, what came after it is not what a further step back
    /// leads to.
    pub fn roll_back(&mut self, digest: &str) {
        if let Some(position) = self.trail.iter().position(|other| other == digest) {
            self.trail.truncate(position + 1);
        }
        self.activate(digest);
    }

    /// Its file was deleted. What comes next under its name is a deployment, whatever it holds.
    pub fn removed(&mut self) {
        self.file = None;
        self.canary = None;
        self.trail.clear();
    }

    /// Forgets the oldest versions beyond so many, but for those in use: the active one, the canary, the
    /// file's and these.
    pub fn trim(&mut self, kept: usize, in_use: &HashSet<String>) {
        let mut surplus = self.versions.len().saturating_sub(kept);
        let (active, canary) = (self.active().map(str::to_owned), self.canary.as_ref().map(|trial| &trial.digest));
        self.versions.retain(|version| {
            let digest = &version.digest;
            let used = active.as_ref() == Some(digest) || canary == Some(digest) || self.file.as_ref() == Some(digest);
            let goes = surplus > 0 && !used && !in_use.contains(digest);
            surplus -= usize::from(goes);
            !goes
        });
        self.trail.retain(|digest| self.versions.iter().any(|version| version.digest == *digest));
    }

    /// Digests of all versions.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.versions.iter().map(|version| version.digest.as_str())
    }

    /// What operators see, the newest first.
    pub fn summaries(&self) -> Vec<VersionSummary> {
        let summary = |version: &Version| {
            let canary = self.canary.as_ref().filter(|canary| canary.digest == version.digest);
            let role = match canary {
                _ if self.active() == Some(&version.digest) => Role::Active,
                Some(_) => Role::Canary,
                None => Role::Kept,
            };
            VersionSummary {
                digest: version.digest.clone(),
                version: version.version.clone(),
                role,
                deployed_at: version.deployed_at,
                deployed_by: version.deployed_by.clone(),
                canary_percent: canary.map(|canary| canary.percent),
            }
        };
        self.versions.iter().rev().map(summary).collect()
    }
}

/// The version that an operator means: by its digest, the first digits of that, or the manifest's version.
pub(crate) fn find(plugin: &str, versions: &[VersionSummary], wanted: &str) -> Result<String, OperationError> {
    let digits = wanted.to_ascii_lowercase();
    let abbreviates = wanted.len() >= MIN_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = |version: &&VersionSummary| {
        version.version == wanted || abbreviates && version.digest.starts_with(digits.as_str())
    };
    let fitting: Vec<&String> = versions.iter().filter(fits).map(|version| &version.digest).collect();
    match fitting.as_slice() {
        [] => Err(OperationError::UnknownVersion { plugin: plugin.to_owned(), wanted: wanted.to_owned() }),
        [one] => Ok((*one).clone()),
        several => Err(OperationError::AmbiguousVersion {
            plugin: plugin.to_owned(),
            wanted: wanted.to_owned(),
            fitting: several.iter().map(|digest| (*digest).clone()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(digest: &str, at: f64) -> Version {
        Version {
            digest: digest.to_owned(),
            version: format!("1.0.{at}"),
            deployed_at: at,
            deployed_by: "ops".into(),
            why: String::new(),
        }
    }

    fn lineage(digests: &[&str]) -> Lineage {
        let mut lineage = Lineage::default();
        for (at, digest) in (0..).zip(digests) {
            lineage.deployed(version(digest, f64::from(at)), 0);
        }
        lineage
    }

    /// A letter for each version, the newest first; capital: active; with a percentage: the canary.
    fn shown(lineage: &Lineage) -> String {
        let show = |summary: &VersionSummary| match summary.role {
            Role::Active => summary.digest.to_uppercase(),
            Role::Canary => format!("{}{}", summary.digest, summary.canary_percent.unwrap()),
            Role::Kept => summary.digest.clone(),
        };
        lineage.summaries().iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_step_back_leads_to_what_was_active_before() {
        let mut lineage = lineage(&["a", "b", "c"]);
        assert_eq!((shown(&lineage).as_str(), lineage.before()), ("C b a", Some("b")));
        lineage.roll_back("b");
        assert_eq!((shown(&lineage).as_str(), lineage.before()), ("c B a", Some("a")));
        lineage.deployed(version("d", 4.0), 0);
        lineage.roll_back("b");
        assert_eq!((shown(&lineage).as_str(), lineage.before()), ("d c B a", Some("a")));
        lineage.roll_back("c");
        assert_eq!((shown(&lineage).as_str(), lineage.before()), ("d C b a", Some("b")), "forward again");
    }

    #[test]
    fn a_version_that_is_deployed_again_is_the_newest_and_stands_once() {
        let mut lineage = lineage(&["a", "b", "a"]);
        assert_eq!((shown(&lineage).as_str(), lineage.before()), ("A b", Some("b")));
        assert!(lineage.version("a").unwrap().deployed_at < 1.0, "its first deployment");
        lineage.removed();
        assert_eq!((shown(&lineage).as_str(), lineage.active()), ("a b", None));
    }

    #[test]
    fn a_canary_leaves_the_active_version_alone_until_it_takes_over() {
        let mut lineage = lineage(&["a"]);
        lineage.deployed(version("b", 1.0), 10);
        lineage.deployed(version("b", 2.0), 20);
        assert_eq!(shown(&lineage), "b20 A");
        assert!(lineage.canary.as_ref().is_some_and(|trial| trial.since < 2.0), "the same trial");
        lineage.deployed(version("c", 3.0), 5);
        assert_eq!(shown(&lineage), "c5 b A");
        lineage.activate("c");
        assert_eq!((shown(&lineage).as_str(), lineage.before()), ("C b a", Some("a")));
    }

    #[test]
    fn what_is_in_use_outlives_what_is_newer() {
        let mut lineage = lineage(&["a", "b", "c", "d", "e", "f"]);
        lineage.file = Some("a".into());
        lineage.roll_back("b");
        lineage.deployed(version("g", 9.0), 10);
        lineage.trim(1, &HashSet::from(["c".to_owned()]));
        assert_eq!((shown(&lineage).as_str(), lineage.before()), ("g10 c B a", Some("a")));
        lineage.trim(1, &HashSet::new());
        assert_eq!(shown(&lineage), "g10 B a");
    }

    #[test]
    fn the_oldest_of_too_many_goes_first() {
        let mut lineage = lineage(&["a", "b", "c", "d"]);
        lineage.trim(3, &HashSet::new());
        assert_eq!((shown(&lineage).as_str(), lineage.before()), ("D c b", Some("c")));
    }

    #[test]
    fn a_version_is_found_by_enough_digits_or_by_its_number() {
        let digests = ["0123456789abcdef", "0123456700000000", "fedcba9876543210"];
        let mut lineage = lineage(&digests);
        lineage.versions[2].version = "1.0.1".into();
        let found = |wanted: &str| find("p", &lineage.summaries(), wanted);
        assert_eq!(found("FEDCBA98").unwrap(), digests[2]);
        assert_eq!(found("1.0.0").unwrap(), digests[0]);
        assert_eq!(found(digests[1]).unwrap(), digests[1]);
        assert!(matches!(found("fedcba9"), Err(OperationError::UnknownVersion { .. })));
        assert!(matches!(found("2.0.0"), Err(OperationError::UnknownVersion { .. })));
        for wanted in ["01234567", "1.0.1"] {
            let several =
                matches!(found(wanted), Err(OperationError::AmbiguousVersion { fitting, .. }) if fitting.len() == 2);
            assert!(several, "{wanted}");
        }
    }
}
