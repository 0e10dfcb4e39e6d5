//! What is recorded about an outbound request: metrics, and a line in the log with the host alone, since paths and
//! queries hold what people ask for, and sometimes credentials.
//!
//! Recorded also for a request whose call ended before it, so that none is missed. The line stands within the
//! span of its call, which says which version and connection it belongs to.

use std::{sync::Arc, time::Instant};

use super::fault::EgressFault;
use crate::telemetry::{
    Metrics,
    metrics::{Plugin, PluginOutcome},
    trail::OUTBOUND_REFUSED,
};

/// To be kept apart from other logs.
const AUDIT: &str = "switchboard::audit";

/// For a request whose call nobody waited for to the end.
const ABANDONED: &str = "abandoned";

pub(super) struct Record {
    /// Scheme, host and port, once they are known.
    pub target: String,
    plugin: Arc<str>,
    metrics: Arc<Metrics>,
    begun: Instant,
    outcome: &'static str,
}

impl Record {
    pub fn begin(plugin: Arc<str>, metrics: Arc<Metrics>) -> Self {
        Self { target: String::new(), plugin, metrics, begun: Instant::now(), outcome: ABANDONED }
    }

    pub fn end(&mut self, result: Result<u16, &EgressFault>) {
        let Self { plugin, target, .. } = self;
        let milliseconds = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(status) => {
                self.outcome = "answered";
                tracing::debug!(%plugin, host = %target, status, milliseconds, "an outbound request was answered");
            }
            Err(fault) => {
                self.outcome = fault.outcome();
                let outcome = self.outcome;
                match fault {
                    EgressFault::HostNotGranted(_) => {
                        tracing::warn!(target: AUDIT, %plugin, host = %target, outcome, "{OUTBOUND_REFUSED}");
                    }
                    EgressFault::AddressNotGranted { refused, .. } => tracing::warn!(
                        target: AUDIT, %plugin, host = %target, outcome, address = %refused.address, kind = refused.kind,
                        "{OUTBOUND_REFUSED}"
                    ),
                    fault => {
                        tracing::info!(%plugin, host = %target, outcome, %fault, milliseconds, "an outbound request failed");
                    }
                }
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let plugin = Plugin { plugin: self.plugin.clone() };
        let duration = self.metrics.plugin_outbound_request_duration.get_or_create(&plugin);
        duration.observe(self.begun.elapsed().as_secs_f64());
        let outcome = PluginOutcome { plugin: plugin.plugin, outcome: self.outcome };
        self.metrics.plugin_outbound_requests.get_or_create(&outcome).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{collect, trail::AuditKind};

    #[test]
    fn refused_requests_stand_beside_what_operators_did_and_push_none_of_it_out() {
        let recent = collect(|| {
            tracing::warn!(target: AUDIT, by = "ci", plugin = "fetcher", "deployed");
            for _ in 0..2_000 {
                let mut record = Record::begin("fetcher".into(), Metrics::new());
                record.target = "https://evil.example".to_owned();
                record.end(Err(&EgressFault::HostNotGranted(record.target.clone())));
            }
        });
        let events = |kind| recent.audit(usize::MAX, Some(kind), |_| true);
        assert_eq!(events(AuditKind::Operation)[0].event, "deployed");
        let refused = events(AuditKind::Outbound);
        assert_eq!(
            (&refused[0].event[..], &refused[0].fields["host"]),
            (OUTBOUND_REFUSED, &"https://evil.example".into())
        );
    }
}
