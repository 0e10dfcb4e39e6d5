//! `toolbox`: the tools of other plugins, with the caller's rights and what is left of its deadline.
//!
//! Depth is checked here, because it is a limit of the plugin that asks; a circle is found where it
//! is known whose tool it is.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::super::{
    bindings::toolbox::{Host, ToolError as GuestError},
    call_state::CallState,
    effects::{CallContext, ToolError},
    engine::MAX_DEPTH,
    json_object::Members,
};

/// Any tool.
const ALL: &str = "*";

impl Host for CallState {
    async fn list(&mut self) -> Result<String, GuestError> {
        let context = self.onward_within_depth().map_err(GuestError::Cycle)?;
        // The other plugin has CPU time of its own; it must not use up this one's.
        let tools = self.meter.without(context.effects.clone().list_tools(&context)).await?;
        if self.may_call_tool(ALL) {
            return Ok(tools);
        }
        let all: Vec<&RawValue> =
            serde_json::from_str(&tools).map_err(|fault| GuestError::Other(format!("the list of tools: {fault}")))?;
        let granted: Vec<&RawValue> = all.into_iter().filter(|tool| self.may_see(tool)).collect();
        serde_json::to_string(&granted).map_err(|fault| GuestError::Other(format!("the list of tools: {fault}")))
    }

    async fn call(&mut self, name: String, arguments: String) -> Result<String, GuestError> {
        if !self.may_call_tool(&name) {
            return Err(GuestError::Forbidden("this plugin's `grants.tools` do not name the tool".into()));
        }
        let context = self.onward_within_depth().map_err(GuestError::Cycle)?;
        let effects = context.effects.clone();
        Ok(self.meter.without(effects.call_tool(&context, &name, arguments)).await?)
    }
}

impl CallState {
    pub(super) fn may_call_tool(&self, name: &str) -> bool {
        self.version.grants.tools.iter().any(|granted| granted == ALL || granted == name)
    }

    fn may_see(&self, tool: &RawValue) -> bool {
        Members::parse(tool.get()).ok().and_then(|tool| tool.text("name")).is_some_and(|name| self.may_call_tool(&name))
    }

    pub(super) fn onward_within_depth(&self) -> Result<CallContext, String> {
        let context = self.onward();
        let most = usize::try_from(self.version.limits.max_call_depth).unwrap_or(MAX_DEPTH).min(MAX_DEPTH);
        check_depth(&context.chain, most)?;
        Ok(context)
    }
}

fn check_depth(chain: &[Arc<str>], most: usize) -> Result<(), String> {
    if chain.len() <= most {
        return Ok(());
    }
    Err(format!("calls within calls go no deeper than `max_call_depth`, {most}: {}", chain.join(" > ")))
}

impl From<ToolError> for GuestError {
    fn from(fault: ToolError) -> Self {
        match fault {
            ToolError::UnknownTool(name) => Self::UnknownTool(name),
            ToolError::InvalidArguments(text) => Self::InvalidArguments(text),
            ToolError::Forbidden(text) => Self::Forbidden(text),
            ToolError::Failed(text) => Self::Failed(text),
            ToolError::Timeout => Self::Timeout,
            ToolError::Cycle(text) => Self::Cycle(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded_and_the_way_down_is_named() {
        let chain: Vec<Arc<str>> = ["agent", "tools", "notes"].map(Into::into).to_vec();
        assert_eq!(check_depth(&chain, 3), Ok(()));
        assert!(check_depth(&chain, 2).unwrap_err().contains("agent > tools > notes"));
    }
}
