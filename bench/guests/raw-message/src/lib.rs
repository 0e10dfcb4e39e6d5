//! The raw echo whose isolation is `message`.

use switchboard_sdk::{Context, Error, Isolation, Manifest, Message, Plugin};

/// The plugin.
#[derive(Debug, Default)]
pub struct Raw;

impl Plugin for Raw {
    fn manifest() -> Manifest {
        echo::manifest("raw-message", Isolation::Message)
    }

    fn handle(&mut self, _ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        Ok(echo::back(message))
    }
}

switchboard_sdk::register_plugin!(Raw);
