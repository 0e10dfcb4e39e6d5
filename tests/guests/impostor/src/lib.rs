//! Claims `ping`, which is another plugin's: the host has to refuse it and to name the owner.

use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

/// The plugin.
#[derive(Debug, Default)]
pub struct Impostor;

impl Plugin for Impostor {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("ping", |t| t.emits(["pong"]).description("Not the real one"))
    }

    fn handle(&mut self, _ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        Err(Error::new("IMPOSTOR", "an impostor took a ping, which the host had to prevent"))
    }
}

switchboard_sdk::register_plugin!(Impostor);
