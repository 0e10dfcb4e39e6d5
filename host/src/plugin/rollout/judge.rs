//! What the host decides by itself: a canary that is worse than the active version is taken away from its
//! users, one that is not may be promoted, and a version that fails right after it took over gives way
//! to the one before it.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    super::{operation::Order, record::Record, supervisor::Supervisor, version::PluginVersion},
    command::{Command, Ticket},
    verdict::Verdict,
};

/// How often versions are looked at: soon for whoever has the worse one, and rare beside their calls.
pub(crate) const JUDGE_EVERY: Duration = Duration::from_secs(1);

/// Who decides here, in audits.
const HOST: &str = "host";

impl Supervisor {
    pub async fn judge(&mut self) {
        let now = Instant::now();
        let decided: Vec<(Arc<str>, Command, String)> = self
            .records
            .values()
            .filter(|record| !self.operations.contains_key(&record.name))
            .filter_map(|record| self.decide(record, now).map(|(command, why)| (record.name.clone(), command, why)))
            .collect();
        for (name, command, why) in decided {
            tracing::warn!(plugin = %name, operation = command.as_str(), %why, "the host changes what serves");
            if let Some(record) = self.records.get_mut(&name) {
                // Once: what cannot be rolled back now would be tried again every time.
                record.took_over = None;
            }
            let order = Order { by: HOST.to_owned(), why };
            let ticket = Ticket::unasked(command.as_str(), &name, &order, now);
            self.carry_out(name, command, ticket).await;
        }
    }

    fn decide(&self, record: &Record, now: Instant) -> Option<(Command, String)> {
        let active = record.serving.as_ref()?;
        let config = self.config.load();
        let config = config.plugin(&record.name);
        // First: what most users have matters more than what some have.
        if let Some((before, why)) = self.active_fails(record, active, config.health.rollback_window, now) {
            return Some((Command::Rollback { to: Some(before) }, why));
        }
        let canary = record.canary()?;
        let back = |why| Some((Command::Rollback { to: None }, why));
        // It is on trial for as long as it is the canary.
        let since = record.beside.since(&canary.version.digest).unwrap_or(now);
        if let Some(why) = self.verdicts.failing_since_swap(&canary.version, since, Duration::MAX) {
            return back(why);
        }
        match self.verdicts.compare(active, &canary.version, &config.canary, now) {
            Verdict::Worse(why) => back(why),
            Verdict::Keep if is_over(record, config.canary.promote_after) => {
                let why = "it was not worse than the active version for `promote_after`";
                Some((Command::Promote, why.to_owned()))
            }
            Verdict::Keep | Verdict::NotYet => None,
        }
    }

    /// If the active version fails so soon after it took over that the one before it is to serve: which, and why.
    fn active_fails(
        &self,
        record: &Record,
        active: &PluginVersion,
        window: Duration,
        now: Instant,
    ) -> Option<(String, String)> {
        // It may have been seen a little later than it happened.
        let took_over = record.took_over?;
        if window.is_zero() || now.saturating_duration_since(took_over) > window + 2 * JUDGE_EVERY {
            return None;
        }
        let before = record.lineage.before()?.to_owned();
        let why = self.verdicts.failing_since_swap(active, took_over, window)?;
        let why = match &record.lineage.canary {
            Some(_) => format!("{why}; the canary beside it ends with it"),
            None => why,
        };
        Some((before, why))
    }
}

/// Whether a trial has lasted so long; zero: never. By the wall clock, for it may have begun in another process.
fn is_over(record: &Record, after: Duration) -> bool {
    let now = switchboard_protocol::unix_seconds(SystemTime::now());
    let since = record.lineage.canary.as_ref().map(|trial| trial.since);
    !after.is_zero() && since.is_some_and(|since| now - since >= after.as_secs_f64())
}
