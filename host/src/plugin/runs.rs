//! Agent runs: who may cancel them, whose turn it is in a thread, and that each ends with exactly one
//! terminal event.
//!
//! A [`CallRun`] belongs to one call and outlives its sandbox, so that the terminal event is sent also
//! when the guest trapped, was interrupted, or the call itself was dropped. The registry holds what
//! calls must know of each other: nothing but ids, owners and cancellation.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use serde_json::json;
use switchboard_protocol::{ErrorCode, MessageType, unix_seconds};
use tokio_util::sync::CancellationToken;

use super::{
    effects::{Caller, Delivery, Effects, Emission, RunIds, Target},
    failure::CallFailure,
    json_object::Members,
    limits::EmissionBudget,
};
use crate::auth::Principal;

/// How long a guest may take to end politely after its run was cancelled.
pub(super) const CANCEL_GRACE: Duration = Duration::from_millis(250);

/// The terminal event.
const COMPLETED: &str = "agent_completed";

/// Long enough for any identifier in use, short enough to be kept and echoed.
const MAX_THREAD_ID_BYTES: usize = 128;

/// Whose run it is: a subject of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RunOwner {
    tenant: Option<String>,
    subject: String,
}

impl RunOwner {
    pub fn of(principal: &Principal) -> Self {
        Self { tenant: principal.tenant.clone(), subject: principal.subject.clone() }
    }
}

/// Within a thread, runs take turns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ThreadKey {
    plugin: Arc<str>,
    owner: RunOwner,
    thread_id: Arc<str>,
}

/// All runs under way. Bounded by the calls that are under way.
#[derive(Default)]
pub(crate) struct RunRegistry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    runs: HashMap<Arc<str>, (RunOwner, CancellationToken)>,
    threads: HashMap<ThreadKey, Weak<tokio::sync::Mutex<()>>>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RunFault {
    #[error("{0}")]
    Invalid(String),
    #[error("the run was cancelled")]
    Cancelled,
    #[error("the run has ended")]
    Ended,
    #[error("there is no such run")]
    Unknown,
    #[error("{0}")]
    LimitExceeded(String),
}

impl RunRegistry {
    /// Cancels a run of this user.
    pub fn cancel(&self, owner: &RunOwner, run_id: &str) -> Result<(), RunFault> {
        // Another user's run is as unknown as one that never was.
        match self.lock().runs.get(run_id) {
            Some((of, cancelled)) if of == owner => cancelled.cancel(),
            _ => return Err(RunFault::Unknown),
        }
        Ok(())
    }

    /// Drops what callers that gave up while they waited have left.
    pub fn purge(&self) {
        self.lock().threads.retain(|_, turn| turn.strong_count() > 0);
    }

    /// Waits for the earlier runs of the thread, first come, first served.
    async fn turn(self: &Arc<Self>, key: ThreadKey) -> Turn {
        let queue = {
            let mut inner = self.lock();
            let known = inner.threads.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let queue = Arc::default();
                inner.threads.insert(key.clone(), Arc::downgrade(&queue));
                queue
            })
        };
        let held = queue.lock_owned().await;
        Turn { registry: self.clone(), key, held: Some(held) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to run in a thread; the next in line has it when this is dropped.
struct Turn {
    registry: Arc<RunRegistry>,
    key: ThreadKey,
    held: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut inner = self.registry.lock();
        if inner.threads.get(&self.key).is_some_and(|queue| queue.strong_count() == 0) {
            inner.threads.remove(&self.key);
        }
    }
}

/// Where a run's events go.
#[derive(Clone)]
pub(crate) struct RunOutlet {
    pub effects: Arc<dyn Effects>,
    pub caller: Caller,
    pub correlation_id: Option<Arc<str>>,
}

/// How a run ends, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunStatus {
    Success,
    Error,
    Cancelled,
    Timeout,
}

impl RunStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
        }
    }
}

/// The one run that a call may have. Dropped without [`CallRun::close`], it ends as cancelled.
pub(crate) struct CallRun {
    cancelled: CancellationToken,
    active: Mutex<Option<ActiveRun>>,
}

