//! The standard messages: `ping`, topics (`subscribe`, `unsubscribe`, `publish`, `presence`) and `system`.
//!
//! Read it as an example of a plugin: the manifest below is the list of what it understands, each type of
//! message has one function, and all that it knows of the world comes from the [`Context`].

mod actions;
mod topics;

use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

/// The plugin. It remembers nothing, so it has no fields.
#[derive(Debug, Default)]
pub struct System;

impl Plugin for System {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("ping", |t| t.emits(["pong"]).description("Answers at once, with `data` as it came"))
            .handles("subscribe", |t| {
                t.schema::<topics::Subscribe>()
                    .emits(["subscribed"])
                    .description("Receive what is published to a topic, or to all topics that fit a pattern")
            })
            .handles("unsubscribe", |t| {
                t.schema::<topics::Unsubscribe>().emits(["unsubscribed"]).description("Stop receiving")
            })
            .handles("publish", |t| {
                t.schema::<topics::Publish>().emits(["published"]).description("Send to all subscribers of a topic")
            })
            .handles("presence", |t| {
                t.schema::<topics::Presence>().emits(["presence_state"]).description("Who is subscribed to a topic")
            })
            .handles("system", |t| {
                t.schema::<actions::Request>()
                    .emits(["system_response"])
                    .description("Questions about the caller and the server; {\"action\":\"help\"} lists them")
            })
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        match message.kind.as_str() {
            "ping" => ping(ctx, &message),
            "subscribe" => topics::subscribe(ctx, &message),
            "unsubscribe" => topics::unsubscribe(ctx, &message),
            "publish" => topics::publish(ctx, &message),
            "presence" => topics::presence(ctx, &message),
            "system" => actions::answer(ctx, &message),
            other => Err(Error::new("NOT_HANDLED", format!("`system` does not handle messages of type {other:?}"))),
        }
    }
}

switchboard_sdk::register_plugin!(System);

fn ping(ctx: &Context, message: &Message) -> Result<Option<Message>, Error> {
    let mut payload: serde_json::Map<String, Value> = message.payload()?;
    let mut pong = json!({ "server_time": ctx.clock().unix_seconds() });
    if let Some(data) = payload.remove("data") {
        pong["data"] = data;
    }
    Message::answer("pong", &pong)
}

#[cfg(test)]
mod tests;
