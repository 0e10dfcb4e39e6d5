//! Agent runs: a request in, a stream of events out that ends in exactly one `agent_completed`.
//!
//! ```text
//! agent_started -> (agent_thinking | tool_executing -> tool_completed | partial_result)* -> agent_completed
//! ```
//!
//! - [`run`]: one run from its first event to its last
//! - [`thread`]: what was said before, bounded
//! - [`planner`]: which tool fits a request, and with which arguments; no network, and it says so
//!
//! The host stamps and numbers the events, keeps runs of one thread apart, and ends a run that this plugin
//! does not.

mod planner;
mod run;
mod thread;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

/// The events of a run.
const EVENTS: [&str; 6] =
    ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "partial_result", "agent_completed"];

/// What a run is called whose request names no agent.
const DEFAULT_AGENT: &str = "assistant";

/// The plugin.
#[derive(Debug, Default)]
pub struct Agent;

#[derive(Deserialize, JsonSchema)]
struct UserMessage {
    /// What the user says.
    #[schemars(length(min = 1, max = 8000))]
    content: String,
    /// The thread that it continues; a new one if left out.
    #[schemars(length(min = 1, max = 128))]
    thread_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct AgentRequest {
    /// A name for whoever answers, repeated in `agent_started`.
    #[serde(default = "default_agent")]
    #[schemars(length(min = 1, max = 64))]
    agent: String,
    /// What is to be done.
    #[schemars(length(min = 1, max = 8000))]
    input: String,
    /// The thread that it continues; a new one if left out.
    #[schemars(length(min = 1, max = 128))]
    thread_id: Option<String>,
    /// The only tools that may be used; all of the caller's if left out.
    #[schemars(length(max = 256))]
    tools: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
struct AgentCancel {
    /// The run to stop, as `agent_started` named it.
    #[schemars(length(min = 1, max = 128))]
    run_id: String,
}

fn default_agent() -> String {
    DEFAULT_AGENT.to_owned()
}

impl Plugin for Agent {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("user_message", |t| {
                t.schema::<UserMessage>().emits(EVENTS).concurrent().description("Something that a user says")
            })
            .handles("agent_request", |t| {
                t.schema::<AgentRequest>().emits(EVENTS).concurrent().description("Something to be done with tools")
            })
            .handles("agent_cancel", |t| {
                t.schema::<AgentCancel>().emits(["agent_cancelling"]).concurrent().description("Stops a run")
            })
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        match message.kind.as_str() {
            "user_message" => {
                let UserMessage { content, thread_id } = message.payload()?;
                run::run(ctx, &AgentRequest { agent: default_agent(), input: content, thread_id, tools: None })
            }
            "agent_request" => run::run(ctx, &message.payload()?),
            "agent_cancel" => cancel(ctx, &message),
            other => Err(Error::new("NOT_HANDLED", format!("`agent` does not handle messages of type {other:?}"))),
        }
    }
}

switchboard_sdk::register_plugin!(Agent);

/// The answer says only that the run was told; its own `agent_completed` says that it stopped.
fn cancel(ctx: &Context, message: &Message) -> Result<Option<Message>, Error> {
    let AgentCancel { run_id } = message.payload()?;
    ctx.runs().cancel(&run_id)?;
    Message::answer("agent_cancelling", &json!({ "run_id": run_id }))
}

#[cfg(test)]
mod tests;
