//! Waits: `wait_host` calls the host for ever; `wait_thread {thread_id, hold_ms}` begins a run of a thread, which
//! waits for earlier ones, holds it for a while and ends it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Status};

#[derive(Deserialize, JsonSchema)]
struct WaitThread {
    thread_id: String,
    #[serde(default)]
    hold_ms: u64,
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Waits;

impl Plugin for Waits {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("wait_host", |t| t.concurrent())
            .handles("wait_thread", |t| t.schema::<WaitThread>().emits(["waited", "agent_completed"]).concurrent())
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        if message.kind == "wait_host" {
            loop {
                let _ = ctx.clock().monotonic();
            }
        }
        let WaitThread { thread_id, hold_ms } = message.payload()?;
        let asked = ctx.clock().monotonic();
        let run = ctx.runs().start(Some(&thread_id))?;
        let begun = ctx.clock().monotonic();
        let waited_ms = u64::try_from((begun - asked).as_millis()).unwrap_or(u64::MAX);
        run.emit("waited", &json!({ "waited_ms": waited_ms }))?;
        while ctx.clock().monotonic() - begun < Duration::from_millis(hold_ms) && !run.is_cancelled() {}
        let how = if run.is_cancelled() { Status::Cancelled } else { Status::Success };
        run.finish(how, &json!({ "waited_ms": waited_ms }))?;
        Ok(None)
    }
}

switchboard_sdk::register_plugin!(Waits);
