//! One run: its events in order, from `agent_started` to the one `agent_completed`.
//!
//! A tool that fails is something to report, and the run goes on. Only what keeps the run itself from going on
//! ends it as an error, and a cancellation ends it between two steps or at the next event.

use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, HeardTool, Message, Run, RunError, Status, ToolResult};

use crate::{
    Settings, answer,
    planner::{self, Call, Step},
    request::Request,
    thread::{Exchange, Thread, Used},
};

pub(crate) fn run(ctx: &Context, request: Request) -> Result<Option<Message>, Error> {
    let settings: Settings = ctx.settings()?;
    if let Some(agent) = request.agent.as_ref().filter(|agent| **agent != settings.name) {
        let fault = Error::new("AGENT_UNKNOWN", format!("there is no agent {agent:?}"));
        return Err(fault.help(format!("leave `agent` out, or ask for {:?}", settings.name)));
    }
    let run = ctx.runs().start(request.thread_id.as_deref())?;
    let mut progress = Progress { ctx, run: &run, said: String::new(), tools_used: Vec::new(), last_used: None };
    let ended = progress.work(&request, &settings);
    let Progress { said, tools_used, .. } = progress;
    let mut end = json!({ "message": said, "tools_used": tools_used });
    let status = match ended {
        Ok(()) => Status::Success,
        Err(fault) if fault.code == "RUN_CANCELLED" => Status::Cancelled,
        Err(Error { code, message, .. }) => {
            end["error"] = json!({ "code": code, "message": message });
            Status::Error
        }
    };
    match run.finish(status, &end) {
        // The host ended it first: that is how it ended.
        Err(RunError::Ended) | Ok(()) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

/// How far a run has come.
struct Progress<'a> {
    ctx: &'a Context,
    run: &'a Run<'a>,
    said: String,
    /// Names, each once, in the order of their first use.
    tools_used: Vec<String>,
    last_used: Option<Used>,
}

impl Progress<'_> {
    fn work(&mut self, request: &Request, settings: &Settings) -> Result<(), Error> {
        self.run.emit("agent_started", &json!({ "agent": settings.name, "planner": "embedded" }))?;
        let mut thread = Thread::load(self.ctx, &self.run.thread_id)?;
        let tools = self.allowed_tools(request)?;
        let steps = planner::plan(&request.text, &tools, &thread);
        self.run.emit("agent_thinking", &json!({ "text": thought(&steps, tools.len()) }))?;
        self.take(steps, &tools, &thread, settings.max_steps)?;
        let exchange =
            Exchange { asked: request.text.clone(), answered: self.said.clone(), used: self.last_used.clone() };
        thread.remember(exchange);
        thread.save(self.ctx, &self.run.thread_id)
    }

    fn allowed_tools(&self, request: &Request) -> Result<Vec<HeardTool>, Error> {
        let mut tools = self.ctx.toolbox().list()?;
        if let Some(allowed) = &request.tools {
            tools.retain(|tool| allowed.contains(&tool.name));
        }
        Ok(tools)
    }

    fn take(&mut self, steps: Vec<Step>, tools: &[HeardTool], thread: &Thread, max_steps: usize) -> Result<(), Error> {
        let mut calls = 0;
        for step in steps {
            if self.run.is_cancelled() {
                return Err(RunError::Cancelled.into());
            }
            match step {
                Step::Call(_) if calls == max_steps => return self.say(&answer::too_many_steps(max_steps)),
                Step::Call(call) => {
                    calls += 1;
                    self.call(calls, &call)?;
                }
                // What it refers to was not known before the step ahead of it.
                Step::Later(clause) if calls < max_steps => {
                    calls += 1;
                    match planner::follow_up(&clause, tools, self.last_used.as_ref()) {
                        Some(call) => self.call(calls, &call)?,
                        None => self.say(&answer::tools_there_are(&clause, tools))?,
                    }
                }
                Step::Later(_) => return self.say(&answer::too_many_steps(max_steps)),
                Step::Missing(missing) => self.say(&answer::missing(&missing))?,
                Step::Recall => self.say(&answer::recalled(thread.last()))?,
                Step::Unknown(clause) => self.say(&answer::tools_there_are(&clause, tools))?,
            }
        }
        Ok(())
    }

    fn call(&mut self, number: usize, call: &Call) -> Result<(), Error> {
        let id = format!("{}_call_{number}", self.run.id);
        let about = json!({ "tool_call_id": id, "name": call.tool, "arguments": call.arguments });
        self.run.emit("tool_executing", &about)?;
        if !self.tools_used.contains(&call.tool) {
            self.tools_used.push(call.tool.clone());
        }
        let began = self.ctx.clock().monotonic();
        let result = self.ctx.toolbox().call(&call.tool, &call.arguments).map_err(Error::from);
        let duration = self.ctx.clock().monotonic().saturating_sub(began);
        if self.run.is_cancelled() {
            return Err(RunError::Cancelled.into());
        }
        let mut event =
            json!({ "tool_call_id": id, "name": call.tool, "duration_ms": duration.as_secs_f64() * 1000.0 });
        let sentence = self.judge(call, result, &mut event);
        self.run.emit("tool_completed", &event)?;
        self.say(&sentence)
    }

    /// Adds the result or the error to the event, and returns what to say of it.
    fn judge(&mut self, call: &Call, result: Result<ToolResult, Error>, event: &mut Value) -> String {
        let failure = match result {
            Ok(result) if !result.is_error => {
                let text = result.joined_text();
                self.last_used = Some(used(call, &text, result.structured_content.as_ref()));
                event["is_error"] = false.into();
                event["result"] = json!({ "text": text });
                if let Some(content) = result.structured_content {
                    event["result"]["structuredContent"] = content;
                }
                return answer::succeeded(call, &text);
            }
            Ok(result) => Error::new("TOOL_FAILED", result.joined_text()),
            Err(error) => error,
        };
        event["is_error"] = true.into();
        event["error"] = json!({ "code": failure.code, "message": failure.message });
        answer::failed(call, &failure.message)
    }

    /// Adds a paragraph to the answer.
    fn say(&mut self, paragraph: &str) -> Result<(), Error> {
        let before = if self.said.is_empty() { "" } else { "\n" };
        let message_id = format!("{}_answer", self.run.id);
        for delta in answer::pieces(&format!("{before}{paragraph}")) {
            self.run.emit("partial_result", &json!({ "message_id": message_id, "delta": delta }))?;
            self.said.push_str(delta);
        }
        Ok(())
    }
}

fn thought(steps: &[Step], tools: usize) -> String {
    let names: Vec<String> = steps.iter().filter_map(Step::describe).collect();
    let plan = if names.is_empty() { "I call none of them".to_owned() } else { names.join(", then ") };
    format!(
        "The embedded planner, which needs no network and no model, compared the request with each tool ({tools} in all): {plan}."
    )
}

fn used(call: &Call, text: &str, content: Option<&Value>) -> Used {
    let member = content.and_then(|content| ["result", "value"].iter().find_map(|name| content.get(*name)));
    let number = match member {
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => Some(text.trim().to_owned()).filter(|text| text.parse::<f64>().is_ok_and(f64::is_finite)),
    };
    Used { tool: call.tool.clone(), arguments: call.arguments.clone(), number }
}
