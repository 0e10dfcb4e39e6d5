//! Computes for ever, in a message and in a tool, without one call of the host.

use std::hint::black_box;

use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Tool, ToolResult};

#[derive(Default)]
struct Spin;

impl Plugin for Spin {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("spin", |t| t.concurrent()).tools()
    }

    fn handle(&mut self, _ctx: &Context, _message: Message) -> Result<Option<Message>, Error> {
        spin()
    }

    fn tools(&mut self, _ctx: &Context) -> Result<Vec<Tool>, Error> {
        Ok(vec![Tool::with_schema("spin_tool", "Computes for ever.", json!({ "type": "object" }))])
    }

    fn call_tool(&mut self, _ctx: &Context, _name: &str, _arguments: Value) -> Result<ToolResult, Error> {
        spin()
    }
}

switchboard_sdk::register_plugin!(Spin);

fn spin() -> ! {
    let mut number = 1_u64;
    loop {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}
