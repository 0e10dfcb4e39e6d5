//! Calls into a version of a plugin, each in the instance that its isolation asks for.
//!
//! Whatever the guest does, a call ends by its deadline: with an answer or with one of the failures of
//! [`CallFailure`]. To drop the future of a call is to end the guest; nothing of it remains, its run,
//! if it had one, ends as cancelled, and its metrics are counted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use switchboard_protocol::MessageType;
use tokio::{
    sync::{OwnedMutexGuard, OwnedSemaphorePermit},
    time::timeout_at,
};
use tracing::Instrument as _;

use super::{
    PluginVersion,
    call_record::CallRecord,
    call_state::CallState,
    cpu_time::{CpuMeter, Metered},
    detached,
    effects::CallContext,
    engine::Place,
    failure::{CallFailure, TimeLimit},
    guest::{Answer, Completed, Question},
    instances::{
        live::{Live, PutAway},
        room::Room,
        sessions::{LastInstance, Occupant, Slot},
    },
    limits::Watch,
    runs::{CallRun, RunEnd},
};

pub(crate) use super::manifest_call::manifest_of;
use crate::config::Isolation;

/// The most that a self-test may take, whatever the plugin's own deadline: traffic waits for it.
const SELF_TEST: Duration = Duration::from_secs(30);

