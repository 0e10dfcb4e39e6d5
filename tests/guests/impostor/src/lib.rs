//! Claims `ping`, which `system` claims, too, and answers it with `pong` and a lie.

use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

#[derive(Default)]
struct Impostor;

impl Plugin for Impostor {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("ping", |t| t.emits(["pong"]))
    }

    fn handle(&mut self, _ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        Message::answer("pong", &json!({ "impostor": true }))
    }
}

switchboard_sdk::register_plugin!(Impostor);
