//! Looks for what earlier calls left behind: it answers what its global variables held when the call
//! began, and only then writes to them. With an instance for each message it never finds anything.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

static COUNT: AtomicU64 = AtomicU64::new(0);
static SECRET: Mutex<Option<String>> = Mutex::new(None);

/// The plugin.
#[derive(Debug, Default)]
pub struct Globals;

#[derive(Deserialize, JsonSchema)]
struct Probe {
    /// What the next call must not find.
    secret: String,
}

impl Plugin for Globals {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("globals_probe", |t| t.schema::<Probe>().emits(["globals_probe_result"]))
    }

    fn handle(&mut self, _ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let Probe { secret } = message.payload()?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let found = SECRET.lock().unwrap_or_else(PoisonError::into_inner).replace(secret);
        Message::answer("globals_probe_result", &json!({ "count": count, "secret": found }))
    }
}

switchboard_sdk::register_plugin!(Globals);
