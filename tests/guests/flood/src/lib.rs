//! Sends messages to its caller until the host refuses one, and then says how many went through.

use serde_json::json;
use switchboard_sdk::{Context, Delivery, Error, Manifest, Message, Plugin, Target};

/// The plugin.
#[derive(Debug, Default)]
pub struct Flood;

impl Plugin for Flood {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("flood", |t| t.emits(["flooded", "flood_result"]).description("Sends as much as it may"))
    }

    fn handle(&mut self, ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        let mut sent = 0_u64;
        loop {
            match ctx.messages().send_as(&Target::Caller, "flooded", &json!({ "n": sent }), Delivery::Kept) {
                Ok(_) => sent += 1,
                Err(refused) => {
                    let answer = json!({ "sent": sent, "refused": refused.to_string() });
                    return Message::answer("flood_result", &answer);
                }
            }
        }
    }
}

switchboard_sdk::register_plugin!(Flood);
