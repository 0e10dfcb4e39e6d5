//! What the two releases of `echo` share: type `echo`, answered by `echoed` with the release's version and marker
//! and the payload as it came.

use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

pub(crate) trait Release {
    const VERSION: &str;
    const MARKER: &str;
}

#[derive(Default)]
pub(crate) struct Echo;

impl Plugin for Echo {
    fn manifest() -> Manifest {
        Manifest::new("echo", Self::VERSION)
            .description("Answers with what it was sent")
            .handles("echo", |t| t.emits(["echoed"]))
    }

    fn handle(&mut self, _ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let payload: Value = message.payload()?;
        Message::answer("echoed", &json!({ "version": Self::VERSION, "marker": Self::MARKER, "payload": payload }))
    }
}
