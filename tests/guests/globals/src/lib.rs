//! Writes to its globals and its heap with every message, and answers with what it found there before. A fresh
//! instance per message always finds them clean.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

static CALLS: AtomicU64 = AtomicU64::new(0);
static LAST_USER: Mutex<Option<String>> = Mutex::new(None);

#[derive(Default)]
struct Globals {
    calls_of_this_value: u64,
}

impl Plugin for Globals {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("globals_probe", |t| t.emits(["globals_found"]))
    }

    fn handle(&mut self, ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        self.calls_of_this_value += 1;
        let calls_before = CALLS.fetch_add(1, Ordering::Relaxed);
        let last_user = LAST_USER.lock().unwrap_or_else(PoisonError::into_inner).replace(ctx.subject().to_owned());
        Message::answer(
            "globals_found",
            &json!({
                "calls_before": calls_before,
                "last_user": last_user,
                "calls_of_this_value": self.calls_of_this_value,
            }),
        )
    }
}

switchboard_sdk::register_plugin!(Globals);
