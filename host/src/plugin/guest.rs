//! One question to an instance: the only place where Wasm is entered.
//!
//! Every way for the guest to end other than by answering becomes a [`CallFailure`] here.

use std::{sync::Arc, time::Duration};

use wasmtime::{Engine, PoolConcurrencyLimitError, ResourceLimiter, Store, Trap, WasmBacktrace, component::Instance};

use super::{
    answer,
    bindings::{completions, handler, types},
    failure::{CallFailure, TimeLimit},
    guest_text::{MAX_BACKTRACE_BYTES, MAX_LINE_BYTES, lines, one_line},
    instance::GuestMessage,
    instance_state::InstanceState,
    instances::sessions::Slot,
    limits::{Interruption, Limiter, Watch},
    wasi,
};

/// Resources that a guest can hold. The contract has none, but a component may make its own.
const MAX_HANDLES: usize = 1_024;

/// What wasmtime says, in an error of a type that it keeps to itself, when `max_hostcall_bytes` is exceeded.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// What it says when `MAX_HANDLES` is exceeded; a type of its own there is none either.
const HANDLES_EXHAUSTED: &str = "store handle limit exceeded";

/// After the pool turned out to be full although a permit was there; as short as a call.
const POOL_RETRY: Duration = Duration::from_millis(100);

/// What is asked of a guest.
pub(super) enum Question<'a> {
    Handle(GuestMessage),
    ListTools,
    CallTool {
        name: &'a str,
        arguments: String,
    },
    ListResources,
    ListResourceTemplates,
    ReadResource {
        uri: &'a str,
    },
    ListPrompts,
    GetPrompt {
        name: &'a str,
        arguments: String,
    },
    Complete {
        what: Completed<'a>,
        argument: &'a str,
        value: &'a str,
        known: String,
    },
    Connect,
    /// Asked in what is left of the session, which ends with it.
    Disconnect {
        reason: &'a str,
        last: Option<Arc<Slot>>,
    },
    Event {
        topic: &'a str,
        message: GuestMessage,
    },
    SelfTest,
    ExportState,
    ImportState {
        from_version: &'a str,
        state: &'a [u8],
    },
}

/// What an argument belongs to that is to be completed, by the plugin's own name for it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Completed<'a> {
    Prompt(&'a str),
    ResourceTemplate(&'a str),
}

/// What came back, checked.
#[derive(Debug)]
pub(super) enum Answer {
    Message(Option<GuestMessage>),
    Json(String),
    State(Vec<u8>),
    Nothing,
}

/// As it came back.
pub(super) enum Raw {
    Message(Result<Option<types::Message>, types::Refusal>),
    Json(Result<String, types::Refusal>),
    SelfTest(Result<(), String>),
    Exported(Result<Vec<u8>, String>),
    Imported(Result<(), String>),
    Nothing,
}

impl Question<'_> {
    /// The export's name in the contract.
    pub fn export(&self) -> &'static str {
        match self {
            Self::Handle(_) => "handle",
            Self::ListTools => "list-tools",
            Self::CallTool { .. } => "call-tool",
            Self::ListResources => "list-resources",
            Self::ListResourceTemplates => "list-resource-templates",
            Self::ReadResource { .. } => "read-resource",
            Self::ListPrompts => "list-prompts",
            Self::GetPrompt { .. } => "get-prompt",
            Self::Complete { .. } => "complete",
            Self::Connect => "on-connect",
            Self::Disconnect { .. } => "on-disconnect",
            Self::Event { .. } => "on-event",
            Self::SelfTest => "self-test",
            Self::ExportState => "export-state",
            Self::ImportState { .. } => "import-state",
        }
    }
}

/// A store with every bound set.
pub(super) fn store<T: Send + 'static>(
    engine: &Engine,
    data: T,
    watch: Watch,
    bounds: &Bounds,
    limiter: impl (Fn(&mut T) -> &mut Limiter) + Send + Sync + 'static,
) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(move |data| limiter(data) as &mut dyn ResourceLimiter);
    store.set_max_component_handles(MAX_HANDLES);
    set_bounds(&mut store, watch, bounds);
    store
}

