//! The echo whose isolation is `session`.

use switchboard_sdk::{Context, Error, Isolation, Manifest, Message, Plugin};

/// The plugin.
#[derive(Debug, Default)]
pub struct Echo;

impl Plugin for Echo {
    fn manifest() -> Manifest {
        echo::manifest("echo-session", Isolation::Session)
    }

    fn handle(&mut self, _ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        echo::answer(&message)
    }
}

switchboard_sdk::register_plugin!(Echo);
