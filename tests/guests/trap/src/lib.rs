//! Panics when it is told to, with a message that only the log may show.

use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

/// The plugin.
#[derive(Debug, Default)]
pub struct Trap;

impl Plugin for Trap {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("trap_now", |t| t.description("Panics"))
    }

    #[expect(clippy::panic, reason = "it is what this guest is for")]
    fn handle(&mut self, _ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        panic!("told to panic by a message of type {:?}", message.kind)
    }
}

switchboard_sdk::register_plugin!(Trap);
