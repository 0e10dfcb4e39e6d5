//! Accepts only settings with an integer `limit`, and answers `strict_settings` with those that it has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

#[derive(Deserialize, Serialize, JsonSchema)]
struct Settings {
    /// How much is enough.
    limit: i64,
}

#[derive(Default)]
struct StrictSettings;

impl Plugin for StrictSettings {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("strict_settings", |t| t.emits(["strict_settings_now"]))
            .settings::<Settings>()
    }

    fn handle(&mut self, ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        Message::answer("strict_settings_now", &ctx.settings::<Settings>()?)
    }
}

switchboard_sdk::register_plugin!(StrictSettings);
