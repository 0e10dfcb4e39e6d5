//! Version 1.0.0 of the echo plugin; the other one differs in nothing but the number.

use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

const VERSION: &str = "1.0.0";

/// The plugin.
#[derive(Debug, Default)]
pub struct Echo;

impl Plugin for Echo {
    fn manifest() -> Manifest {
        echo::manifest(VERSION)
    }

    fn handle(&mut self, _ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        echo::answer(VERSION, &message)
    }
}

switchboard_sdk::register_plugin!(Echo);
