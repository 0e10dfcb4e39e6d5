//! New versions of handlers while everybody uses them.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::{
    component::Versions,
    host::{Host, Setup},
    load::Builds,
    tally::Tally,
};

/// Those that are replaced, one after the other.
const REPLACED: [&str; 3] = ["echo-message", "echo-session", "echo-shared"];

/// From a replacement to the first answer of it; it is a failure that takes longer.
pub const LIMIT: Duration = Duration::from_secs(10);

/// How often the first answer is looked for.
const LOOK: Duration = Duration::from_millis(1);

pub struct Replacements<'a> {
    host: &'a Host,
    builds: &'a Builds,
    versions: Vec<(&'static str, Versions)>,
    build: u64,
    pub failed: u64,
    /// From the rename to the first answer.
    pub took: Tally,
}

impl<'a> Replacements<'a> {
    pub fn new(setup: &Setup, host: &'a Host, builds: &'a Builds) -> anyhow::Result<Self> {
        let versions = |name: &'static str| Ok((name, Versions::of(&setup.component(name))?));
        let versions = REPLACED.into_iter().map(versions).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { host, builds, versions, build: 0, failed: 0, took: Tally::default() })
    }

    /// Puts the next version in place, which was never there, and waits for its first answer.
    pub fn next(&mut self, ended: &AtomicBool) -> anyhow::Result<()> {
        self.build += 1;
        let index = usize::try_from(self.build)? % self.versions.len();
        let (name, versions) = &mut self.versions[index];
        let moment = self.host.install(name, versions.build(self.build))?;
        while !ended.load(Relaxed) && moment.elapsed() < LIMIT {
            if let Some(heard) = self.builds.heard_at(self.build) {
                self.took.took(heard.saturating_duration_since(moment));
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        self.failed += 1;
        Ok(())
    }
}
