//! Requests that outlive their call: does what the steps of the message say, one after the other, and answers with what
//! came of each. As `jsonrpc`, the steps are in `params`, and the answer is a JSON-RPC response.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, RequestError};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Step {
    Begin(String),
    Cancel(String),
    LeaveOpen {
        #[serde(default)]
        ms: u64,
        otherwise: Value,
    },
    Resume(String),
    /// Sends `asked_part` with this payload.
    Send(Value),
    /// Computes for ever.
    Spin,
    /// Calls the host for ever.
    Hold,
    Crash,
    Refuse,
}

#[derive(Deserialize, JsonSchema)]
struct Ask {
    steps: Vec<Step>,
    /// Nothing is answered.
    #[serde(default)]
    silent: bool,
}

#[derive(Deserialize)]
struct Call {
    id: Value,
    params: Ask,
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Asks;

impl Plugin for Asks {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("ask", |t| t.schema::<Ask>().emits(["asked", "asked_part", "ask"]).concurrent())
            .handles("jsonrpc", |t| t.emits(["jsonrpc"]).concurrent())
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        if message.kind == "jsonrpc" {
            let Call { id, params } = message.payload()?;
            let results = run(ctx, &params)?;
            return answer(
                &params,
                "jsonrpc",
                &json!({ "jsonrpc": "2.0", "id": id, "result": { "results": results } }),
            );
        }
        let ask: Ask = message.payload()?;
        let results = run(ctx, &ask)?;
        answer(&ask, "asked", &json!({ "results": results }))
    }
}

switchboard_sdk::register_plugin!(Asks);

fn answer(ask: &Ask, kind: &str, payload: &Value) -> Result<Option<Message>, Error> {
    if ask.silent { Ok(None) } else { Message::answer(kind, payload) }
}

fn run(ctx: &Context, ask: &Ask) -> Result<Vec<Value>, Error> {
    ask.steps.iter().map(|step| take(ctx, step)).collect()
}

fn take(ctx: &Context, step: &Step) -> Result<Value, Error> {
    Ok(match step {
        Step::Begin(name) => word(ctx.requests().begin(name)),
        Step::Cancel(name) => json!(ctx.requests().cancel(name)),
        Step::LeaveOpen { ms, otherwise } => {
            let within = (*ms > 0).then(|| Duration::from_millis(*ms));
            word(ctx.requests().leave_open(within, otherwise))
        }
        Step::Resume(name) => word(ctx.requests().resume(name)),
        Step::Send(payload) => {
            ctx.messages().reply("asked_part", payload)?;
            json!("ok")
        }
        Step::Spin => loop {
            std::hint::black_box(0);
        },
        Step::Hold => loop {
            let _ = ctx.clock().monotonic();
        },
        Step::Crash => panic!("as the message says"),
        Step::Refuse => return Err(Error::new("NOT_TODAY", "as the message says")),
    })
}

fn word(result: Result<(), RequestError>) -> Value {
    json!(match result {
        Ok(()) => "ok",
        Err(RequestError::UnderWay) => "under_way",
        Err(RequestError::Unknown) => "unknown",
        Err(RequestError::Invalid(_)) => "invalid",
        Err(RequestError::LimitExceeded(_)) => "limit_exceeded",
        Err(RequestError::Other(_)) => "other",
    })
}
