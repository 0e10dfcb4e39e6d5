//! Counts what happens around messages: connections that begin and end, and publications to `lobby.*`.
//! Who connects is subscribed to the topic `lobby`, and gets what others publish there without asking.

use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Level, Manifest, Message, Plugin, Scope};

const TOPIC: &str = "lobby";
const COUNTED_TOPICS: &str = "lobby.*";

/// The keys of the counters, which are also the members of the answer.
const CONNECTS: &str = "connects";
const DISCONNECTS: &str = "disconnects";
const EVENTS: &str = "events";

/// The plugin.
#[derive(Debug, Default)]
pub struct Lifecycle;

impl Plugin for Lifecycle {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("lifecycle_probe", |t| t.emits(["lifecycle_probe_result"]).description("Answers the counts"))
            .on_connect()
            .on_disconnect()
            .on_topic(COUNTED_TOPICS)
    }

    fn handle(&mut self, ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        let mut counts = serde_json::Map::new();
        for key in [CONNECTS, DISCONNECTS, EVENTS] {
            counts.insert(key.to_owned(), ctx.state(Scope::Plugin).get::<i64>(key)?.unwrap_or(0).into());
        }
        Message::answer("lifecycle_probe_result", &counts)
    }

    fn on_connect(&mut self, ctx: &Context) {
        count(ctx, CONNECTS);
        log_fault(ctx, ctx.topics().subscribe(TOPIC));
    }

    fn on_disconnect(&mut self, ctx: &Context, reason: &str) {
        count(ctx, DISCONNECTS);
        ctx.log(Level::Info, "a connection ended", json!({ "reason": reason }));
    }

    fn on_event(&mut self, ctx: &Context, topic: &str, _message: Message) {
        count(ctx, EVENTS);
        ctx.log(Level::Info, "a publication was seen", json!({ "topic": topic }));
    }
}

switchboard_sdk::register_plugin!(Lifecycle);

fn count(ctx: &Context, key: &str) {
    log_fault(ctx, ctx.state(Scope::Plugin).increment(key, 1));
}

/// Nobody waits for an answer here, so the log is where a fault can be found.
fn log_fault<T>(ctx: &Context, outcome: Result<T, Error>) {
    if let Err(fault) = outcome {
        ctx.log(Level::Error, &fault.to_string(), Value::Null);
    }
}
