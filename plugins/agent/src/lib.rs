//! An agent: a request in, a stream of events out, which ends in exactly one `agent_completed`.
//!
//! - [`request`]: the three messages, and what they have in common
//! - [`run`]: one run, from `agent_started` to its end; the only place that emits events
//! - [`planner`]: which tools to call, and with what; knows neither events nor the host
//! - [`thread`]: what was said before in a thread, bounded, in the user's own state
//!
//! The planner is embedded: it matches words with the tools' descriptions and schemas, needs no network, and
//! says so in every run.

mod answer;
mod planner;
mod request;
mod run;
mod thread;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

use request::{AgentCancel, AgentRequest, UserMessage};

/// Everything that a run emits.
const EVENTS: [&str; 6] =
    ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "partial_result", "agent_completed"];

/// The plugin. It remembers nothing itself: threads are in the state.
#[derive(Debug, Default)]
pub struct Agent;

/// What an operator can change.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Settings {
    /// The agent's name, as clients see it.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// How many tools one run may call.
    #[schemars(range(min = 1, max = 64))]
    max_steps: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "switchboard".to_owned(), max_steps: 8 }
    }
}

impl Plugin for Agent {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("user_message", |t| {
                t.schema::<UserMessage>().emits(EVENTS).concurrent().description("Says something to the agent")
            })
            .handles("agent_request", |t| {
                t.schema::<AgentRequest>()
                    .emits(EVENTS)
                    .concurrent()
                    .description("Asks the agent for something, with a choice of tools")
            })
            .handles("agent_cancel", |t| {
                t.schema::<AgentCancel>()
                    .emits(["agent_cancel_accepted"])
                    .concurrent()
                    .description("Stops one of the caller's own runs")
            })
            .settings::<Settings>()
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        match message.kind.as_str() {
            "user_message" => run::run(ctx, message.payload::<UserMessage>()?.into()),
            "agent_request" => run::run(ctx, message.payload::<AgentRequest>()?.into()),
            "agent_cancel" => cancel(ctx, &message.payload()?),
            other => Err(Error::new("NOT_HANDLED", format!("`agent` does not handle messages of type {other:?}"))),
        }
    }
}

switchboard_sdk::register_plugin!(Agent);

fn cancel(ctx: &Context, AgentCancel { run_id }: &AgentCancel) -> Result<Option<Message>, Error> {
    ctx.runs().cancel(run_id)?;
    Message::answer("agent_cancel_accepted", &json!({ "run_id": run_id }))
}

#[cfg(test)]
mod tests;
