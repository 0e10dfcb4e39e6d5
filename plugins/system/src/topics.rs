//! Topics: what clients publish, and who listens.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use switchboard_sdk::{Context, Error, Message, Position, Subscription};

/// What a publication is called whose sender gave it no type.
const DEFAULT_TYPE: &str = "topic_message";

#[derive(Deserialize, JsonSchema)]
#[schemars(extend("dependentRequired" = { "offset": ["epoch"], "epoch": ["offset"] }))]
pub(crate) struct Subscribe {
    /// A topic such as `room.42`, or a pattern: `*` is one level, `**` the rest.
    #[schemars(length(min = 1, max = 256))]
    topic: String,
    /// With `epoch`: the last publication that you have. What you missed is sent before anything new.
    offset: Option<u64>,
    /// The one that came with `offset`.
    #[schemars(length(max = 256))]
    epoch: Option<String>,
    /// Whether to be told who else comes and goes (`presence_joined`, `presence_left`).
    #[serde(default)]
    presence: bool,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Unsubscribe {
    /// The topic or pattern exactly as it was subscribed to.
    #[schemars(length(min = 1, max = 256))]
    topic: String,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Publish {
    /// One topic, no pattern.
    #[schemars(length(min = 1, max = 256))]
    topic: String,
    /// The type that subscribers see; `topic_message` if left out.
    #[serde(rename = "type", default = "default_type")]
    #[schemars(length(min = 1, max = 128))]
    kind: String,
    /// The payload that subscribers see; empty if left out.
    #[serde(default)]
    payload: Map<String, Value>,
    /// Whether the sender, if subscribed, gets no copy.
    #[serde(default)]
    exclude_self: bool,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Presence {
    /// One topic, no pattern.
    #[schemars(length(min = 1, max = 256))]
    topic: String,
}

fn default_type() -> String {
    DEFAULT_TYPE.to_owned()
}

pub(crate) fn subscribe(ctx: &Context, message: &Message) -> Result<Option<Message>, Error> {
    let Subscribe { topic, offset, epoch, presence } = message.payload()?;
    let mut subscribing = ctx.topics().subscription(&topic);
    match (offset, epoch) {
        (Some(offset), Some(epoch)) => subscribing = subscribing.since(Position { offset, epoch }),
        (None, None) => {}
        _ => {
            return Err(Error::new("PAYLOAD_INVALID", "`offset` and `epoch` name a position together")
                .help("give both, as the last publication or `subscribed` had them, or neither"));
        }
    }
    if presence {
        subscribing = subscribing.presence();
    }
    let Subscription { position, recovered, replayed } = subscribing.begin()?;
    Message::answer(
        "subscribed",
        &json!({
            "topic": topic,
            "offset": position.offset,
            "epoch": position.epoch,
            "recovered": recovered,
            "replayed": replayed,
        }),
    )
}

pub(crate) fn unsubscribe(ctx: &Context, message: &Message) -> Result<Option<Message>, Error> {
    let Unsubscribe { topic } = message.payload()?;
    let was_subscribed = ctx.topics().unsubscribe(&topic)?;
    Message::answer("unsubscribed", &json!({ "topic": topic, "was_subscribed": was_subscribed }))
}

pub(crate) fn publish(ctx: &Context, message: &Message) -> Result<Option<Message>, Error> {
    let Publish { topic, kind, payload, exclude_self } = message.payload()?;
    let receipt = if exclude_self {
        ctx.topics().publish_to_others(&topic, &kind, &payload)?
    } else {
        ctx.topics().publish(&topic, &kind, &payload)?
    };
    let (position, receivers) = (receipt.position, receipt.receivers);
    Message::answer(
        "published",
        &json!({ "topic": topic, "offset": position.offset, "epoch": position.epoch, "receivers": receivers }),
    )
}

pub(crate) fn presence(ctx: &Context, message: &Message) -> Result<Option<Message>, Error> {
    let Presence { topic } = message.payload()?;
    let members: Vec<Value> = ctx
        .topics()
        .members(&topic)?
        .into_iter()
        .map(|member| json!({ "connection_id": member.connection_id, "user_id": member.subject }))
        .collect();
    Message::answer("presence_state", &json!({ "topic": topic, "count": members.len(), "members": members }))
}
