//! Takes more of one thing than it may, and says how far it got: `flood {of}`, where `of` is `messages`, `bytes`,
//! `logs`, `state` or `keys`. With `anyway` it goes on when it is refused, for ever.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{Context, Delivery, Error, Level, Manifest, Message, Plugin, Scope, Target};

/// Of one message, where bytes are what is flooded.
const PIECE_BYTES: usize = 64 << 10;

/// More than any limit allows; lines over the limit are dropped without a word.
const LOG_LINES: u32 = 200;

#[derive(Deserialize, JsonSchema, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum Of {
    #[default]
    Messages,
    Bytes,
    Logs,
    State,
    Keys,
}

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    #[serde(default)]
    of: Of,
    /// Whether a refusal is ignored.
    #[serde(default)]
    anyway: bool,
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Flood;

impl Plugin for Flood {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("flood", |t| {
            t.schema::<Wanted>().emits(["flooded", "flood_result"]).description("Takes as much as it may")
        })
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let Wanted { of, anyway } = message.payload()?;
        let mut taken = 0_u32;
        loop {
            match take(ctx, of, taken) {
                Ok(()) => taken = taken.wrapping_add(1),
                Err(_) if anyway => {}
                Err(refused) => {
                    return Message::answer("flood_result", &json!({ "taken": taken, "refused": refused.to_string() }));
                }
            }
            if matches!(of, Of::Logs) && taken == LOG_LINES && !anyway {
                return Message::answer("flood_result", &json!({ "taken": taken }));
            }
        }
    }
}

switchboard_sdk::register_plugin!(Flood);

fn take(ctx: &Context, of: Of, number: u32) -> Result<(), Error> {
    match of {
        Of::Messages => send(ctx, &json!({ "n": number })),
        Of::Bytes => send(ctx, &json!({ "n": number, "filler": "f".repeat(PIECE_BYTES) })),
        Of::Logs => {
            ctx.log(Level::Info, "a line of a flood", Value::Null);
            Ok(())
        }
        Of::State => Ok(ctx.state(Scope::User).set(&format!("large-{number}"), &"s".repeat(PIECE_BYTES))?),
        Of::Keys => Ok(ctx.state(Scope::Connection).set(&format!("{number}"), &())?),
    }
}

fn send(ctx: &Context, payload: &Value) -> Result<(), Error> {
    ctx.messages().send_as(&Target::Caller, "flooded", payload, Delivery::Kept)?;
    Ok(())
}