/// The bounds that begin anew with every call.
pub(super) fn set_bounds<T: Send + 'static>(store: &mut Store<T>, watch: Watch, bounds: &Bounds) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| watch.tick());
    store.set_hostcall_fuel(bounds.hostcall_bytes);
}

/// `handler` is the instance's own, once it was looked up. The outer result is about the guest's code, the inner one about what the plugin exports.
pub(super) async fn invoke(
    store: &mut Store<InstanceState>,
    instance: &Instance,
    handler: &mut Option<handler::Guest>,
    question: Question<'_>,
) -> wasmtime::Result<Result<Raw, CallFailure>> {
    let version = store.data().call.version.clone();
    let exports = &version.exports;
    let context = store.data().call.guest_context();
    let lifecycle = exports.lifecycle.as_ref();
    let raw = match question {
        Question::Handle(message) => {
            let guest = match handler {
                Some(found) => found,
                None => handler.insert(exports.handler.load(&mut *store, instance)?),
            };
            Raw::Message(guest.call_handle(store, &context, &message.into()).await?)
        }
        Question::ListTools => {
            let Some(tools) = &exports.tools else { return Ok(Err(CallFailure::NotExported("tools"))) };
            Raw::Json(tools.load(&mut *store, instance)?.call_list_tools(store, &context).await?)
        }
        Question::CallTool { name, arguments } => {
            let Some(tools) = &exports.tools else { return Ok(Err(CallFailure::NotExported("tools"))) };
            Raw::Json(tools.load(&mut *store, instance)?.call_call_tool(store, &context, name, &arguments).await?)
        }
        Question::ListResources | Question::ListResourceTemplates | Question::ReadResource { .. } => {
            let Some(resources) = &exports.resources else { return Ok(Err(CallFailure::NotExported("resources"))) };
            let guest = resources.load(&mut *store, instance)?;
            Raw::Json(match question {
                Question::ReadResource { uri } => guest.call_read_resource(store, &context, uri).await?,
                Question::ListResources => guest.call_list_resources(store, &context).await?,
                _ => guest.call_list_resource_templates(store, &context).await?,
            })
        }
        Question::ListPrompts => {
            let Some(prompts) = &exports.prompts else { return Ok(Err(CallFailure::NotExported("prompts"))) };
            Raw::Json(prompts.load(&mut *store, instance)?.call_list_prompts(store, &context).await?)
        }
        Question::GetPrompt { name, arguments } => {
            let Some(prompts) = &exports.prompts else { return Ok(Err(CallFailure::NotExported("prompts"))) };
            Raw::Json(prompts.load(&mut *store, instance)?.call_get_prompt(store, &context, name, &arguments).await?)
        }
        Question::Complete { what, argument, value, known } => {
            let Some(indices) = &exports.completions else { return Ok(Err(CallFailure::NotExported("completions"))) };
            let guest = indices.load(&mut *store, instance)?;
            Raw::Json(guest.call_complete(store, &context, &what.into(), argument, value, &known).await?)
        }
        Question::SelfTest => {
            let Some(health) = &exports.health else { return Ok(Err(CallFailure::NotExported("health"))) };
            Raw::SelfTest(health.load(&mut *store, instance)?.call_self_test(store).await?)
        }
        Question::ExportState => {
            let Some(handover) = &exports.handover else { return Ok(Err(CallFailure::NotExported("handover"))) };
            Raw::Exported(handover.load(&mut *store, instance)?.call_export_state(store).await?)
        }
        Question::ImportState { from_version, state } => {
            let Some(handover) = &exports.handover else { return Ok(Err(CallFailure::NotExported("handover"))) };
            Raw::Imported(handover.load(&mut *store, instance)?.call_import_state(store, from_version, state).await?)
        }
        Question::Connect | Question::Disconnect { .. } | Question::Event { .. } => {
            let Some(lifecycle) = lifecycle else { return Ok(Err(CallFailure::NotExported("lifecycle"))) };
            let guest = lifecycle.load(&mut *store, instance)?;
            match question {
                Question::Disconnect { reason, .. } => guest.call_on_disconnect(store, &context, reason).await?,
                Question::Event { topic, message } => {
                    guest.call_on_event(store, &context, topic, &message.into()).await?;
                }
                _ => guest.call_on_connect(store, &context).await?,
            }
            Raw::Nothing
        }
    };
    Ok(Ok(raw))
}