struct ActiveRun {
    ids: RunIds,
    seq: u64,
    ended: bool,
    outlet: RunOutlet,
    turn: Turn,
}

impl CallRun {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { cancelled: CancellationToken::new(), active: Mutex::default() })
    }

    /// Begins the run when it is the thread's turn.
    pub async fn start(
        &self,
        registry: &Arc<RunRegistry>,
        plugin: &Arc<str>,
        thread_id: Option<String>,
        outlet: RunOutlet,
    ) -> Result<RunIds, RunFault> {
        if self.lock().is_some() {
            return Err(RunFault::Invalid("a call has at most one run, and this one has had it".into()));
        }
        let thread_id: Arc<str> = match thread_id {
            Some(id) => check_thread_id(id)?.into(),
            None => fresh_id("thread").into(),
        };
        let owner = RunOwner::of(&outlet.caller.principal);
        let key = ThreadKey { plugin: plugin.clone(), owner: owner.clone(), thread_id: thread_id.clone() };
        let turn = registry.turn(key).await;
        let ids = RunIds { run_id: fresh_id("run").into(), thread_id };
        registry.lock().runs.insert(ids.run_id.clone(), (owner, self.cancelled.clone()));
        *self.lock() = Some(ActiveRun { ids: ids.clone(), seq: 0, ended: false, outlet, turn });
        Ok(ids)
    }

    /// Sends an event of the run.
    pub fn emit(&self, budget: &mut EmissionBudget, message_type: &str, payload: &str) -> Result<(), RunFault> {
        let mut active = self.lock();
        let run = active.as_mut().ok_or(RunFault::Unknown)?;
        if run.ended {
            return Err(RunFault::Ended);
        }
        if self.cancelled.is_cancelled() {
            return Err(RunFault::Cancelled);
        }
        let message_type = event_type(message_type)?;
        let members = Members::parse(payload).map_err(not_an_object)?;
        budget.take(payload.len()).map_err(RunFault::LimitExceeded)?;
        run.send(message_type, &members, None);
        Ok(())
    }

    /// Ends the run. Always possible within the limit of bytes, however many events there were, and
    /// for a moment after it was cancelled.
    pub fn finish(&self, budget: &mut EmissionBudget, status: RunStatus, payload: &str) -> Result<(), RunFault> {
        let mut active = self.lock();
        let run = active.as_mut().ok_or(RunFault::Unknown)?;
        if run.ended {
            return Err(RunFault::Ended);
        }
        let members = Members::parse(payload).map_err(not_an_object)?;
        budget.take_bytes(payload.len()).map_err(RunFault::LimitExceeded)?;
        run.end(status, &members);
        Ok(())
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// The run's ids, once it has begun and until it has ended.
    pub fn ids(&self) -> Option<RunIds> {
        self.lock().as_ref().filter(|run| !run.ended).map(|run| run.ids.clone())
    }

    /// Ends when the run was cancelled and the time to be polite about it is over. Never for a call
    /// without a run.
    pub async fn overdue(&self) {
        self.cancelled.cancelled().await;
        tokio::time::sleep(CANCEL_GRACE).await;
    }

    /// To be told how the call ended: ends the run with it, unless the guest did.
    pub fn close(&self, failure: Option<&CallFailure>) {
        let (status, code, message) = match failure {
            // One that was told to stop and then ran out of time did stop because it was told to.
            None | Some(CallFailure::TimedOut { .. }) if self.is_cancelled() => cancelled(),
            None => {
                (RunStatus::Error, "RUN_UNFINISHED".into(), "the handler returned without finishing its run".into())
            }
            Some(failure) => ending(failure),
        };
        self.end(status, &code, &message);
    }

    fn end(&self, status: RunStatus, code: &str, message: &str) {
        if let Some(run) = self.lock().as_mut()
            && !run.ended
        {
            let payload = json!({ "error": { "code": code, "message": message } }).to_string();
            if let Ok(members) = Members::parse(&payload) {
                run.end(status, &members);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<ActiveRun>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the call, outside of its sandbox: whatever happens to the call, the run ends.
pub(crate) struct RunEnd(pub Arc<CallRun>);

impl Drop for RunEnd {
    fn drop(&mut self) {
        let (status, code, _) = cancelled();
        self.0.end(status, &code, "the call was abandoned");
    }
}

impl ActiveRun {
    fn end(&mut self, status: RunStatus, payload: &Members<'_>) {
        self.ended = true;
        if let Ok(completed) = MessageType::parse(COMPLETED) {
            self.send(completed, payload, Some(status));
        }
        self.turn.registry.lock().runs.remove(&self.ids.run_id);
        // The next run of the thread begins now, not when this call's sandbox is gone.
        drop(self.turn.held.take());
    }

    fn send(&mut self, message_type: MessageType, payload: &Members<'_>, status: Option<RunStatus>) {
        self.seq += 1;
        let mut stamps = vec![
            ("run_id", json!(&*self.ids.run_id)),
            ("thread_id", json!(&*self.ids.thread_id)),
            ("seq", json!(self.seq)),
            ("timestamp", json!(unix_seconds(SystemTime::now()))),
        ];
        stamps.extend(status.map(|status| ("status", json!(status.as_str()))));
        let emission = Emission {
            to: Target::Caller,
            message_type,
            payload: payload.with(&stamps),
            delivery: Delivery::Kept,
            correlation_id: self.outlet.correlation_id.clone(),
        };
        // A run goes on to its deadline although its socket is gone: its thread is worth finishing.
        let _ = self.outlet.effects.send(&self.outlet.caller, emission);
    }
}

fn cancelled() -> (RunStatus, String, String) {
    (RunStatus::Cancelled, "RUN_CANCELLED".into(), "the run was cancelled".into())
}

fn ending(failure: &CallFailure) -> (RunStatus, String, String) {
    let with = |code: ErrorCode| (RunStatus::Error, code.as_str().to_owned(), failure.to_string());
    match failure {
        CallFailure::Refused(refusal) => (RunStatus::Error, refusal.code.clone(), refusal.message.clone()),
        CallFailure::TimedOut { .. } => {
            (RunStatus::Timeout, ErrorCode::PluginTimeout.as_str().to_owned(), failure.to_string())
        }
        CallFailure::Cancelled => cancelled(),
        CallFailure::Crashed { .. } => with(ErrorCode::PluginCrashed),
        CallFailure::OutOfMemory { .. } => with(ErrorCode::PluginOutOfMemory),
        CallFailure::LimitExceeded { .. } => with(ErrorCode::PluginLimitExceeded),
        CallFailure::Busy { .. } => with(ErrorCode::PluginBusy),
        CallFailure::AnswerInvalid(_) => with(ErrorCode::PluginAnswerInvalid),
        CallFailure::Interrupted | CallFailure::Unavailable { .. } => with(ErrorCode::PluginUnavailable),
        CallFailure::Poisoned { .. } => with(ErrorCode::MessagePoisoned),
        CallFailure::NotExported(_) | CallFailure::Host(_) => with(ErrorCode::InternalError),
    }
}

fn event_type(name: &str) -> Result<MessageType, RunFault> {
    let message_type = MessageType::parse(name)
        .map_err(|fault| RunFault::Invalid(format!("the event's type is not a message type: {fault}")))?;
    if message_type.is_reserved() {
        return Err(RunFault::Invalid(format!("the type `{message_type}` belongs to the host")));
    }
    if name == COMPLETED {
        return Err(RunFault::Invalid(format!("`{COMPLETED}` ends a run: use `finish`")));
    }
    Ok(message_type)
}

fn not_an_object(problem: String) -> RunFault {
    RunFault::Invalid(format!("the payload is not a JSON object: {problem}"))
}

fn check_thread_id(id: String) -> Result<String, RunFault> {
    if id.is_empty() || id.len() > MAX_THREAD_ID_BYTES {
        return Err(RunFault::Invalid(format!("a thread id has 1 to {MAX_THREAD_ID_BYTES} bytes, not {}", id.len())));
    }
    if id.chars().any(char::is_control) {
        return Err(RunFault::Invalid("a thread id holds no control characters".into()));
    }
    Ok(id)
}

/// Not to be guessed, although nobody else could do anything with it.
fn fresh_id(kind: &str) -> String {
    format!("{kind}_{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests;
