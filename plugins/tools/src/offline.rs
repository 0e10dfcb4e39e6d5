//! What the tools have in common: arguments with a schema, an answer with a schema, and faults in plain words.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use switchboard_sdk::{Context, Error, Tool, ToolResult};

/// A tool that reads and changes nothing but its arguments (and, some of them, the clock).
pub(crate) trait OfflineTool {
    const NAME: &'static str;
    const TITLE: &'static str;
    /// What it does, when to use it, what it returns. Read by models.
    const DESCRIPTION: &'static str;

    type Arguments: DeserializeOwned + JsonSchema;
    type Answer: Serialize + JsonSchema;

    /// The answer as a text and as a value; or what was wrong, in words that let a model do better.
    fn call(ctx: &Context, arguments: Self::Arguments) -> Result<(String, Self::Answer), String>;
}

/// An [`OfflineTool`] as a row of a table.
pub(crate) struct Entry {
    name: &'static str,
    describe: fn() -> Tool,
    call: fn(&Context, Value) -> Result<ToolResult, Error>,
}

impl Entry {
    pub(crate) const fn of<T: OfflineTool>() -> Self {
        Self { name: T::NAME, describe: describe::<T>, call: call::<T> }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn describe(&self) -> Tool {
        (self.describe)()
    }

    pub(crate) fn call(&self, ctx: &Context, arguments: Value) -> Result<ToolResult, Error> {
        (self.call)(ctx, arguments)
    }
}

fn describe<T: OfflineTool>() -> Tool {
    Tool::new::<T::Arguments>(T::NAME, T::DESCRIPTION).title(T::TITLE).output::<T::Answer>().read_only()
}

fn call<T: OfflineTool>(ctx: &Context, arguments: Value) -> Result<ToolResult, Error> {
    let answer = serde_json::from_value(arguments)
        .map_err(|fault| format!("the arguments of {} do not fit: {fault}", T::NAME))
        .and_then(|arguments| T::call(ctx, arguments));
    match answer {
        Ok((text, value)) => ToolResult::structured(text, &value),
        Err(fault) => Ok(ToolResult::failure(fault)),
    }
}
