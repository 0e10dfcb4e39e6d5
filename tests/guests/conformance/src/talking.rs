//! Tools that tell whoever waits how far they are.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard_sdk::{Context, Error, Level, Severity, Tool, ToolResult};

use crate::without_arguments;

/// Between two reports, so that they are not the same moment's.
const PAUSE: Duration = Duration::from_millis(20);

/// Longer than any test waits for a call that it cancels; the limits of the plugin end it earlier.
const FOR_EVER: Duration = Duration::from_secs(600);

pub(crate) fn tools() -> Vec<Tool> {
    vec![
        without_arguments("test_tool_with_logging", "Sends three log messages while it works"),
        without_arguments("test_logging_tool", "Sends three log messages while it works, if they are asked for"),
        without_arguments("test_tool_with_progress", "Reports its progress three times"),
        without_arguments("test_reconnection", "Reports progress, then answers"),
        without_arguments("test_endless", "Reports progress once, then works until it is cancelled"),
    ]
}

pub(crate) fn call(ctx: &Context, name: &str) -> Option<Result<ToolResult, Error>> {
    let told = match name {
        "test_tool_with_logging" | "test_logging_tool" => log(ctx),
        "test_tool_with_progress" | "test_reconnection" => report(ctx),
        "test_endless" => endless(ctx),
        _ => return None,
    };
    Some(told.map(|()| ToolResult::text(format!("{name} has come to its end."))))
}

fn log(ctx: &Context) -> Result<(), Error> {
    for line in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        ctx.progress().log(Severity::Info, Some("conformance"), &json!(line))?;
        pause(ctx, PAUSE);
    }
    Ok(())
}

fn report(ctx: &Context) -> Result<(), Error> {
    for percent in [0, 50, 100] {
        let message = format!("Completed step {percent} of 100");
        ctx.progress().report(f64::from(percent), Some(100.0), Some(&message))?;
        pause(ctx, PAUSE);
    }
    Ok(())
}

fn endless(ctx: &Context) -> Result<(), Error> {
    ctx.log(Level::Info, "endless call begins", Value::Null);
    ctx.progress().report(1.0, None, Some("It will never end"))?;
    pause(ctx, FOR_EVER);
    Ok(())
}

/// The contract has no sleep. Each turn of the loop is a call of the host, where a cancelled call ends.
fn pause(ctx: &Context, time: Duration) {
    let begun = ctx.clock().monotonic();
    while ctx.clock().monotonic().saturating_sub(begun) < time {}
}
