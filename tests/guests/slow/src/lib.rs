//! Takes as long as it is told to: `slow {ms}` in order of arrival, `slow_concurrent {ms}` at the same time;
//! answered by `slow_done` with the payload as it came.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

#[derive(Deserialize, JsonSchema)]
struct Slow {
    ms: u64,
}

#[derive(Default)]
struct Sleeper;

impl Plugin for Sleeper {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("slow", |t| t.schema::<Slow>().emits(["slow_done"]))
            .handles("slow_concurrent", |t| t.schema::<Slow>().emits(["slow_done"]).concurrent())
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let Slow { ms } = message.payload()?;
        let begun = ctx.clock().monotonic();
        while ctx.clock().monotonic() - begun < Duration::from_millis(ms) {}
        Message::answer("slow_done", &message.payload::<Value>()?)
    }
}

switchboard_sdk::register_plugin!(Sleeper);
