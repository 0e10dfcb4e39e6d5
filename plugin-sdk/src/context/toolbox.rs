//! The tools of all plugins: the interface `toolbox`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Context, Error, ToolResult, host};

pub use crate::bindings::switchboard::plugin::toolbox::ToolError;

/// The tools of all plugins, with the caller's rights; see [`Context::toolbox`].
#[derive(Debug, Clone, Copy)]
pub struct Toolbox<'a>(#[allow(dead_code, reason = "ties the handle to the call")] &'a Context);

/// A tool of some plugin, as far as a caller needs it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeardTool {
    /// The name to call it by.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments.
    #[serde(default)]
    pub input_schema: Value,
    /// The plugin that offers it.
    #[serde(default, rename = "x-plugin")]
    pub plugin: String,
}

impl<'a> Toolbox<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// The tools that the caller may use.
    ///
    /// # Errors
    ///
    /// The [`ToolError`] of the host; [`Error`] can be made of it.
    pub fn list(self) -> Result<Vec<HeardTool>, ToolError> {
        serde_json::from_str(&self.list_json()?).map_err(|fault| ToolError::Other(fault.to_string()))
    }

    /// The same as the text of a JSON array, with every member that the plugins gave them.
    ///
    /// # Errors
    ///
    /// The [`ToolError`] of the host.
    pub fn list_json(self) -> Result<String, ToolError> {
        host::toolbox::list()
    }

    /// Calls a tool. That it failed by itself is a result, with `is_error`.
    ///
    /// # Errors
    ///
    /// The [`ToolError`] of the host: the tool did not run, or not to its end.
    pub fn call<A: Serialize + ?Sized>(self, name: &str, arguments: &A) -> Result<ToolResult, ToolError> {
        let arguments = serde_json::to_string(arguments).map_err(|fault| ToolError::Other(fault.to_string()))?;
        serde_json::from_str(&self.call_json(name, &arguments)?).map_err(|fault| ToolError::Other(fault.to_string()))
    }

    /// The same with JSON texts: the arguments go, and the result comes, verbatim.
    ///
    /// # Errors
    ///
    /// The [`ToolError`] of the host.
    pub fn call_json(self, name: &str, arguments: &str) -> Result<String, ToolError> {
        host::toolbox::call(name, arguments)
    }
}

/// What happened, in words for a person or a model.
#[must_use]
pub(crate) fn describe(error: &ToolError) -> String {
    match error {
        ToolError::UnknownTool(name) => format!("there is no tool {name:?}"),
        ToolError::Timeout => "the tool did not finish in time".to_owned(),
        ToolError::InvalidArguments(text)
        | ToolError::Forbidden(text)
        | ToolError::Failed(text)
        | ToolError::Cycle(text)
        | ToolError::Other(text) => text.clone(),
    }
}

impl From<ToolError> for Error {
    fn from(error: ToolError) -> Self {
        let code = match &error {
            ToolError::UnknownTool(_) => "TOOL_UNKNOWN",
            ToolError::InvalidArguments(_) => "TOOL_ARGUMENTS_INVALID",
            ToolError::Forbidden(_) => "TOOL_FORBIDDEN",
            ToolError::Failed(_) => "TOOL_FAILED",
            ToolError::Timeout => "TOOL_TIMEOUT",
            ToolError::Cycle(_) => "TOOL_CYCLE",
            ToolError::Other(_) => "INTERNAL",
        };
        Self::new(code, describe(&error))
    }
}
