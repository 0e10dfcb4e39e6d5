//! One call of a plugin, from its context to its outcome, in the order of the real host: route, check,
//! call a fresh value of the plugin through the same functions that a component exports, check again.

use std::{cell::RefCell, rc::Rc};

use serde_json::{Value, json};

use super::{
    Caller,
    imports::{current, within},
    outcome::Outcome,
    rules,
    world::{Call, World},
};
use crate::{
    Error, Message, Plugin, Status, ToolError, ToolResult,
    bindings::switchboard::plugin::types::{self, Refusal},
    exports,
};

/// What a call is given that no test shortens.
const DEADLINE_MS: u32 = 5_000;

type Shared = Rc<RefCell<World>>;

pub(super) fn handle<P: Plugin>(world: &Shared, caller: &Caller, kind: &str, payload: &str) -> Outcome {
    let manifest = checked::<P>(world);
    if let Err(error) = accept(&manifest, kind, payload) {
        return Outcome {
            result: Err(error),
            sent: vec![],
            published: vec![],
            events: vec![],
            logs: vec![],
            requests: vec![],
        };
    }
    let message = types::Message {
        type_: kind.to_owned(),
        payload: payload.to_owned(),
        id: caller.message_id.clone(),
        correlation_id: None,
        timestamp: world.borrow().now.as_secs_f64(),
    };
    run::<P, _>(world, caller, |plugin, context| {
        let answer = exports::handle(plugin, context, message).map_err(refused)?;
        answer.map(|answer| accept_answer(answer.into())).transpose()
    })
}

/// The plugin's manifest, when it and the settings are what the real host would load.
fn checked<P: Plugin>(world: &Shared) -> Value {
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

fn refused(refusal: Refusal) -> Error {
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
    begin::<P>(world, context.clone());
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

fn begin<P: Plugin>(world: &Shared, context: types::Context) {
    let plugin = rules::name_of(&P::manifest().to_value());
    let call = Call { plugin, context, sent: vec![], published: vec![], logs: vec![], requests: vec![], run: None };
    world.borrow_mut().calls.push(call);
}

/// Ends the innermost call, and its run if the plugin did not.
fn finish(world: &Shared, result: Result<Option<Message>, Error>) -> Outcome {
    let mut world = world.borrow_mut();
    if world.call().run.as_ref().is_some_and(|run| !run.ended) {
        let how = if world.run_is_cancelled() { Status::Cancelled } else { Status::Error };
        let error = result.as_ref().err().map_or("the run was not finished".to_owned(), ToString::to_string);
        let ended = world.finish_run(how, &json!({ "error": error }).to_string());
        debug_assert_eq!(ended, Ok(()));
    }
    let Some(Call { sent, published, logs, requests, run, .. }) = world.calls.pop() else {
        panic!("a call ended that never began");
    };
    Outcome { result, sent, published, logs, requests, events: run.map(|run| run.events).unwrap_or_default() }
}

fn context_of(caller: &Caller) -> types::Context {
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

pub(super) fn list_tools<P: Plugin>(world: &Shared, caller: &Caller) -> Vec<Value> {
    let manifest = rules::checked_manifest::<P>();
    if manifest["tools"] != true {
        panic!("the manifest does not say that there are tools: add `.tools()`");
    }
    let context = context_of(caller);
    begin::<P>(world, context.clone());
    let listed = within(world, || exports::list_tools(&mut P::default(), context));
    finish(world, Ok(None));
    let tools: Vec<Value> = match listed {
        Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
        Err(refusal) => panic!("the plugin does not list its tools: {}", refused(refusal)),
    };
    tools.iter().for_each(rules::check_tool);
    tools
}

pub(super) fn call_tool<P: Plugin>(
    world: &Shared,
    caller: &Caller,
    name: &str,
    arguments: &Value,
) -> Result<ToolResult, ToolError> {
    let tools = list_tools::<P>(world, caller);
    let tool = tools.iter().find(|tool| tool["name"] == name);
    let tool = tool.ok_or_else(|| ToolError::UnknownTool(name.to_owned()))?;
    rules::check_schema(&tool["inputSchema"], arguments).map_err(ToolError::InvalidArguments)?;
    let context = context_of(caller);
    begin::<P>(world, context.clone());
    let result = within(world, || tool_result::<P>(context, name, arguments));
    finish(world, Ok(None));
    check_output(tool, result?)
}

/// A tool of `P`, called by a plugin that is itself being called: with the same caller, and within its run.
pub(super) fn tool_within_call<P: Plugin>(name: &str, arguments: &Value) -> Result<ToolResult, ToolError> {
    let world = current();
    let mut context = world.borrow_mut().call().context.clone();
    if let Some(run) = &world.borrow_mut().call().run {
        context.run_id = Some(run.ids.run_id.clone());
        context.thread_id = Some(run.ids.thread_id.clone());
    }
    begin::<P>(&world, context.clone());
    let result = tool_result::<P>(context, name, arguments);
    finish(&world, Ok(None));
    result
}

fn tool_result<P: Plugin>(context: types::Context, name: &str, arguments: &Value) -> Result<ToolResult, ToolError> {
    let text = exports::call_tool(&mut P::default(), context, name, &arguments.to_string())
        .map_err(|refusal| ToolError::Failed(refused(refusal).to_string()))?;
    serde_json::from_str(&text).map_err(|fault| ToolError::Failed(fault.to_string()))
}

/// A tool that promised an `outputSchema` has to keep to it.
fn check_output(tool: &Value, result: ToolResult) -> Result<ToolResult, ToolError> {
    if let (Some(schema), Some(content)) = (tool.get("outputSchema"), &result.structured_content)
        && !result.is_error
    {
        rules::check_schema(schema, content)
            .map_err(|fault| ToolError::Failed(format!("the result does not fit `outputSchema`: {fault}")))?;
    }
    Ok(result)
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
    begin::<P>(world, context_of(caller));
    let result = within(world, || exports::self_test(&mut P::default()));
    finish(world, Ok(None));
    result
}