/// What a self-test is given at least. Limits may be cut for messages that take no time; on a busy machine they would
/// keep a version out that is fit.
const SELF_TEST_DEADLINE: Duration = Duration::from_secs(1);
const SELF_TEST_CPU_TIME: Duration = Duration::from_millis(100);

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
        #[cfg(feature = "bench")]
        if let Some(answer) = super::native::answer(&message) {
            return answer;
        }
        match self.call(context, Question::Handle(message)).await? {
            Answer::Message(message) => Ok(message),
            Answer::Json(_) | Answer::State(_) | Answer::Nothing => {
                Err(CallFailure::Host("handle gave no message".into()))
            }
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

    /// As [`Self::list_tools`], of resources.
    pub async fn list_resources(self: &Arc<Self>, context: CallContext) -> Result<String, CallFailure> {
        self.json(context, Question::ListResources).await
    }

    /// As [`Self::list_tools`], of resource templates.
    pub async fn list_resource_templates(self: &Arc<Self>, context: CallContext) -> Result<String, CallFailure> {
        self.json(context, Question::ListResourceTemplates).await
    }

    /// What the resource holds; only its size has been checked.
    pub async fn read_resource(self: &Arc<Self>, context: CallContext, uri: &str) -> Result<String, CallFailure> {
        self.json(context, Question::ReadResource { uri }).await
    }

    /// As [`Self::list_tools`], of prompts.
    pub async fn list_prompts(self: &Arc<Self>, context: CallContext) -> Result<String, CallFailure> {
        self.json(context, Question::ListPrompts).await
    }

    /// What the prompt becomes; only its size has been checked.
    pub async fn get_prompt(
        self: &Arc<Self>,
        context: CallContext,
        name: &str,
        arguments: String,
    ) -> Result<String, CallFailure> {
        self.json(context, Question::GetPrompt { name, arguments }).await
    }

    /// What an argument could be; only its size has been checked.
    pub async fn complete(
        self: &Arc<Self>,
        context: CallContext,
        what: Completed<'_>,
        argument: &str,
        value: &str,
        known: String,
    ) -> Result<String, CallFailure> {
        self.json(context, Question::Complete { what, argument, value, known }).await
    }

    pub async fn on_connect(self: &Arc<Self>, context: CallContext) -> Result<(), CallFailure> {
        self.call(context, Question::Connect).await.map(drop)
    }

    /// In what is left of the session, which ends with it.
    pub async fn on_disconnect(
        self: &Arc<Self>,
        context: CallContext,
        reason: &str,
        LastInstance(last): LastInstance,
    ) -> Result<(), CallFailure> {
        self.call(context, Question::Disconnect { reason, last }).await.map(drop)
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
        let context = detached::context(Instant::now() + SELF_TEST);
        self.call(context, Question::SelfTest).await.map(drop)
    }

    async fn json(self: &Arc<Self>, context: CallContext, question: Question<'_>) -> Result<String, CallFailure> {
        let export = question.export();
        match self.call(context, question).await? {
            Answer::Json(text) => Ok(text),
            Answer::Message(_) | Answer::State(_) | Answer::Nothing => {
                Err(CallFailure::Host(format!("{export} gave no JSON")))
            }
        }
    }

    /// The whole life of one call.
    async fn call(self: &Arc<Self>, mut context: CallContext, question: Question<'_>) -> Result<Answer, CallFailure> {
        let permit = self.health.admit(&context, &question, Instant::now())?;
        let _under_way = self.begin_call();
        let mut record = CallRecord::begin(self, &context, question.export());
        let span = record.span();
        context.deadline = earlier(context.deadline, record.begun, self.deadline_of(&question));
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
                result.unwrap_or(Err(CallFailure::TimedOut { limit: allowed, setting: TimeLimit::Deadline }))
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
        // In this order, so that a call that waits for its session keeps nobody else from a place.
        let occupant = match self.slot(&context, &question) {
            Some(slot) => Some(self.wait_for_session(&context, slot).await?),
            None => None,
        };
        // Both outlive the store, unless that has leave to wait for another call.
        let (_turn, _place) = self.wait_for_turn(&context).await?;
        let watch = Watch { meter: meter.clone(), cpu_time: self.cpu_time_of(&question), deadline: context.deadline };
        let call = CallState::new(self.clone(), context, allowed, meter, run);
        match occupant {
            Some(occupant) => self.ask_in_session(occupant, call, watch, question).await,
            None => self.ask_any(call, watch, question).await,
        }
    }

    fn deadline_of(&self, question: &Question<'_>) -> Duration {
        match question {
            Question::SelfTest => self.limits.deadline.max(SELF_TEST_DEADLINE),
            _ => self.limits.deadline,
        }
    }

    fn cpu_time_of(&self, question: &Question<'_>) -> Duration {
        match question {
            Question::SelfTest => self.limits.cpu_time.max(SELF_TEST_CPU_TIME),
            _ => self.limits.cpu_time,
        }
    }

    /// The place of the caller's session, if its instances have one. A session that has ended has none: what
    /// comes late is asked of an instance that ends with it.
    fn slot(&self, context: &CallContext, question: &Question<'_>) -> Option<Arc<Slot>> {
        match question {
            _ if self.isolation != Isolation::Session || detached::is_nobody(&context.caller) => None,
            Question::Disconnect { last, .. } => last.clone(),
            _ => self.shared.sessions.slot(&context.caller, &self.name),
        }
    }

    /// Asks an instance that waits for any call, or a fresh one.
    async fn ask_any(
        self: &Arc<Self>,
        call: CallState,
        watch: Watch,
        question: Question<'_>,
    ) -> Result<Answer, CallFailure> {
        let mut live = match self.ready.take(self) {
            Some(mut waiting) => {
                waiting.begin(call, watch);
                waiting
            }
            None => self.start_on_demand(call, watch).await?,
        };
        let result = live.ask(question).await;
        match may_serve_again(&result) {
            true if self.isolation == Isolation::Shared => _ = self.ready.give(self, live, Room::OthersGiveWay),
            true => {}
            false => live.put_away(PutAway::Failed),
        }
        self.fill();
        result
    }

    /// Asks the instance of a session, or a fresh one that takes over from the last.
    async fn ask_in_session(
        self: &Arc<Self>,
        mut occupant: OwnedMutexGuard<Occupant>,
        call: CallState,
        watch: Watch,
        question: Question<'_>,
    ) -> Result<Answer, CallFailure> {
        // What the last instance leaves behind is not on this message's account.
        let mut live = match call.meter.without(occupant.take(self)).await {
            Some(live) => live,
            None => self.successor(&mut occupant, &call, &watch).await?,
        };
        let ends = matches!(question, Question::Disconnect { .. });
        live.begin(call, watch);
        let result = live.ask(question).await;
        match may_serve_again(&result) {
            _ if ends => live.put_away(PutAway::Session),
            true => Occupant::give(occupant, live),
            false => live.put_away(PutAway::Failed),
        }
        result
    }

    /// A fresh instance, with what the last one of the session left.
    async fn successor(
        self: &Arc<Self>,
        occupant: &mut Occupant,
        call: &CallState,
        watch: &Watch,
    ) -> Result<Live, CallFailure> {
        let nobodys = || CallState::nobodys_with(self.clone(), call.allowed, call.meter.clone(), CallRun::new());
        let mut fresh = match self.ready.take(self) {
            Some(waiting) => waiting,
            None => self.start_on_demand(nobodys(), watch.clone()).await?,
        };
        self.fill();
        if occupant.parked().as_mut().is_some_and(|parked| !parked.attempt()) {
            tracing::warn!(plugin = %self.name, version = %self.version, "nobody took over in time what an instance left behind: its session starts anew");
            self.shared.count_handover(&self.name, "import_failed");
            *occupant.parked() = None;
        }
        // Kept until it was taken over, in case this call ends before that.
        if let Some(parked) = occupant.parked() {
            let usable = call.meter.without(self.hand_over(parked, &mut fresh)).await;
            *occupant.parked() = None;
            if !usable {
                fresh.put_away(PutAway::Failed);
                fresh = self.start_on_demand(nobodys(), watch.clone()).await?;
            }
        }
        Ok(fresh)
    }

    async fn start_on_demand(&self, call: CallState, watch: Watch) -> Result<Live, CallFailure> {
        let began = Instant::now();
        let live = Live::start(call, watch).await?;
        self.ready.saw_start(began.elapsed());
        self.count_start("on_demand");
        Ok(live)
    }

    async fn wait_for_session(
        &self,
        context: &CallContext,
        slot: Arc<Slot>,
    ) -> Result<OwnedMutexGuard<Occupant>, CallFailure> {
        let by = earlier(context.deadline, Instant::now(), self.limits.max_wait);
        let busy = |_| CallFailure::Busy { retry_after: self.limits.max_wait };
        timeout_at(by.into(), slot.lock_owned()).await.map_err(busy)
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

/// Whether the instance did nothing that casts doubt on it.
fn may_serve_again(result: &Result<Answer, CallFailure>) -> bool {
    matches!(result, Ok(_) | Err(CallFailure::Refused(_)))
}

/// The deadline, or the end of the time that is allowed from then on. What is longer than the clock
/// can express is no bound of its own.
fn earlier(deadline: Instant, from: Instant, within: Duration) -> Instant {
    from.checked_add(within).map_or(deadline, |end| deadline.min(end))
}
