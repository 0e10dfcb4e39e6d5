//! Operations as the supervisor carries them out: what can be done at once is; for what needs another
//! version, a job is started, and `install` goes on when that is ready.

use std::sync::Arc;

use super::{
    super::{
        job::{Job, Newest, Outcome, Ready},
        operation::{Done, OperationError, Role},
        record::Record,
        supervisor::Supervisor,
        version::PluginVersion,
    },
    command::{Answer, Answered, Command, Goal, Operation, Purpose, Request, Ticket},
    lineage::{self, Lineage},
};
use crate::{config::PluginConfig, telemetry::metrics::Rollout};

/// Sessions with a version of their own: each has a routing table of its own, and an operator who looks at
/// it. Beyond this a canary is the better means.
const MAX_PINS: usize = 64;

/// How an operation goes on.
enum Step {
    Done(Done),
    /// A version that serves already, or one that is yet to be made.
    Install(Goal, Source),
    /// When the plugin serves, or does not.
    SwitchOn,
}

enum Source {
    Ready(Box<Ready>),
    Job { digest: String, job: Box<Job> },
}

impl Supervisor {
    pub async fn requested(&mut self, request: Request) {
        let Request { plugin, command, order, began, answer } = request;
        let mut ticket = Ticket::unasked(command.as_str(), &plugin, &order, began);
        if let Command::Pin { session_id, .. } | Command::Unpin { session_id } = &command {
            ticket.event.session_id = Some(session_id.clone());
        }
        ticket.answer = Some(answer);
        self.carry_out(plugin, command, ticket).await;
    }

    pub async fn carry_out(&mut self, name: Arc<str>, command: Command, mut ticket: Ticket) {
        let active = self.records.get(&name).and_then(|record| record.lineage.active());
        ticket.event.from_digest = active.map(str::to_owned);
        match self.begin(&name, command, &ticket).await {
            Ok(Step::Done(done)) => self.conclude(ticket, Ok(done)),
            Ok(Step::Install(goal, Source::Ready(ready))) => self.install(&name, goal, *ready, ticket).await,
            Ok(Step::Install(goal, Source::Job { digest, job })) => {
                self.operations.insert(name.clone(), digest);
                self.start(name, *job, Purpose::Operation(Box::new(Operation { goal, ticket })));
            }
            Ok(Step::SwitchOn) => {
                self.enabling.insert(name.clone(), ticket);
                self.consider(&name);
                self.switched_on(&name).await;
            }
            Err(error) => self.conclude(ticket, Err(error)),
        }
    }

    async fn begin(&mut self, name: &Arc<str>, command: Command, ticket: &Ticket) -> Result<Step, OperationError> {
        if self.operations.contains_key(name) || self.enabling.contains_key(name) {
            let problem = format!("another operation on {name:?} is under way: try again when it has ended");
            return Err(OperationError::NotNow(problem));
        }
        if let Command::Deploy { validated, percent } = command {
            let mut wanted = self.config.load().plugin(name).clone();
            wanted.enabled = true;
            let percent = percent.unwrap_or(wanted.canary.percent);
            let digest = validated.captured.digest.clone();
            let record = self.records.get(name);
            let ready = record.and_then(|record| record.ready(&digest));
            let serving = record.and_then(|record| record.serving.clone());
            return Ok(Step::Install(
                Goal::Deploy { percent },
                source(ready, digest, wanted, Newest::Validated(validated), serving),
            ));
        }
        let record = self.records.get(name).ok_or_else(|| OperationError::UnknownPlugin(name.to_string()))?;
        if matches!(command, Command::Remove) {
            return self.remove(name, ticket).await.map(Step::Done);
        }
        if !record.present {
            let problem = format!("the file of {name:?} was deleted: put it back, or deploy a version");
            return Err(OperationError::NotNow(problem));
        }
        match command {
            Command::Promote => promote(record),
            Command::Rollback { to: None } if record.lineage.canary.is_some() => {
                self.end_canary(name, ticket).await.map(Step::Done)
            }
            Command::Rollback { to } => self.roll_back(name, to.as_deref(), ticket).await,
            Command::Pin { session_id, version } => self.pin(record, session_id, &version),
            Command::Unpin { session_id } => self.unpin(name, &session_id, ticket).map(Step::Done),
            Command::Enable => self.enable(name, ticket).await,
            Command::Disable => self.disable(name, ticket).await.map(Step::Done),
            // Handled above.
            Command::Deploy { .. } | Command::Remove => Err(OperationError::UnknownPlugin(name.to_string())),
        }
    }

