//! Sends messages to its caller until the host refuses one, and answers how many went out.

use serde::Deserialize;
use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

/// Enough to hit any limit, and an end for a host without one.
const MOST: u64 = 10_000_000;

#[derive(Deserialize)]
struct Flood {
    /// Bytes of text in each message.
    #[serde(default)]
    bytes: usize,
}

#[derive(Default)]
struct Flooder;

impl Plugin for Flooder {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("flood", |t| t.emits(["flood_drop", "flooded"]))
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let Flood { bytes } = message.payload()?;
        let text = "x".repeat(bytes);
        let mut sent = 0;
        let mut refusal = None;
        while sent < MOST && refusal.is_none() {
            match ctx.messages().reply("flood_drop", &json!({ "number": sent + 1, "text": text })) {
                Ok(()) => sent += 1,
                Err(error) => refusal = Some(error.to_string()),
            }
        }
        Message::answer("flooded", &json!({ "sent": sent, "refusal": refusal }))
    }
}

switchboard_sdk::register_plugin!(Flooder);
