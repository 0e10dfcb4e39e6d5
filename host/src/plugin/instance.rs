//! Calls into a version of a plugin, each in an instance that lives as long as the call.
//!
//! Whatever the guest does, a call ends by its deadline: with an answer or with one of the failures of
//! [`CallFailure`]. To drop the future of a call is to end the guest; nothing of it remains, its run,
//! if it had one, ends as cancelled, and its metrics are counted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use switchboard_protocol::MessageType;
use tokio::{sync::OwnedSemaphorePermit, time::timeout_at};
use tracing::Instrument as _;

use super::{
    PluginVersion,
    call_record::CallRecord,
    call_state::CallState,
    detached,
    effects::CallContext,
    engine::Place,
    failure::CallFailure,
    guest::{self, Answer, Question},
    limits::{CpuMeter, Metered, Watch},
    runs::{CallRun, RunEnd},
};

pub(crate) use super::manifest_call::manifest_of;

/// The most that a self-test may take, whatever the plugin's own deadline: traffic waits for it.
const SELF_TEST: Duration = Duration::from_secs(30);

/// A message, into the sandbox or out of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GuestMessage {
    pub message_type: MessageType,
    /// The text of a JSON object.
    pub payload: String,
    pub id: Option<String>,
    pub correlation_id: Option<String>,
    /// Unix seconds.
    pub timestamp: f64,
}

impl PluginVersion {
    /// Handles a message. The answer, if there is one, is of a valid type that is not reserved, with
    /// a JSON object of bounded size.
    pub async fn handle(
        self: &Arc<Self>,
        context: CallContext,
        message: GuestMessage,
    ) -> Result<Option<GuestMessage>, CallFailure> {
        match self.call(context, Question::Handle(message)).await? {
            Answer::Message(message) => Ok(message),
            Answer::Json(_) | Answer::Nothing => Err(CallFailure::Host("handle gave no message".into())),
        }
    }

    /// What the plugin says that its tools are; only its size has been checked.
    pub async fn list_tools(self: &Arc<Self>, context: CallContext) -> Result<String, CallFailure> {
        self.json(context, Question::ListTools).await
    }

    /// What the tool says; only its size has been checked.
    pub async fn call_tool(
        self: &Arc<Self>,
        context: CallContext,
        name: &str,
        arguments: String,
    ) -> Result<String, CallFailure> {
        self.json(context, Question::CallTool { name, arguments }).await
    }

    pub async fn on_connect(self: &Arc<Self>, context: CallContext) -> Result<(), CallFailure> {
        self.call(context, Question::Connect).await.map(drop)
    }

    pub async fn on_disconnect(self: &Arc<Self>, context: CallContext, reason: &str) -> Result<(), CallFailure> {
        self.call(context, Question::Disconnect { reason }).await.map(drop)
    }

    pub async fn on_event(
        self: &Arc<Self>,
        context: CallContext,
        topic: &str,
        message: GuestMessage,
    ) -> Result<(), CallFailure> {
        self.call(context, Question::Event { topic, message }).await.map(drop)
    }

    /// Asks the version whether it is fit, on nobody's behalf. One that has no self-test passes.
    pub async fn self_test(self: &Arc<Self>) -> Result<(), CallFailure> {
        if self.exports.health.is_none() {
            return Ok(());
        }
        let begun = Instant::now();
        let deadline = earlier(begun + SELF_TEST, begun, self.limits.deadline);
        self.call(detached::context(deadline), Question::SelfTest).await.map(drop)
    }

    async fn json(self: &Arc<Self>, context: CallContext, question: Question<'_>) -> Result<String, CallFailure> {
        let export = question.export();
        match self.call(context, question).await? {
            Answer::Json(text) => Ok(text),
            Answer::Message(_) | Answer::Nothing => Err(CallFailure::Host(format!("{export} gave no JSON"))),
        }
    }

    /// The whole life of one call.
    async fn call(self: &Arc<Self>, mut context: CallContext, question: Question<'_>) -> Result<Answer, CallFailure> {
        let permit = self.health.admit(&context, &question, Instant::now())?;
        let _under_way = self.begin_call();
        let mut record = CallRecord::begin(self, &context, question.export());
        let span = record.span();
        context.deadline = earlier(context.deadline, record.begun, self.limits.deadline);
        let allowed = context.deadline.saturating_duration_since(record.begun);
        let result = self.in_time(context, allowed, question).instrument(span.clone()).await;
        span.in_scope(|| {
            record.end(&result);
            if let Some(permit) = permit {
                permit.end(&result, Instant::now());
            }
        });
        result
    }

    /// Ends with the work, the deadline, the version or the run, whichever is first.
    async fn in_time(
        self: &Arc<Self>,
        context: CallContext,
        allowed: Duration,
        question: Question<'_>,
    ) -> Result<Answer, CallFailure> {
        let deadline = context.deadline;
        let run = CallRun::new();
        let _run_ends = RunEnd(run.clone());
        let meter = CpuMeter::new();
        let work = Metered::new(self.admitted(context, allowed, question, meter.clone(), run.clone()), meter);
        let result = tokio::select! {
            // The work first: an answer that is there counts, whatever else happened meanwhile.
            biased;
            result = timeout_at(deadline.into(), work) => {
                result.unwrap_or(Err(CallFailure::TimedOut { limit: allowed }))
            }
            () = self.interrupted.cancelled() => Err(CallFailure::Interrupted),
            () = run.overdue() => Err(CallFailure::Cancelled),
        };
        run.close(result.as_ref().err());
        result
    }

    async fn admitted(
        self: &Arc<Self>,
        context: CallContext,
        allowed: Duration,
        question: Question<'_>,
        meter: Arc<CpuMeter>,
        run: Arc<CallRun>,
    ) -> Result<Answer, CallFailure> {
        // Both outlive the store, which is dropped when `ask` is done.
        let (_turn, _place) = self.wait_for_turn(&context).await?;
        let watch = Watch { meter: meter.clone(), cpu_time: self.limits.cpu_time, deadline: context.deadline };
        let state = CallState::new(self.clone(), context, allowed, meter, run);
        guest::ask(state, watch, question).await
    }

    async fn wait_for_turn(&self, context: &CallContext) -> Result<(OwnedSemaphorePermit, Place), CallFailure> {
        let busy = || CallFailure::Busy { retry_after: self.limits.max_wait };
        let by = earlier(context.deadline, Instant::now(), self.limits.max_wait);
        let turn = match self.slots.clone().try_acquire_owned() {
            Ok(turn) => turn,
            Err(_) => match timeout_at(by.into(), self.slots.clone().acquire_owned()).await {
                Ok(Ok(turn)) => turn,
                Ok(Err(_)) | Err(_) => return Err(busy()),
            },
        };
        let place = self.sandbox.place(context.chain.len(), by).await.ok_or_else(busy)?;
        Ok((turn, place))
    }
}

/// The deadline, or the end of the time that is allowed from then on. What is longer than the clock
/// can express is no bound of its own.
fn earlier(deadline: Instant, from: Instant, within: Duration) -> Instant {
    from.checked_add(within).map_or(deadline, |end| deadline.min(end))
}
