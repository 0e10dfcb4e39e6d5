//! Crashes, computes for ever or answers, as its caller tells it to: as a message and as a tool.

use std::hint::black_box;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Tool, ToolResult};

/// The plugin.
#[derive(Debug, Default)]
pub struct Fragile;

#[derive(Deserialize, JsonSchema)]
struct Order {
    /// What to do.
    r#do: Deed,
    /// The only user for whom it is done; others are answered.
    r#for: Option<String>,
    /// Tells one message from another.
    #[serde(rename = "note")]
    _note: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Deed {
    Crash,
    Spin,
    Answer,
}

impl Plugin for Fragile {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!()
            .handles("fragile", |t| t.schema::<Order>().emits(["fragile_result"]).description("Does as it is told"))
            .tools()
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        carry_out(ctx, &message.payload()?);
        Message::answer("fragile_result", &json!({ "done": true }))
    }

    fn tools(&mut self, _ctx: &Context) -> Result<Vec<Tool>, Error> {
        Ok(vec![Tool::new::<Order>("break_something", "Crashes, computes for ever, or answers")])
    }

    fn call_tool(&mut self, ctx: &Context, _name: &str, arguments: Value) -> Result<ToolResult, Error> {
        let order = serde_json::from_value(arguments).map_err(|fault| Error::invalid_payload("", fault))?;
        carry_out(ctx, &order);
        Ok(ToolResult::text("nothing broke"))
    }
}

switchboard_sdk::register_plugin!(Fragile);

#[expect(clippy::panic, reason = "it is what this guest is for")]
fn carry_out(ctx: &Context, order: &Order) {
    let is_meant = order.r#for.as_ref().is_none_or(|user| *user == ctx.subject());
    match order.r#do {
        Deed::Crash if is_meant => panic!("told to crash"),
        Deed::Spin if is_meant => {
            let mut number = 0_u64;
            loop {
                number = black_box(number.wrapping_add(1));
            }
        }
        Deed::Crash | Deed::Spin | Deed::Answer => {}
    }
}
