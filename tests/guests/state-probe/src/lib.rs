//! Does with its state what it is told to: `state_probe {op, scope, key, value?, expected?, by?, ttl_ms?}` with `op` one of
//! `get`, `set`, `delete`, `increment`, `compare_and_set` and `scope` one of `connection`, `user`, `plugin`; answered
//! by `state_result {result}`. Values are texts; `bytes` stores that many instead.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Scope};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Op {
    Get,
    Set,
    Delete,
    Increment,
    CompareAndSet,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Where {
    Connection,
    User,
    Plugin,
}

#[derive(Deserialize, JsonSchema)]
struct Probe {
    op: Op,
    scope: Where,
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    bytes: usize,
    expected: Option<String>,
    #[serde(default)]
    by: i64,
    ttl_ms: Option<u64>,
}

#[derive(Default)]
struct StateProbe;

impl Plugin for StateProbe {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("state_probe", |t| t.schema::<Probe>().emits(["state_result"]))
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let result = perform(ctx, message.payload()?)?;
        Message::answer("state_result", &json!({ "result": result }))
    }
}

switchboard_sdk::register_plugin!(StateProbe);

fn perform(ctx: &Context, probe: Probe) -> Result<Value, Error> {
    let Probe { op, scope, key, value, bytes, expected, by, ttl_ms } = probe;
    let state = ctx.state(match scope {
        Where::Connection => Scope::Connection,
        Where::User => Scope::User,
        Where::Plugin => Scope::Plugin,
    });
    let value = if bytes > 0 { vec![b'x'; bytes] } else { value.into_bytes() };
    let lifetime = ttl_ms.map(Duration::from_millis);
    Ok(match op {
        Op::Get => json!(state.get_bytes(&key)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
        Op::Set => json!(state.set_bytes(&key, &value, lifetime)?),
        Op::Delete => json!(state.delete(&key)?),
        Op::Increment => json!(state.increment(&key, by)?),
        Op::CompareAndSet => {
            json!(state.compare_and_set(&key, expected.as_deref().map(str::as_bytes), &value, lifetime)?)
        }
    })
}