    async fn roll_back(&mut self, name: &Arc<str>, to: Option<&str>, ticket: &Ticket) -> Result<Step, OperationError> {
        let record = self.records.get(name).ok_or_else(|| OperationError::UnknownPlugin(name.to_string()))?;
        let digest =
            match to {
                Some(to) => lineage::find(name, &record.lineage.summaries(), to)?,
                None => record.lineage.before().map(str::to_owned).ok_or_else(|| {
                    OperationError::NotNow(format!("no version of {name:?} was active before this one"))
                })?,
            };
        if record.lineage.active() == Some(&digest) && record.serving.is_some() {
            if record.lineage.canary.is_some() {
                return self.end_canary(name, ticket).await.map(Step::Done);
            }
            return Err(OperationError::NotNow(format!("the version {digest} of {name:?} is the active one")));
        }
        Ok(Step::Install(Goal::Rollback, self.source_of(record, digest)))
    }

    fn pin(&self, record: &Record, session_id: String, version: &str) -> Result<Step, OperationError> {
        let digest = lineage::find(&record.name, &record.lineage.summaries(), version)?;
        if !self.wanted(record).enabled {
            return Err(OperationError::NotNow(format!("{:?} is switched off", record.name)));
        }
        let pins: usize = self.records.values().map(|record| record.beside.pins().count()).sum();
        if pins >= MAX_PINS && record.beside.pins().all(|(pinned, _)| **pinned != *session_id) {
            return Err(OperationError::NotNow(format!(
                "{pins} sessions are pinned, and no more are allowed: unpin one"
            )));
        }
        Ok(Step::Install(Goal::Pin { session_id }, self.source_of(record, digest)))
    }

    fn unpin(&mut self, name: &Arc<str>, session_id: &str, ticket: &Ticket) -> Result<Done, OperationError> {
        let unknown =
            || OperationError::NotNow(format!("the session {session_id:?} is not pinned to a version of {name:?}"));
        let record = self.records.get_mut(name).ok_or_else(|| OperationError::UnknownPlugin(name.to_string()))?;
        let digest = record.beside.unpin(session_id).ok_or_else(unknown)?;
        let retired = record.settle();
        let done = done(name, &record.lineage, &digest, ticket);
        self.retire(retired);
        Ok(done)
    }

    /// Of sessions that have ended. Nobody asked for it, so nobody is told.
    pub fn unpin_ended<'s>(&mut self, sessions: impl IntoIterator<Item = &'s String>) {
        let mut retired = Vec::new();
        for session in sessions {
            for record in self.records.values_mut() {
                if record.beside.unpin(session).is_some() {
                    retired.extend(record.settle());
                }
            }
        }
        self.retire(retired);
    }

    async fn enable(&mut self, name: &Arc<str>, ticket: &Ticket) -> Result<Step, OperationError> {
        let record = self.records.get(name).ok_or_else(|| OperationError::UnknownPlugin(name.to_string()))?;
        if !self.config.load().plugin(name).enabled {
            let problem =
                format!("the config switches {name:?} off, and is stronger: change `enabled` in [plugins.{name}]");
            return Err(OperationError::NotNow(problem));
        }
        if !record.lineage.disabled {
            return match (&record.serving, &record.failure) {
                (Some(version), _) => Ok(Step::Done(done(name, &record.lineage, &version.digest, ticket))),
                (None, Some(failure)) => Err(failure.clone().into()),
                (None, None) => Err(OperationError::NotNow(format!("{name:?} is being loaded"))),
            };
        }
        self.switch(name, false).await?;
        Ok(Step::SwitchOn)
    }

    async fn disable(&mut self, name: &Arc<str>, ticket: &Ticket) -> Result<Done, OperationError> {
        self.switch(name, true).await?;
        self.consider(name);
        let record = self.records.get(name).ok_or_else(|| OperationError::UnknownPlugin(name.to_string()))?;
        let digest = record.lineage.active().unwrap_or_default();
        Ok(done(name, &record.lineage, digest, ticket))
    }

    /// What was deployed without a file is unloaded, and nothing is left that could be rolled back to.
    async fn remove(&mut self, name: &Arc<str>, ticket: &Ticket) -> Result<Done, OperationError> {
        let record = self.records.get(name).ok_or_else(|| OperationError::UnknownPlugin(name.to_string()))?;
        if record.has_file {
            let file = record.source.display();
            return Err(OperationError::NotNow(format!(
                "{file} is in the plugin directory, which is what the host follows: remove the file"
            )));
        }
        if record.is_busy() {
            return Err(OperationError::NotNow(format!("{name:?} is being loaded: try again when that has ended")));
        }
        let done = done(name, &record.lineage, record.lineage.active().unwrap_or_default(), ticket);
        self.archive.remove(name).await?;
        let old = self.records.remove(name).map(|mut record| record.removed()).unwrap_or_default();
        self.retire(old);
        self.lost_one = true;
        self.archive.untidy = true;
        Ok(done)
    }

    async fn switch(&mut self, name: &Arc<str>, disabled: bool) -> Result<(), OperationError> {
        self.change(name, false, |lineage| lineage.disabled = disabled).await
    }

    /// Ends an `enable` whose plugin serves, or failed to: then it stays switched off.
    pub async fn switched_on(&mut self, name: &Arc<str>) {
        let Some(record) = self.records.get(name) else { return };
        let answer = match (&record.serving, &record.failure) {
            (Some(_), _) => None,
            (None, _) if record.is_busy() => return,
            (None, Some(failure)) => Some(failure.clone().into()),
            (None, None) => Some(OperationError::NotNow(format!("there is no version of {name:?} that could serve"))),
        };
        let Some(ticket) = self.enabling.remove(name) else { return };
        let Some(error) = answer else {
            let Some(record) = self.records.get(name) else { return };
            let digest = record.serving.as_ref().map(|version| version.digest.clone()).unwrap_or_default();
            let done = done(name, &record.lineage, &digest, &ticket);
            return self.conclude(ticket, Ok(done));
        };
        let back = self.switch(name, true).await;
        self.consider(name);
        self.conclude(ticket, Err(back.err().unwrap_or(error)));
    }

    /// A version from what serves already, or else from the store.
    fn source_of(&self, record: &Record, digest: String) -> Source {
        let mut wanted = self.config.load().plugin(&record.name).clone();
        wanted.enabled = true;
        let stored = Newest::Stored { name: record.name.clone(), digest: digest.clone() };
        source(record.ready(&digest), digest, wanted, stored, None)
    }

    /// The version of an operation is ready, or failed to be.
    pub async fn operated(&mut self, name: &Arc<str>, operation: Operation, outcome: Outcome) {
        self.operations.remove(name);
        let Operation { goal, ticket } = operation;
        let Outcome { ready, failure, not_kept, .. } = outcome;
        let answer = match (ready, failure, not_kept) {
            (Some(_), _, Some(fault)) => Err(OperationError::NotStored(fault)),
            (Some(ready), ..) => Ok(ready),
            (None, Some(failure), _) => Err(failure.into()),
            (None, None, _) => Err(OperationError::Stopping),
        };
        match answer {
            Ok(ready) => self.install(name, goal, ready, ticket).await,
            Err(error) => self.conclude(ticket, Err(error)),
        }
        self.archive.untidy = true;
    }

    /// Tells everybody how an operation ended.
    pub fn conclude(&mut self, ticket: Ticket, answer: Answer) {
        let Ticket { mut event, answer: to, .. } = ticket;
        match &answer {
            Ok(done) => {
                event.digest = Some(done.digest.clone()).filter(|digest| !digest.is_empty());
                event.version = Some(done.version.clone()).filter(|version| !version.is_empty());
            }
            Err(error) => {
                event.outcome = outcome_of(error);
                event.problem = Some(error.to_string());
            }
        }
        // A name that somebody made up is no label.
        let plugin =
            self.records.get(event.plugin.as_str()).map_or_else(|| "other".into(), |record| record.name.clone());
        let label = Rollout { plugin, operation: event.operation, outcome: event.outcome };
        self.metrics.plugin_rollouts.get_or_create(&label).inc();
        self.published.audit.record(event);
        self.answers.extend(to.map(|to| Answered { to, answer }));
    }
}

