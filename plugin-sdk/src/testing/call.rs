//! One call of a plugin, from its context to its outcome, in the order of the real host: route, check,
//! call a fresh value of the plugin through the same functions that a component exports, check again.

use std::{cell::RefCell, rc::Rc};

use serde_json::{Value, json};

use super::{
    Caller,
    imports::{current, within},
    outcome::Outcome,
    rules,
    world::{
        Call, World,
        offers::{Inputs, Notices},
        requests::CallRequest,
    },
};
use crate::{
    Error, Message, Plugin, Status,
    bindings::switchboard::plugin::types::{self, Refusal},
    exports,
};

/// What a call is given that no test shortens.
const DEADLINE_MS: u32 = 5_000;

pub(super) type Shared = Rc<RefCell<World>>;

pub(super) fn handle<P: Plugin>(world: &Shared, caller: &Caller, kind: &str, payload: &str) -> Outcome {
    let manifest = checked::<P>(world);
    if let Err(error) = accept(&manifest, kind, payload) {
        return Outcome::refused(error);
    }
    let message = types::Message {
        type_: kind.to_owned(),
        payload: payload.to_owned(),
        id: caller.message_id.clone(),
        correlation_id: None,
        timestamp: world.borrow().now.as_secs_f64(),
    };
    run::<P, _>(world, caller, |plugin, context| {
        current().borrow_mut().call().request = Some(CallRequest::default());
        let answer = exports::handle(plugin, context, message).map_err(refused)?;
        answer.map(|answer| accept_answer(answer.into())).transpose()
    })
}

/// The plugin's manifest, when it and the settings are what the real host would load.
pub(super) fn checked<P: Plugin>(world: &Shared) -> Value {
    let manifest = rules::checked_manifest::<P>();
    if let Some(schema) = manifest.get("settings")
        && let Err(fault) = rules::check_schema(schema, &world.borrow().settings)
    {
        panic!("the host would refuse these settings: {fault}");
    }
    manifest
}

fn accept(manifest: &Value, kind: &str, payload: &str) -> Result<(), Error> {
    let Some(handled) = rules::handled(manifest, kind) else {
        return Err(Error::new("UNKNOWN_MESSAGE_TYPE", format!("the manifest does not claim {kind:?}")));
    };
    let payload = rules::object(payload).map_err(|fault| Error::new("PAYLOAD_INVALID", fault))?;
    match handled.get("schema") {
        Some(schema) => rules::check_schema(schema, &payload).map_err(|fault| Error::new("PAYLOAD_INVALID", fault)),
        None => Ok(()),
    }
}

fn accept_answer(answer: Message) -> Result<Message, Error> {
    let checked = rules::check_type(&answer.kind).and_then(|()| rules::object(&answer.payload).map(|_| ()));
    checked.map(|()| answer).map_err(|fault| Error::new("PLUGIN_ANSWER_INVALID", fault))
}

pub(super) fn refused(refusal: Refusal) -> Error {
    if let Err(fault) = rules::check_code(&refusal.code) {
        return Error::new("PLUGIN_ANSWER_INVALID", fault);
    }
    Error {
        code: refusal.code,
        message: refusal.message,
        recoverable: refusal.recoverable,
        help: refusal.help,
        retry_after: refusal.retry_after_ms.map(|wait| std::time::Duration::from_millis(wait.into())),
    }
}

/// Makes a call with a fresh value of the plugin, and collects what it caused.
fn run<P: Plugin, R: Into<CallResult>>(
    world: &Shared,
    caller: &Caller,
    body: impl FnOnce(&mut P, types::Context) -> R,
) -> Outcome {
    let context = context_of(caller);
    begin::<P>(world, caller, context.clone());
    let CallResult(result) = within(world, || body(&mut P::default(), context)).into();
    finish(world, result)
}

struct CallResult(Result<Option<Message>, Error>);

impl From<Result<Option<Message>, Error>> for CallResult {
    fn from(result: Result<Option<Message>, Error>) -> Self {
        Self(result)
    }
}

impl From<()> for CallResult {
    fn from((): ()) -> Self {
        Self(Ok(None))
    }
}

