//! Imports `topics`, `random` and `state`, so that a test can leave one of them out of its grants.

use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Scope};

#[derive(Default)]
struct Greedy;

impl Plugin for Greedy {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("greedy", |t| t.emits(["greedy_done"]))
    }

    fn handle(&mut self, ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        ctx.topics().subscribe("greedy")?;
        let taken = ctx.state(Scope::Plugin).increment("taken", 1)?;
        Message::answer("greedy_done", &json!({ "taken": taken, "random": ctx.random().hex(4) }))
    }
}

switchboard_sdk::register_plugin!(Greedy);
