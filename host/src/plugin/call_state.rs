//! What the host knows about one call.
//!
//! It is put into an instance when the call begins, and taken out when it ends. Imports see nothing of any
//! other call.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    PluginVersion,
    bindings::types,
    call_log::CallLog,
    cpu_time::CpuMeter,
    detached,
    effects::{CallContext, RunIds, Transport},
    limits::EmissionBudget,
    runs::{CallRun, RunOutlet},
};

/// The circumstances of a call, and what is left of its limits.
pub(crate) struct CallState {
    pub(super) version: Arc<PluginVersion>,
    /// Its deadline is the earlier one of the caller's and the plugin's own.
    pub(super) context: CallContext,
    pub(super) emissions: EmissionBudget,
    /// Requests to other servers.
    pub(super) outbound_left: u32,
    /// Shared with the streams of the instance that serves the call.
    pub(super) log: Arc<CallLog>,
    pub(super) meter: Arc<CpuMeter>,
    pub(super) run: Arc<CallRun>,
    pub(super) started: Instant,
    /// What was reported last.
    pub(super) progress: Option<f64>,
    /// What was left when the call began.
    pub(super) allowed: Duration,
}

impl CallState {
    pub fn new(
        version: Arc<PluginVersion>,
        context: CallContext,
        allowed: Duration,
        meter: Arc<CpuMeter>,
        run: Arc<CallRun>,
    ) -> Self {
        let limits = &version.limits;
        Self {
            emissions: EmissionBudget::new(limits.max_emissions, limits.max_emitted_bytes),
            outbound_left: limits.max_outbound_requests,
            log: CallLog::new(
                version.name.clone(),
                version.version.clone(),
                context.caller.connection_id.clone(),
                limits.max_log_lines,
            ),
            meter,
            run,
            started: Instant::now(),
            progress: None,
            allowed,
            version,
            context,
        }
    }

    /// That of an instance that serves no call.
    pub fn nobodys(version: Arc<PluginVersion>, allowed: Duration) -> Self {
        Self::nobodys_with(version, allowed, CpuMeter::new(), CallRun::new())
    }

    /// That of a call which the host makes for itself.
    pub fn nobodys_with(
        version: Arc<PluginVersion>,
        allowed: Duration,
        meter: Arc<CpuMeter>,
        run: Arc<CallRun>,
    ) -> Self {
        Self::new(version, detached::context(Instant::now() + allowed), allowed, meter, run)
    }

    /// The context as the guest sees it.
    pub fn guest_context(&self) -> types::Context {
        let caller = &self.context.caller;
        let run = self.context.run.as_ref();
        types::Context {
            connection_id: caller.connection_id.to_string(),
            session_id: caller.session_id.to_string(),
            principal: types::Principal {
                subject: caller.principal.subject.clone(),
                tenant: caller.principal.tenant.clone(),
                scopes: caller.principal.scopes.clone(),
                claims: caller.principal.claims_json.to_string(),
            },
            transport: match caller.transport {
                Transport::Websocket => types::Transport::Websocket,
                Transport::StreamableHttp => types::Transport::StreamableHttp,
                Transport::Internal => types::Transport::Internal,
            },
            thread_id: run.map(|run| run.thread_id.to_string()),
            run_id: run.map(|run| run.run_id.to_string()),
            deadline_ms: u32::try_from(self.time_left().as_millis()).unwrap_or(u32::MAX),
            traceparent: None,
        }
    }

    fn time_left(&self) -> Duration {
        self.context.deadline.saturating_duration_since(Instant::now())
    }

    /// Where events of this call's run go.
    pub fn outlet(&self) -> RunOutlet {
        RunOutlet {
            effects: self.context.effects.clone(),
            caller: self.context.caller.clone(),
            correlation_id: self.context.correlation_id.clone(),
        }
    }

    /// The context for a call that this call makes: the same caller, deadline and run, one link more.
    pub fn onward(&self) -> CallContext {
        let mut context = self.context.clone();
        context.chain.push(self.version.name.clone());
        context.run = self.current_run().or(context.run);
        context.request = None;
        context
    }

    fn current_run(&self) -> Option<RunIds> {
        self.run.ids()
    }
}

impl Drop for CallState {
    fn drop(&mut self) {
        self.log.end(&self.version.shared.metrics);
    }
}
