//! Insists on its settings: `limit` has to be there and to be a whole number, else the host refuses them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

/// The plugin.
#[derive(Debug, Default)]
pub struct StrictSettings;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Settings {
    /// Any whole number; the answer shows it.
    limit: u64,
}

impl Plugin for StrictSettings {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("strict_settings", |t| {
                t.emits(["strict_settings_result"]).description("Answers its settings as they are now")
            })
            .settings::<Settings>()
    }

    fn handle(&mut self, ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        Message::answer("strict_settings_result", &ctx.settings::<Settings>()?)
    }
}

switchboard_sdk::register_plugin!(StrictSettings);
