//! A tally that hands over and takes over, as version 1.0.0.

use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};
use tally::Tally;

const VERSION: &str = "1.0.0";

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

    fn export_state(&mut self) -> Result<Vec<u8>, String> {
        Ok(self.0.export())
    }

    fn import_state(&mut self, from_version: &str, state: &[u8]) -> Result<(), String> {
        self.0.import(from_version, state)
    }
}

switchboard_sdk::register_plugin!(Versioned);