pub(super) fn checked(raw: Raw, max_bytes: usize) -> Result<Answer, CallFailure> {
    let refused = |refusal| CallFailure::Refused(answer::refusal(refusal));
    match raw {
        Raw::Message(answered) => {
            let message = answered.map_err(refused)?;
            Ok(Answer::Message(message.map(|message| answer::message(message, max_bytes)).transpose()?))
        }
        Raw::Json(answered) => {
            let text = answered.map_err(refused)?;
            answer::size(&text, max_bytes).map_err(CallFailure::AnswerInvalid)?;
            Ok(Answer::Json(text))
        }
        Raw::SelfTest(passed) => match passed {
            Ok(()) => Ok(Answer::Nothing),
            Err(reason) => Err(CallFailure::Refused(answer::self_test_refusal(&reason))),
        },
        Raw::Exported(Ok(state)) => Ok(Answer::State(state)),
        Raw::Imported(Ok(())) | Raw::Nothing => Ok(Answer::Nothing),
        Raw::Exported(Err(reason)) | Raw::Imported(Err(reason)) => {
            Err(CallFailure::Refused(answer::handover_refusal(&reason)))
        }
    }
}

/// Where a guest was when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Instantiating,
    Running,
}

/// The limits that can end a guest, for saying which did.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    pub memory_bytes: usize,
    pub hostcall_bytes: usize,
    pub cpu_time: Duration,
    pub wall_clock: Duration,
}

impl Bounds {
    /// Which failure an error of wasmtime stands for.
    pub fn failure(&self, stage: Stage, fault: &wasmtime::Error, limiter: &Limiter) -> CallFailure {
        let backtrace = backtrace(fault);
        if let Some(interruption) = fault.downcast_ref::<Interruption>() {
            return self.interrupted(*interruption);
        }
        // The root alone: what is around it quotes names that the guest chose.
        let root = fault.root_cause().to_string();
        if root.contains(FUEL_EXHAUSTED) {
            let detail = format!("it moved more than {} bytes out of the sandbox at once", self.hostcall_bytes);
            return CallFailure::LimitExceeded { limit: "max_hostcall_bytes", detail };
        }
        if root.contains(HANDLES_EXHAUSTED) {
            let detail = format!("it holds {MAX_HANDLES} handles to resources and wants another");
            return CallFailure::LimitExceeded { limit: "handles", detail };
        }
        if fault.is::<PoolConcurrencyLimitError>() {
            return CallFailure::Busy { retry_after: POOL_RETRY };
        }
        if limiter.denied {
            return CallFailure::OutOfMemory { limit_bytes: self.memory_bytes, backtrace };
        }
        if limiter.tables_denied {
            let detail = "its tables would have grown beyond it".into();
            return CallFailure::LimitExceeded { limit: "max_table_elements", detail };
        }
        if let Some(failure) = wasi::failure(fault, &backtrace) {
            return failure;
        }
        match (stage, fault.downcast_ref::<Trap>()) {
            (_, Some(trap)) => CallFailure::Crashed { trap: in_words(*trap), backtrace },
            (Stage::Instantiating, None) if backtrace.is_empty() => {
                CallFailure::Host(one_line(&format!("{fault:#}"), MAX_LINE_BYTES))
            }
            // It has broken the rules by which values cross, with text that is not UTF-8 for example; or its
            // start has called what nobody may call before there is a call.
            (_, None) => CallFailure::Crashed { trap: one_line(&root, MAX_LINE_BYTES), backtrace },
        }
    }

