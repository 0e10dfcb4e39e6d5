//! `runs`: the stream of events of an agent. What keeps its promises is in `plugin/runs.rs`.

use super::super::{
    bindings::runs::{Host, Run, RunError, Status},
    call_state::CallState,
    runs::{RunFault, RunOwner, RunStatus},
};

impl Host for CallState {
    async fn start(&mut self, thread_id: Option<String>) -> Result<Run, RunError> {
        let registry = &self.version.shared.runs;
        let ids = self.run.start(registry, &self.version.name, thread_id, self.outlet()).await?;
        Ok(Run { run_id: ids.run_id.to_string(), thread_id: ids.thread_id.to_string() })
    }

    fn emit(&mut self, type_: String, payload: String) -> Result<(), RunError> {
        Ok(self.run.emit(&mut self.emissions, &type_, &payload)?)
    }

    fn finish(&mut self, how: Status, payload: String) -> Result<(), RunError> {
        let status = match how {
            Status::Success => RunStatus::Success,
            Status::Error => RunStatus::Error,
            Status::Cancelled => RunStatus::Cancelled,
            Status::Timeout => RunStatus::Timeout,
        };
        Ok(self.run.finish(&mut self.emissions, status, &payload)?)
    }

    fn is_cancelled(&mut self) -> bool {
        self.run.is_cancelled()
    }

    fn cancel(&mut self, run_id: String) -> Result<(), RunError> {
        Ok(self.version.shared.runs.cancel(&RunOwner::of(&self.context.caller.principal), &run_id)?)
    }
}

impl From<RunFault> for RunError {
    fn from(fault: RunFault) -> Self {
        match fault {
            RunFault::Invalid(text) => Self::Invalid(text),
            RunFault::Cancelled => Self::Cancelled,
            RunFault::Ended => Self::Ended,
            RunFault::Unknown => Self::UnknownRun,
            RunFault::LimitExceeded(text) => Self::LimitExceeded(text),
        }
    }
}
