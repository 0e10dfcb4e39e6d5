//! A tally that takes nothing over from anybody, as version 3.0.0.

use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};
use tally::Tally;

const VERSION: &str = "3.0.0";

/// The plugin.
#[derive(Debug, Default)]
pub struct Versioned(Tally);

impl Plugin for Versioned {
    fn manifest() -> Manifest {
        tally::manifest(VERSION)
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        self.0.add(VERSION, ctx, &message)
    }
}

switchboard_sdk::register_plugin!(Versioned);
