//! Crashes in whichever way it is asked to: `{"how": "unreachable" | "panic" | "overflow"}`, in a message
//! and in a tool.

use std::hint::black_box;

use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin, Tool, ToolResult};

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    #[default]
    Unreachable,
    Panic,
    /// Of the stack.
    Overflow,
}

#[derive(Deserialize)]
struct TrapNow {
    #[serde(default)]
    how: How,
}

#[derive(Default)]
struct Trap;

impl Plugin for Trap {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("trap_now", |t| t.concurrent()).tools()
    }

    fn handle(&mut self, _ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        trap(message.payload::<TrapNow>()?.how)
    }

    fn tools(&mut self, _ctx: &Context) -> Result<Vec<Tool>, Error> {
        Ok(vec![Tool::with_schema("trap_tool", "Crashes.", json!({ "type": "object" }))])
    }

    fn call_tool(&mut self, _ctx: &Context, _name: &str, _arguments: Value) -> Result<ToolResult, Error> {
        trap(How::Unreachable)
    }
}

switchboard_sdk::register_plugin!(Trap);

fn trap(how: How) -> ! {
    match how {
        How::Panic => panic!("the guest panics, as it was asked to"),
        How::Overflow => panic!("the stack did not overflow: {}", dig(0)),
        How::Unreachable => unreachable(),
    }
}

#[allow(unconditional_recursion, reason = "the stack is meant to overflow")]
fn dig(depth: u64) -> u64 {
    let ballast = black_box([depth; 64]);
    dig(ballast[0] + 1) + ballast[63]
}

#[cfg(target_arch = "wasm32")]
fn unreachable() -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn unreachable() -> ! {
    panic!("unreachable")
}