/// Begins a call within the innermost one, with the same caller, within its run, and with what was passed on.
pub(super) fn begin_within_call<P: Plugin>() -> (Shared, types::Context) {
    let world = current();
    let mut context = world.borrow_mut().call().context.clone();
    if let Some(run) = &world.borrow_mut().call().run {
        context.run_id = Some(run.ids.run_id.clone());
        context.thread_id = Some(run.ids.thread_id.clone());
    }
    let (inputs, notices) = world.borrow().passed.last().cloned().unwrap_or_default();
    push::<P>(&world, context.clone(), inputs, notices);
    (world, context)
}

/// Begins a call that nothing led to but the caller itself.
pub(super) fn begin<P: Plugin>(world: &Shared, caller: &Caller, context: types::Context) {
    push::<P>(world, context, caller.inputs.clone(), Notices::default());
}

fn push<P: Plugin>(world: &Shared, context: types::Context, inputs: Inputs, notices: Notices) {
    let plugin = rules::name_of(&P::manifest().to_value());
    world.borrow_mut().calls.push(Call {
        plugin,
        context,
        sent: vec![],
        published: vec![],
        logs: vec![],
        requests: vec![],
        run: None,
        inputs,
        notices,
        progress: None,
        request: None,
        changed: vec![],
    });
}

/// Asks for an item within a call: what is sent along with it is there for the plugin that offers it.
pub(super) fn within_call<R>(inputs: Inputs, notices: Notices, body: impl FnOnce() -> R) -> R {
    let world = current();
    world.borrow_mut().passed.push((inputs, notices));
    let result = body();
    world.borrow_mut().passed.pop();
    result
}

/// Ends the innermost call, and its run if the plugin did not.
pub(super) fn finish(world: &Shared, result: Result<Option<Message>, Error>) -> Outcome {
    let mut world = world.borrow_mut();
    if world.call().run.as_ref().is_some_and(|run| !run.ended) {
        let how = if world.run_is_cancelled() { Status::Cancelled } else { Status::Error };
        let error = result.as_ref().err().map_or("the run was not finished".to_owned(), ToString::to_string);
        let ended = world.finish_run(how, &json!({ "error": error }).to_string());
        debug_assert_eq!(ended, Ok(()));
    }
    let Some(call) = world.calls.pop() else {
        panic!("a call ended that never began");
    };
    let request = call.request.unwrap_or_default();
    let (name, shown) = (request.name.clone(), request.shown.clone());
    let left_open = world.end_request(&call.context.session_id, request, matches!(result, Ok(None)));
    Outcome {
        result,
        sent: call.sent,
        published: call.published,
        logs: call.logs,
        requests: call.requests,
        events: call.run.map(|run| run.events).unwrap_or_default(),
        request: name,
        left_open,
        shown,
        changed: call.changed,
    }
}

pub(super) fn context_of(caller: &Caller) -> types::Context {
    let Caller { subject, tenant, scopes, claims, transport, .. } = caller.clone();
    types::Context {
        connection_id: format!("ws_{subject}"),
        session_id: format!("session_{subject}"),
        principal: types::Principal { subject, tenant, scopes, claims: claims.to_string() },
        transport,
        thread_id: None,
        run_id: None,
        deadline_ms: DEADLINE_MS,
        traceparent: None,
    }
}

pub(super) fn connect<P: Plugin>(world: &Shared, caller: &Caller) -> Outcome {
    checked::<P>(world);
    run::<P, _>(world, caller, exports::on_connect)
}

pub(super) fn disconnect<P: Plugin>(world: &Shared, caller: &Caller, reason: &str) -> Outcome {
    checked::<P>(world);
    run::<P, _>(world, caller, |plugin, context| exports::on_disconnect(plugin, context, reason))
}

pub(super) fn event<P: Plugin>(world: &Shared, caller: &Caller, topic: &str, kind: &str, payload: &Value) -> Outcome {
    checked::<P>(world);
    let message = types::Message {
        type_: kind.to_owned(),
        payload: payload.to_string(),
        id: None,
        correlation_id: None,
        timestamp: world.borrow().now.as_secs_f64(),
    };
    run::<P, _>(world, caller, |plugin, context| exports::on_event(plugin, context, topic, message))
}

pub(super) fn self_test<P: Plugin>(world: &Shared, caller: &Caller) -> Result<(), String> {
    checked::<P>(world);
    begin::<P>(world, caller, context_of(caller));
    let result = within(world, || exports::self_test(&mut P::default()));
    finish(world, Ok(None));
    result
}
