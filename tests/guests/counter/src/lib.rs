//! Counts how often it is executed: `count {key, parts, ms}` adds one to the user's number under `key`, waits,
//! sends `parts` messages and answers with the number and a nonce. `tick {count, bytes}` sends volatile messages.
//!
//! The nonce tells an answer that was repeated from one that was made anew, also where the number itself was lost.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use switchboard_sdk::{Context, Delivery, Error, Level, Manifest, Message, Plugin, Scope, Target};

/// The plugin.
#[derive(Debug, Default)]
pub struct Counter;

#[derive(Deserialize, JsonSchema)]
struct Count {
    /// What is counted.
    key: String,
    /// How many `counted_part` come before the answer.
    #[serde(default)]
    parts: u32,
    /// How many milliseconds it takes.
    #[serde(default)]
    ms: u32,
    /// Whether the last message is a part, and no answer follows.
    #[serde(default)]
    silent: bool,
    /// Whether it ends with a refusal, after it has counted.
    #[serde(default)]
    refuse: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Peek {
    /// Whose number is asked for; nothing is added.
    key: String,
}

#[derive(Deserialize, JsonSchema)]
struct Tick {
    /// How many volatile messages to send.
    count: u32,
    /// How large each is.
    #[serde(default)]
    bytes: usize,
}

impl Plugin for Counter {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("count", |t| t.schema::<Count>().emits(["counted_part", "counted"]).concurrent())
            .handles("count_peek", |t| t.schema::<Peek>().emits(["count_seen"]))
            .handles("tick", |t| t.schema::<Tick>().emits(["ticked", "ticks_sent"]))
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        match message.kind.as_str() {
            "count" => count(ctx, &message.payload()?),
            "count_peek" => {
                let Peek { key } = message.payload()?;
                let count = ctx.state(Scope::User).increment(&key, 0)?;
                Message::answer("count_seen", &json!({ "key": key, "count": count }))
            }
            _ => tick(ctx, &message.payload()?),
        }
    }
}

switchboard_sdk::register_plugin!(Counter);

fn count(ctx: &Context, wanted: &Count) -> Result<Option<Message>, Error> {
    let Count { key, parts, ms, silent, refuse } = wanted;
    let count = ctx.state(Scope::User).increment(key, 1)?;
    let begun = ctx.clock().monotonic();
    if *ms > 0 {
        ctx.log(Level::Info, "slow count begins", json!({ "key": key }));
    }
    for part in 1..=*parts {
        ctx.messages().reply("counted_part", &json!({ "key": key, "part": part, "count": count }))?;
    }
    while ctx.clock().monotonic().saturating_sub(begun) < Duration::from_millis(u64::from(*ms)) {}
    if *refuse {
        return Err(Error::new("COUNTED_AND_REFUSED", format!("{key} was counted {count} times")));
    }
    if *silent {
        return Ok(None);
    }
    Message::answer("counted", &json!({ "key": key, "count": count, "nonce": ctx.random().hex(8) }))
}

fn tick(ctx: &Context, Tick { count, bytes }: &Tick) -> Result<Option<Message>, Error> {
    let filler = "t".repeat(*bytes);
    for n in 1..=*count {
        ctx.messages().send_as(&Target::Caller, "ticked", &json!({ "n": n, "filler": filler }), Delivery::Volatile)?;
    }
    Message::answer("ticks_sent", &json!({ "count": count }))
}
