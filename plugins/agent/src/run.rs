//! One run: from `agent_started` to `agent_completed`, with a look at the cancel flag between steps.

use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, HeardTool, Message, Run, RunError, Status, ToolResult};

use crate::{
    AgentRequest,
    planner::{self, Choice, Plan},
    thread::{Role, Thread},
};

/// Steps of one request that are carried out.
const MAX_STEPS: usize = 8;

/// What each run says about who plans it.
const NOTE: &str = "No language model is configured: an embedded planner matches the request against the tools at \
                    hand, calls those that fit and reports what they returned.";

/// Why a run stops before its end.
enum Stop {
    Cancelled,
    Failed(Error),
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Cancelled => Self::Cancelled,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What has come of a run so far.
#[derive(Default)]
struct Progress {
    content: String,
    tool_calls: u32,
    tool_errors: u32,
    /// What the step before returned, for one that says "that".
    last_result: Option<String>,
}

/// Carries out a request; everything that the caller gets, it gets as events.
pub(crate) fn run(ctx: &Context, request: &AgentRequest) -> Result<Option<Message>, Error> {
    let run = ctx.runs().start(request.thread_id.as_deref())?;
    let mut progress = Progress::default();
    let how = match carry_out(ctx, &run, request, &mut progress) {
        Ok(()) => Status::Success,
        Err(Stop::Cancelled) => Status::Cancelled,
        Err(Stop::Failed(error)) => return fail(run, &progress, error),
    };
    match run.finish(how, &summary(&progress)) {
        // A run that was cancelled or timed out has been ended by the host, and that is that.
        Ok(()) | Err(RunError::Ended | RunError::Cancelled) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// The error stands in the terminal event; a second one as an `error` message would contradict "the one".
fn fail(run: Run<'_>, progress: &Progress, error: Error) -> Result<Option<Message>, Error> {
    let mut payload = summary(progress);
    payload["error"] = json!({ "code": error.code, "message": error.message });
    match run.finish(Status::Error, &payload) {
        Ok(()) | Err(RunError::Ended | RunError::Cancelled) => Ok(None),
        Err(_) => Err(error),
    }
}

fn summary(progress: &Progress) -> Value {
    json!({
        "message_id": MESSAGE_ID,
        "content": progress.content,
        "tool_calls": progress.tool_calls,
        "tool_errors": progress.tool_errors,
    })
}

/// A run says one thing, in pieces: the id need only be unique within it.
const MESSAGE_ID: &str = "msg_1";

fn carry_out(ctx: &Context, run: &Run<'_>, request: &AgentRequest, progress: &mut Progress) -> Result<(), Stop> {
    let mut thread = Thread::load(ctx, &run.thread_id)?;
    let tools = allowed_tools(ctx, request)?;
    run.emit(
        "agent_started",
        &json!({
            "agent": request.agent,
            "planner": "embedded",
            "note": NOTE,
            "tools": tools.len(),
            "earlier_entries": thread.len(),
        }),
    )?;
    let input = match thread.last_request() {
        Some(earlier) if planner::asks_to_repeat(&request.input) => earlier.to_owned(),
        _ => request.input.clone(),
    };
    thread.push(Role::User, &input);
    let today = planner::days_around(ctx.clock().unix_ms());
    for step in planner::steps(&input, MAX_STEPS) {
        if run.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        let step = planner::with_last_result(&step, progress.last_result.as_deref());
        take_step(ctx, run, &planner::choose(&step, &tools, &today), &tools, progress)?;
    }
    thread.push(Role::Agent, &progress.content);
    // A full memory is no reason to withhold the answer.
    if let Err(error) = thread.save(ctx, &run.thread_id) {
        ctx.log(switchboard_sdk::Level::Warn, "the thread was not saved", json!({ "error": error.to_string() }));
    }
    Ok(())
}

fn allowed_tools(ctx: &Context, request: &AgentRequest) -> Result<Vec<HeardTool>, Stop> {
    let mut tools = ctx.toolbox().list().map_err(Error::from)?;
    if let Some(allowed) = &request.tools {
        if let Some(missing) = allowed.iter().find(|name| !tools.iter().any(|tool| tool.name == **name)) {
            let problem = format!("`tools` names {missing:?}, and there is no such tool for you");
            return Err(Stop::Failed(Error::new("TOOL_UNKNOWN", problem)));
        }
        tools.retain(|tool| allowed.contains(&tool.name));
    }
    Ok(tools)
}

fn take_step(
    ctx: &Context,
    run: &Run<'_>,
    choice: &Choice,
    tools: &[HeardTool],
    progress: &mut Progress,
) -> Result<(), Stop> {
    run.emit("agent_thinking", &json!({ "content": planner::explain(choice) }))?;
    let text = match choice {
        Choice::Call(plan) => call_tool(ctx, run, plan, progress)?,
        Choice::Missing { .. } | Choice::Nothing => planner::apologise(choice, tools),
    };
    let delta = if progress.content.is_empty() { text } else { format!("\n{text}") };
    run.emit("partial_result", &json!({ "message_id": MESSAGE_ID, "delta": delta }))?;
    progress.content.push_str(&delta);
    Ok(())
}

fn call_tool(ctx: &Context, run: &Run<'_>, plan: &Plan, progress: &mut Progress) -> Result<String, Stop> {
    progress.tool_calls += 1;
    let id = format!("call_{}", progress.tool_calls);
    let call = json!({ "tool_call_id": id, "name": plan.tool, "arguments": plan.arguments });
    run.emit("tool_executing", &call)?;
    let begun = ctx.clock().monotonic();
    let outcome = ctx.toolbox().call(&plan.tool, &plan.arguments);
    let result = outcome.unwrap_or_else(|error| ToolResult::failure(Error::from(error).message));
    let duration_ms = (ctx.clock().monotonic() - begun).as_secs_f64() * 1000.0;
    run.emit(
        "tool_completed",
        &json!({
            "tool_call_id": id,
            "name": plan.tool,
            "result": result,
            "is_error": result.is_error,
            "duration_ms": duration_ms,
        }),
    )?;
    let text = result.joined_text();
    progress.tool_errors += u32::from(result.is_error);
    progress.last_result = (!result.is_error).then(|| main_value(&result));
    Ok(if result.is_error { format!("`{}` failed: {text}", plan.tool) } else { text })
}

/// What a later step means by "that": the value if there is one, else the text.
fn main_value(result: &ToolResult) -> String {
    match result.structured_content.as_ref().and_then(|content| content.get("value")) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => result.joined_text(),
    }
}