fn outcome_of(error: &OperationError) -> &'static str {
    match error {
        OperationError::Unfit(_) => "unfit",
        OperationError::NotStored(_) => "not_stored",
        _ => "refused",
    }
}

fn promote(record: &Record) -> Result<Step, OperationError> {
    let name = &record.name;
    let Some(trial) = &record.lineage.canary else {
        return Err(OperationError::NotNow(format!("{name:?} has no canary")));
    };
    let ready = record.beside.ready(&trial.digest).ok_or_else(|| {
        let problem =
            record.beside.problem(&trial.digest).map_or_else(|| "it is being loaded".to_owned(), ToString::to_string);
        OperationError::NotNow(format!("the canary of {name:?} does not serve: {problem}"))
    })?;
    Ok(Step::Install(Goal::Promote, Source::Ready(Box::new(ready))))
}

/// `serving`: whose sessions it has to be able to take over. What is rolled back to need not: it was good enough
/// before, and is wanted because something is wrong now.
fn source(
    ready: Option<Ready>,
    digest: String,
    wanted: PluginConfig,
    newest: Newest,
    serving: Option<Arc<PluginVersion>>,
) -> Source {
    if let Some(ready) = ready.filter(|ready| ready.made_of.config == wanted) {
        return Source::Ready(Box::new(ready));
    }
    Source::Job { digest, job: Box::new(Job { newest: Some(newest), good: None, fallback: None, wanted, serving }) }
}

/// What an operation has led to for a version of the lineage.
pub(super) fn done(name: &str, lineage: &Lineage, digest: &str, ticket: &Ticket) -> Done {
    let summary = lineage.summaries().into_iter().find(|version| version.digest == digest);
    Done {
        plugin: name.to_owned(),
        digest: digest.to_owned(),
        version: summary.as_ref().map(|version| version.version.clone()).unwrap_or_default(),
        role: summary.map_or(Role::Kept, |version| version.role),
        took_ms: u64::try_from(ticket.began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