    fn interrupted(&self, interruption: Interruption) -> CallFailure {
        match interruption {
            Interruption::CpuTime => CallFailure::TimedOut { limit: self.cpu_time, setting: TimeLimit::CpuTime },
            Interruption::Deadline => CallFailure::TimedOut { limit: self.wall_clock, setting: TimeLimit::Deadline },
            Interruption::RandomBytes { .. } => {
                CallFailure::LimitExceeded { limit: "random", detail: interruption.to_string() }
            }
        }
    }
}

fn in_words(trap: Trap) -> String {
    trap.to_string().trim_start_matches("wasm trap: ").to_owned()
}

/// Bounded.
pub(super) fn backtrace(fault: &wasmtime::Error) -> String {
    let frames = fault.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
    lines(frames.trim_end(), MAX_BACKTRACE_BYTES)
}

impl From<Completed<'_>> for completions::Completed {
    fn from(what: Completed<'_>) -> Self {
        match what {
            Completed::Prompt(name) => Self::Prompt(name.to_owned()),
            Completed::ResourceTemplate(template) => Self::ResourceTemplate(template.to_owned()),
        }
    }
}

impl From<GuestMessage> for types::Message {
    fn from(message: GuestMessage) -> Self {
        Self {
            type_: message.message_type.to_string(),
            payload: message.payload,
            id: message.id,
            correlation_id: message.correlation_id,
            timestamp: message.timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(stage: Stage, fault: wasmtime::Error, denied: bool) -> CallFailure {
        let bounds = Bounds {
            memory_bytes: 1,
            hostcall_bytes: 2,
            cpu_time: Duration::from_millis(3),
            wall_clock: Duration::from_millis(4),
        };
        let mut limiter = Limiter::new(0, 0);
        limiter.denied = denied;
        bounds.failure(stage, &fault, &limiter)
    }

    #[test]
    fn each_end_of_a_guest_is_a_failure_of_its_own() {
        let trap = || wasmtime::Error::from(Trap::UnreachableCodeReached);
        let run = |fault, denied| failure(Stage::Running, fault, denied).outcome();
        assert_eq!(run(trap(), false), "crashed");
        assert_eq!(run(trap(), true), "out_of_memory");
        assert_eq!(run(Interruption::CpuTime.into(), true), "timed_out");
        assert_eq!(run(Interruption::Deadline.into(), false), "timed_out");
        assert_eq!(run(Interruption::RandomBytes { limit: 1 }.into(), false), "limit_exceeded");
        assert_eq!(run(wasmtime::Error::msg(FUEL_EXHAUSTED), false), "limit_exceeded");
        assert_eq!(run(wasmtime::Error::msg(HANDLES_EXHAUSTED), false), "limit_exceeded");
        assert_eq!(run(wasmtime::Error::msg("invalid utf-8"), false), "crashed");
        assert_eq!(failure(Stage::Instantiating, wasmtime::Error::msg("x"), false).outcome(), "host_failure");
        assert_eq!(failure(Stage::Instantiating, wasmtime::Error::msg("x"), true).outcome(), "out_of_memory");
    }

    #[test]
    fn the_setting_is_named_that_ended_a_guest() {
        let words = |fault: Interruption| failure(Stage::Running, fault.into(), false).to_string();
        assert!(words(Interruption::CpuTime).contains("for 3 ms, which is all that `cpu_time`"));
        assert!(words(Interruption::Deadline).contains("within 4 ms, its `deadline`"));
    }

    #[test]
    fn a_table_that_may_not_grow_is_not_taken_for_memory() {
        let bounds = Bounds { memory_bytes: 1, hostcall_bytes: 2, cpu_time: Duration::MAX, wall_clock: Duration::MAX };
        let mut limiter = Limiter::new(0, 0);
        limiter.tables_denied = true;
        let failure = bounds.failure(Stage::Instantiating, &wasmtime::Error::msg("x"), &limiter);
        assert!(failure.to_string().contains("max_table_elements"), "{failure}");
    }

    #[test]
    fn a_crash_is_told_in_one_line_without_the_engines_prefix() {
        let CallFailure::Crashed { trap, .. } = failure(Stage::Running, Trap::IntegerDivisionByZero.into(), false)
        else {
            panic!("not a crash");
        };
        assert_eq!(trap, "integer divide by zero");
    }
}
