//! Agent runs: the interface `runs`.

use serde::Serialize;

use crate::{Context, Error, bindings::switchboard::plugin::runs, host, message::object_text};

pub use runs::{RunError, Status};

/// Agent runs; see [`Context::runs`].
#[derive(Debug, Clone, Copy)]
pub struct Runs<'a>(&'a Context);

impl<'a> Runs<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// Begins the run of this call, and waits until earlier runs of the same thread have ended. A call has at
    /// most one run. Without a thread id the host makes one.
    ///
    /// # Errors
    ///
    /// The [`RunError`] of the host.
    pub fn start(self, thread_id: Option<&str>) -> Result<Run<'a>, RunError> {
        let runs::Run { run_id, thread_id } = host::runs::start(thread_id)?;
        Ok(Run { id: run_id, thread_id, ctx: self.0 })
    }

    /// Cancels a run of the same user. It is interrupted at its next host call, or in the midst of computing.
    ///
    /// # Errors
    ///
    /// [`RunError::UnknownRun`], also for another user's run; [`RunError::Ended`].
    pub fn cancel(self, run_id: &str) -> Result<(), RunError> {
        host::runs::cancel(run_id)
    }
}

/// A run that has begun.
///
/// The host stamps `run_id`, `thread_id`, `seq` and `timestamp` into the payload of each event. If the
/// call ends without [`Run::finish`], or is interrupted, the host emits the terminal event itself.
#[derive(Debug)]
pub struct Run<'a> {
    /// Its id.
    pub id: String,
    /// Its thread, which is the user's own.
    pub thread_id: String,
    #[allow(dead_code, reason = "ties the run to the call")]
    ctx: &'a Context,
}

impl Run<'_> {
    /// Sends an event of the run to the caller.
    ///
    /// # Errors
    ///
    /// [`RunError::Cancelled`]: stop. Others as the host reports them.
    pub fn emit<P: Serialize + ?Sized>(&self, kind: &str, payload: &P) -> Result<(), RunError> {
        let payload = object_text(kind, payload).map_err(|fault| RunError::Invalid(fault.message))?;
        host::runs::emit(kind, &payload)
    }

    /// Ends the run with its terminal event, `agent_completed`, with `status` added to the payload.
    ///
    /// # Errors
    ///
    /// [`RunError::Ended`] if it ended before. Others as the host reports them.
    pub fn finish<P: Serialize + ?Sized>(self, how: Status, payload: &P) -> Result<(), RunError> {
        let payload = object_text("agent_completed", payload).map_err(|fault| RunError::Invalid(fault.message))?;
        host::runs::finish(how, &payload)
    }

    /// Whether somebody cancelled it. Ask between steps.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        host::runs::is_cancelled()
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Invalid(text) => Self::new("RUN_INVALID", text),
            RunError::Cancelled => Self::new("RUN_CANCELLED", "the run was cancelled"),
            RunError::Ended => Self::new("RUN_ENDED", "the run has ended"),
            RunError::UnknownRun => Self::new("RUN_UNKNOWN", "there is no such run"),
            RunError::LimitExceeded(text) => Self::new("LIMIT_EXCEEDED", text),
            RunError::Other(text) => Self::internal(text),
        }
    }
}
