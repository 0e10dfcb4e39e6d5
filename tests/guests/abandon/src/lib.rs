//! Begins a run, says so with `abandon_started`, and then leaves it: `abandon_run {"how": "return" | "refuse" | "trap" | "spin" | "twice"}`.
//! With `twice` it ends the run, and then emits and ends it again.

use std::hint::black_box;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Run, Status};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    Return,
    Refuse,
    Trap,
    Spin,
    Twice,
}

#[derive(Deserialize, JsonSchema)]
struct AbandonRun {
    how: How,
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Abandon;

impl Plugin for Abandon {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("abandon_run", |t| {
            t.schema::<AbandonRun>().emits(["abandon_started", "agent_completed"]).concurrent()
        })
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let AbandonRun { how } = message.payload()?;
        let run = ctx.runs().start(None)?;
        run.emit("abandon_started", &json!({}))?;
        match how {
            How::Return => Ok(None),
            How::Refuse => Err(Error::new("ABANDONED", "the guest refuses in the midst of its run")),
            How::Trap => panic!("the guest panics in the midst of its run"),
            How::Spin => loop {
                black_box(());
            },
            How::Twice => end_twice(ctx, run),
        }
    }
}

switchboard_sdk::register_plugin!(Abandon);

fn end_twice(ctx: &Context, run: Run<'_>) -> Result<Option<Message>, Error> {
    run.finish(Status::Success, &json!({}))?;
    let again = ctx.runs().start(None).err().map(|error| Error::from(error).to_string());
    Message::answer("abandon_ended", &json!({ "again": again }))
}
