//! Version 3.0.0 of the echo plugin, which is worse than the others: it crashes over a payload with `crash`, and takes
//! so many milliseconds longer as `dawdle` says. The others take no notice of either.

use std::time::Duration;

use serde_json::Value;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

const VERSION: &str = "3.0.0";

/// The plugin.
#[derive(Debug, Default)]
pub struct Echo;

impl Plugin for Echo {
    fn manifest() -> Manifest {
        echo::manifest(VERSION)
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let payload: Value = message.payload()?;
        assert!(payload["crash"] != true, "as asked");
        let until = ctx.clock().monotonic() + Duration::from_millis(payload["dawdle"].as_u64().unwrap_or_default());
        while ctx.clock().monotonic() < until {}
        echo::answer(VERSION, &message)
    }
}

switchboard_sdk::register_plugin!(Echo);
