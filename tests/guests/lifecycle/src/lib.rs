//! Sees clients come and go: on connect it subscribes the session to `lifecycle.SUBJECT` and sends
//! `lifecycle_connected`; on disconnect it logs the reason; it counts both, and what is published below
//! `lifecycle`. Type `lifecycle_seen` answers with the counts.

use serde_json::json;
use switchboard_sdk::{Context, Error, Level, Manifest, Message, Plugin, Scope};

#[derive(Default)]
struct Lifecycle;

impl Plugin for Lifecycle {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("lifecycle_seen", |t| t.emits(["lifecycle_counts"]))
            .on_connect()
            .on_disconnect()
            .on_topic("lifecycle.**")
    }

    fn handle(&mut self, ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        let state = ctx.state(Scope::Plugin);
        let last_reason: Option<String> = state.get("last_reason")?;
        let last_event: Option<serde_json::Value> = state.get("last_event")?;
        Message::answer(
            "lifecycle_counts",
            &json!({
                "connected": state.increment("connected", 0)?,
                "disconnected": state.increment("disconnected", 0)?,
                "events": state.increment("events", 0)?,
                "last_reason": last_reason,
                "last_event": last_event,
            }),
        )
    }

    fn on_connect(&mut self, ctx: &Context) {
        report(ctx, connected(ctx));
    }

    fn on_disconnect(&mut self, ctx: &Context, reason: &str) {
        ctx.log(Level::Info, "a client left", json!({ "reason": reason }));
        report(ctx, disconnected(ctx, reason));
    }

    fn on_event(&mut self, ctx: &Context, topic: &str, message: Message) {
        report(ctx, event(ctx, topic, &message));
    }
}

switchboard_sdk::register_plugin!(Lifecycle);

fn connected(ctx: &Context) -> Result<(), Error> {
    ctx.state(Scope::Plugin).increment("connected", 1)?;
    let topic = format!("lifecycle.{}", ctx.subject());
    ctx.topics().subscribe(&topic)?;
    ctx.messages().reply("lifecycle_connected", &json!({ "topic": topic }))
}

fn disconnected(ctx: &Context, reason: &str) -> Result<(), Error> {
    ctx.state(Scope::Plugin).increment("disconnected", 1)?;
    ctx.state(Scope::Plugin).set("last_reason", reason)
}

fn event(ctx: &Context, topic: &str, message: &Message) -> Result<(), Error> {
    ctx.state(Scope::Plugin).increment("events", 1)?;
    ctx.state(Scope::Plugin).set("last_event", &json!({ "topic": topic, "type": message.kind }))
}

fn report(ctx: &Context, result: Result<(), Error>) {
    if let Err(error) = result {
        ctx.log(Level::Error, &error.to_string(), json!({}));
    }
}
