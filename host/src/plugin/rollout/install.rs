//! A version that is ready takes its place: for everybody, for a share of users, or for one session.
//!
//! What is meant is on the disk before it is done, so that a restart never undoes what was answered.

use std::{collections::HashSet, sync::Arc, time::Instant};

use super::{
    super::{
        job::Ready,
        operation::{Done, OperationError},
        supervisor::Supervisor,
        version::PluginVersion,
    },
    audit::Granted,
    carry_out::done,
    command::{Goal, Ticket},
    lineage::{Lineage, Version},
};

impl Supervisor {
    pub async fn install(&mut self, name: &Arc<str>, goal: Goal, ready: Ready, mut ticket: Ticket) {
        let version = ready.version.clone();
        let granted = Granted::new(&ready.made_of);
        let superseded = self.superseded(name, &goal, &version.digest, &ticket);
        (ticket.event.digest, ticket.event.version) = (Some(version.digest.clone()), Some(version.version.to_string()));
        let answer = match self.place(name, goal, ready, &ticket).await {
            Ok(done) => {
                ticket.event.grants = Some(granted);
                ticket.event.percent = self.percent_of(name, &version.digest);
                self.tell_of(&version, ticket.began);
                if let Some(digest) = superseded {
                    self.file_is_superseded(name, digest, &ticket.event.by);
                }
                Ok(done)
            }
            Err(error) => {
                self.let_go(name, version);
                Err(error)
            }
        };
        self.archive.untidy = true;
        self.conclude(ticket, answer);
    }

    async fn place(
        &mut self,
        name: &Arc<str>,
        goal: Goal,
        ready: Ready,
        ticket: &Ticket,
    ) -> Result<Done, OperationError> {
        self.admit(&ready)?;
        let digest = ready.digest().to_owned();
        let is_deployment = matches!(goal, Goal::Deploy { .. });
        let record = self.records.get(name);
        if !is_deployment && record.is_none_or(|record| !record.present) {
            return Err(OperationError::NotNow(format!("the file of {name:?} has been deleted meanwhile")));
        }
        // What the host decided was about another version than the one that an operator or a file has brought since.
        let active = record.and_then(|record| record.lineage.active());
        if !is_deployment && ticket.is_unasked() && active != ticket.event.from_digest.as_deref() {
            return Err(OperationError::NotNow(format!("another version of {name:?} has become active meanwhile")));
        }
        let supersedes = !ticket.is_unasked();
        let retired = match goal {
            Goal::Deploy { percent } => self.place_deployment(name, percent, ready, ticket).await?,
            Goal::Promote => {
                self.change(name, supersedes, |lineage| lineage.activate(&digest)).await?;
                self.place_active(name, ready, true, supersedes)
            }
            Goal::Rollback => {
                self.change(name, supersedes, |lineage| lineage.roll_back(&digest)).await?;
                self.place_active(name, ready, false, supersedes)
            }
            Goal::Pin { session_id } => self.place_pinned(name, &session_id, ready),
        };
        self.retire(retired);
        let lineage = self.records.get(name).map(|record| record.lineage.clone()).unwrap_or_default();
        Ok(done(name, &lineage, &digest, ticket))
    }

    async fn place_deployment(
        &mut self,
        name: &Arc<str>,
        percent: u32,
        ready: Ready,
        ticket: &Ticket,
    ) -> Result<Vec<Arc<PluginVersion>>, OperationError> {
        let version = Version {
            digest: ready.digest().to_owned(),
            version: ready.version.version.to_string(),
            deployed_at: ticket.event.at,
            deployed_by: ticket.event.by.clone(),
            why: ticket.event.why.clone(),
        };
        // There is nobody to keep the others with, if nothing serves or this is what does.
        let beside = |active: &Arc<PluginVersion>| active.digest != version.digest;
        let record = self.records.get(name);
        let percent =
            record.and_then(|record| record.serving.as_ref()).filter(|active| beside(active)).map_or(0, |_| percent);
        let kept = self.config.load().plugin(name).kept_versions;
        let is_new = record.is_none();
        let pinned: HashSet<String> =
            record.into_iter().flat_map(|record| record.beside.pins()).map(|(_, digest)| digest.clone()).collect();
        self.record(name);
        let change = |lineage: &mut Lineage| {
            lineage.deployed(version, percent);
            lineage.trim(kept, &pinned);
        };
        let supersedes = !ticket.is_unasked();
        let lineage = self.changed(name, supersedes, change)?;
        match self.archive.save(name, &lineage).await {
            Ok(()) => {}
            // A restart will take the file for new, and do the same again.
            Err(fault) if ticket.is_unasked() => {
                tracing::error!(plugin = %name, %fault, "a restart will not know of this version");
            }
            Err(fault) => {
                if is_new {
                    self.records.remove(name);
                }
                return Err(fault);
            }
        }
        self.means(name, lineage);
        if percent == 0 {
            return Ok(self.place_active(name, ready, true, supersedes));
        }
        Ok(self.records.get_mut(name).map(|record| record.tries(ready)).unwrap_or_default())
    }

