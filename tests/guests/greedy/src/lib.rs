//! Imports `messages`, `topics` and `state`, so that an operator who grants less can refuse it by name.

use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Scope};

/// The plugin.
#[derive(Debug, Default)]
pub struct Greedy;

impl Plugin for Greedy {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("greedy", |t| {
            t.emits(["greedy_news", "greedy_result"]).description("Uses each of its three interfaces once")
        })
    }

    fn handle(&mut self, ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        let calls = ctx.state(Scope::Plugin).increment("calls", 1)?;
        ctx.messages().reply("greedy_news", &json!({ "calls": calls }))?;
        let receipt = ctx.topics().publish("greedy", "greedy_news", &json!({ "calls": calls }))?;
        Message::answer("greedy_result", &json!({ "calls": calls, "receivers": receipt.receivers }))
    }
}

switchboard_sdk::register_plugin!(Greedy);
