//! Takes its time, as a message and as a tool: it waits by asking for the time again and again.
//!
//! The contract has no sleep. Each turn of the loop is a call of the host, where a cancelled run ends.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Level, Manifest, Message, Plugin, Tool, ToolResult};

/// The plugin.
#[derive(Debug, Default)]
pub struct Slow;

#[derive(Deserialize, JsonSchema)]
struct Wait {
    /// How many milliseconds to wait.
    ms: u32,
}

impl Plugin for Slow {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("slow", |t| {
                t.schema::<Wait>().emits(["slow_result"]).description("Answers after `ms` milliseconds")
            })
            .tools()
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let waited = wait(ctx, &message.payload()?);
        Message::answer("slow_result", &json!({ "waited_ms": waited }))
    }

    fn tools(&mut self, _ctx: &Context) -> Result<Vec<Tool>, Error> {
        let description = "Waits slowly for a number of milliseconds, then says how long it waited. \
                           Use it for requests such as \"wait_slowly 30000\".";
        Ok(vec![Tool::new::<Wait>("wait_slowly", description).read_only()])
    }

    fn call_tool(&mut self, ctx: &Context, _name: &str, arguments: Value) -> Result<ToolResult, Error> {
        let arguments = serde_json::from_value(arguments).map_err(|fault| Error::invalid_payload("", fault))?;
        let waited = wait(ctx, &arguments);
        ToolResult::structured(format!("waited {waited} ms"), &json!({ "waited_ms": waited }))
    }
}

switchboard_sdk::register_plugin!(Slow);

/// Returns the milliseconds that passed. What it logs first tells a test that the call is under way.
fn wait(ctx: &Context, Wait { ms }: &Wait) -> u64 {
    ctx.log(Level::Info, "slow call begins", json!({ "ms": ms }));
    let wanted = Duration::from_millis(u64::from(*ms));
    let start = ctx.clock().monotonic();
    loop {
        let waited = ctx.clock().monotonic().saturating_sub(start);
        if waited >= wanted {
            return u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        }
    }
}