    fn place_active(
        &mut self,
        name: &Arc<str>,
        ready: Ready,
        is_newer: bool,
        supersedes: bool,
    ) -> Vec<Arc<PluginVersion>> {
        let Some(record) = self.records.get_mut(name) else { return vec![ready.version] };
        let replaces = record.serving.is_some();
        let retired = record.chosen(ready, supersedes);
        // What was rolled back to is not rolled back further, and what replaced nothing has nothing to go back to.
        record.took_over = (is_newer && replaces).then(Instant::now);
        retired
    }

    fn place_pinned(&mut self, name: &Arc<str>, session_id: &str, ready: Ready) -> Vec<Arc<PluginVersion>> {
        let Some(record) = self.records.get_mut(name) else { return vec![ready.version] };
        record.beside.pin(session_id, ready.digest());
        let is_active = record.serving.as_ref().is_some_and(|active| Arc::ptr_eq(active, &ready.version));
        let mut retired = Vec::new();
        if !is_active {
            retired.extend(record.beside.put(ready));
        }
        retired.extend(record.settle());
        retired
    }

    /// The active version has everybody again.
    pub async fn end_canary(&mut self, name: &Arc<str>, ticket: &Ticket) -> Result<Done, OperationError> {
        self.change(name, false, |lineage| lineage.canary = None).await?;
        let unknown = || OperationError::UnknownPlugin(name.to_string());
        let record = self.records.get_mut(name).ok_or_else(unknown)?;
        let retired = record.settle();
        let done = done(name, &record.lineage, record.lineage.active().unwrap_or_default(), ticket);
        self.retire(retired);
        Ok(done)
    }

    /// Changes what is meant, on the disk first. `supersedes`: instead of what the file holds.
    pub async fn change(
        &mut self,
        name: &Arc<str>,
        supersedes: bool,
        change: impl FnOnce(&mut Lineage),
    ) -> Result<(), OperationError> {
        let lineage = self.changed(name, supersedes, change)?;
        self.archive.save(name, &lineage).await?;
        self.means(name, lineage);
        Ok(())
    }

    fn changed(
        &self,
        name: &Arc<str>,
        supersedes: bool,
        change: impl FnOnce(&mut Lineage),
    ) -> Result<Lineage, OperationError> {
        let record = self.records.get(name).ok_or_else(|| OperationError::UnknownPlugin(name.to_string()))?;
        let mut lineage = record.lineage.clone();
        // Whoever changes something does so in view of what the file holds now. If that is still on its way, and not
        // superseded, a restart has to find it new.
        if supersedes || record.awaited().is_none() {
            lineage.file.clone_from(&record.file);
        }
        change(&mut lineage);
        Ok(lineage)
    }

    fn means(&mut self, name: &Arc<str>, lineage: Lineage) {
        if let Some(record) = self.records.get_mut(name) {
            record.lineage = lineage;
            record.changed = true;
        }
    }

    fn percent_of(&self, name: &Arc<str>, digest: &str) -> Option<u32> {
        let trial = self.records.get(name)?.lineage.canary.as_ref()?;
        (trial.digest == digest).then_some(trial.percent)
    }

    /// What a file holds that is on its way, if this is an operator's order to serve something else.
    fn superseded(&self, name: &Arc<str>, goal: &Goal, digest: &str, ticket: &Ticket) -> Option<String> {
        let chooses = !ticket.is_unasked() && !matches!(goal, Goal::Pin { .. });
        let awaited = self.records.get(name)?.awaited().filter(|awaited| chooses && *awaited != digest)?;
        Some(awaited.to_owned())
    }

    /// A version that was made for nothing, unless it serves already.
    fn let_go(&self, name: &Arc<str>, version: Arc<PluginVersion>) {
        let serving = self.records.get(name).and_then(|record| record.ready(&version.digest));
        if serving.is_none_or(|serving| !Arc::ptr_eq(&serving.version, &version)) {
            self.retire([version]);
        }
    }
}
