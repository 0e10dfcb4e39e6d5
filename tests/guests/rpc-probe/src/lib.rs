//! Stands in for the plugin of MCP, and does what a request tells it: so that what the host makes of each step can
//! be seen, whatever the protocol is like.
//!
//! `initialize` is agreed to, unless `params.refuse` says otherwise. `show` shows `status` and `scopes`. `notify` sends
//! `count` notifications of `bytes` bytes, `ms` before each, then answers; `wait` takes `ms`. `open` leaves the request open for
//! `for_ms`, under `name`. All else is answered with what came in. A session that begins is sent a message that belongs
//! to no request.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Level, Manifest, Message, Plugin};

const TYPE: &str = "jsonrpc";

/// The plugin.
#[derive(Debug, Default)]
pub struct RpcProbe;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Params {
    refuse: bool,
    status: u16,
    scopes: Vec<String>,
    count: u32,
    bytes: usize,
    ms: u64,
    for_ms: u64,
    name: String,
}

impl Plugin for RpcProbe {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles(TYPE, |t| t.emits([TYPE]).concurrent()).on_connect()
    }

    fn on_connect(&mut self, ctx: &Context) {
        if let Err(fault) = say(ctx, &json!({ "jsonrpc": "2.0", "method": "welcome" })) {
            ctx.log(Level::Warn, "nobody hears the welcome", json!({ "fault": fault.to_string() }));
        }
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let request: Value = message.payload()?;
        let params: Params = serde_json::from_value(request["params"].clone()).unwrap_or_default();
        let answer =
            |result: Value| Message::answer(TYPE, &json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }));
        let refuse = |code: i32| {
            let error = json!({ "code": code, "message": "as it was told" });
            Message::answer(TYPE, &json!({ "jsonrpc": "2.0", "id": request["id"], "error": error }))
        };
        if request["id"].is_null() {
            ctx.log(Level::Info, "a notification came", json!({ "method": request["method"] }));
            return Ok(None);
        }
        match request["method"].as_str().unwrap_or_default() {
            "initialize" if params.refuse => refuse(-32602),
            "show" => {
                ctx.requests().show(params.status, &params.scopes);
                refuse(-32601)
            }
            "notify" => {
                for n in 0..params.count {
                    wait(ctx, params.ms);
                    let padding = "x".repeat(params.bytes);
                    say(ctx, &json!({ "jsonrpc": "2.0", "method": "told", "params": { "n": n, "padding": padding } }))?;
                }
                answer(json!({ "told": params.count }))
            }
            "wait" => {
                wait(ctx, params.ms);
                answer(json!({ "waited_ms": params.ms }))
            }
            "open" => {
                let requests = ctx.requests();
                requests.begin(&params.name)?;
                let otherwise = json!({ "jsonrpc": "2.0", "id": request["id"], "result": { "by": "the host" } });
                let time = (params.for_ms > 0).then(|| Duration::from_millis(params.for_ms));
                requests.leave_open(time, &otherwise)?;
                say(ctx, &json!({ "jsonrpc": "2.0", "method": "opened" }))?;
                Ok(None)
            }
            method => {
                answer(json!({ "method": method, "params": request["params"], "scopes": ctx.principal().scopes }))
            }
        }
    }
}

switchboard_sdk::register_plugin!(RpcProbe);

fn say(ctx: &Context, message: &Value) -> Result<(), Error> {
    ctx.messages().reply(TYPE, message)
}

/// Each turn of the loop is a call of the host, where a call that was cancelled ends.
fn wait(ctx: &Context, ms: u64) {
    ctx.log(Level::Info, "a slow request begins", json!({ "ms": ms }));
    let start = ctx.clock().monotonic();
    while ctx.clock().monotonic().saturating_sub(start) < Duration::from_millis(ms) {}
}
