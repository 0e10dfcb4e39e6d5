//! The `system` message: one question, one `system_response`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Message, Transport};

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Request {
    /// What is asked.
    action: Action,
    /// What `echo` sends back.
    #[serde(default)]
    data: Value,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Whoami,
    Echo,
    Stats,
    Time,
    Help,
}

pub(crate) fn answer(ctx: &Context, message: &Message) -> Result<Option<Message>, Error> {
    let Request { action, data } = message.payload()?;
    let result = match action {
        Action::Whoami => whoami(ctx),
        Action::Echo => json!({ "data": data }),
        Action::Stats => ctx.host_stats()?,
        Action::Time => time(ctx),
        Action::Help => help(),
    };
    Message::answer("system_response", &json!({ "action": action, "result": result }))
}

fn whoami(ctx: &Context) -> Value {
    let caller = ctx.principal();
    let transport = match ctx.transport() {
        Transport::Websocket => "websocket",
        Transport::StreamableHttp => "streamable_http",
        Transport::Internal => "internal",
    };
    json!({
        "user_id": caller.subject,
        "tenant": caller.tenant,
        "scopes": caller.scopes,
        "claims": caller.claims,
        "connection_id": ctx.connection_id(),
        "session_id": ctx.session_id(),
        "transport": transport,
    })
}

fn time(ctx: &Context) -> Value {
    let unix_ms = ctx.clock().unix_ms();
    json!({ "unix_ms": unix_ms, "unix_seconds": unix_ms as f64 / 1000.0 })
}

fn help() -> Value {
    json!({
        "actions": {
            "whoami": "who the server takes you for, from your token",
            "echo": "sends `data` back",
            "stats": "the server's version, uptime, connections and plugins",
            "time": "the server's clock",
            "help": "this list",
        }
    })
}
