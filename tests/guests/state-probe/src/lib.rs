//! Every operation of the interface `state`, by message: `{op, scope, key, ...}` is answered with `{value}`.
//!
//! Values are texts and are stored as their plain bytes, so that `increment` finds a number where a
//! test has set one.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Scope, State};

/// The plugin.
#[derive(Debug, Default)]
pub struct StateProbe;

#[derive(Deserialize, JsonSchema)]
struct Probe {
    op: Operation,
    scope: Where,
    key: String,
    /// For `set` and `compare_and_set`.
    #[serde(default)]
    value: String,
    /// For `increment`.
    #[serde(default)]
    by: i64,
    /// For `compare_and_set`; without it, only if there is no entry.
    expected: Option<String>,
    /// For `set` and `compare_and_set`; without it, for good.
    ttl_ms: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Get,
    Set,
    Increment,
    Delete,
    CompareAndSet,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Where {
    Connection,
    User,
    Plugin,
}

impl Plugin for StateProbe {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("state_probe", |t| {
            t.schema::<Probe>().emits(["state_probe_result"]).description("One operation on this plugin's state")
        })
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let probe: Probe = message.payload()?;
        let scope = match probe.scope {
            Where::Connection => Scope::Connection,
            Where::User => Scope::User,
            Where::Plugin => Scope::Plugin,
        };
        let value = operate(ctx.state(scope), &probe)?;
        Message::answer("state_probe_result", &json!({ "value": value }))
    }
}

switchboard_sdk::register_plugin!(StateProbe);

fn operate(state: State<'_>, probe: &Probe) -> Result<Value, Error> {
    let Probe { op, key, value, by, expected, ttl_ms, .. } = probe;
    let lifetime = ttl_ms.map(Duration::from_millis);
    Ok(match op {
        Operation::Get => match state.get_bytes(key)? {
            Some(bytes) => String::from_utf8_lossy(&bytes).into(),
            None => Value::Null,
        },
        Operation::Set => {
            state.set_bytes(key, value.as_bytes(), lifetime)?;
            Value::Null
        }
        Operation::Increment => state.increment(key, *by)?.into(),
        Operation::Delete => state.delete(key)?.into(),
        Operation::CompareAndSet => {
            let expected = expected.as_deref().map(str::as_bytes);
            state.compare_and_set(key, expected, value.as_bytes(), lifetime)?.into()
        }
    })
}
