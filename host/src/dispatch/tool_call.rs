//! Tools without an agent or a protocol in between: called on behalf of a session, for those who test tools, and what
//! HTTP has to know of them.

use std::{sync::Arc, time::Instant};

use super::{Dispatcher, context};
use crate::{
    auth::Principal,
    plugin::effects::{CallContext, Caller, Effects, ToolError, Transport},
    session::Session,
    tools::HeaderParameter,
};

impl Dispatcher {
    /// Calls a tool by its name, as one of the session's own handlers would. `None` if there is no such session.
    pub async fn call_tool(
        &self,
        session_id: &str,
        name: &str,
        arguments: String,
    ) -> Option<Result<String, ToolError>> {
        let session = self.deliver.sessions.by_id(session_id)?;
        let effects = self.deliver.clone();
        // Whichever plugin has the tool: its own limit counts within this one.
        let deadline = Instant::now() + self.longest_deadline();
        let caller = context::caller(&session, Transport::Internal);
        let context = CallContext::new(caller, deadline, effects.clone() as Arc<dyn Effects>);
        Some(effects.call_tool(&context, name, arguments).await)
    }

    /// The arguments of a tool that HTTP clients repeat in headers. None if the caller is offered no such tool.
    pub async fn header_parameters(
        &self,
        principal: &Arc<Principal>,
        session: &Arc<Session>,
        tool: &str,
    ) -> Vec<HeaderParameter> {
        let caller = Caller { principal: principal.clone(), ..context::caller(session, Transport::StreamableHttp) };
        let deadline = Instant::now() + self.longest_deadline();
        let context = CallContext::new(caller, deadline, self.deliver.clone() as Arc<dyn Effects>);
        self.deliver.toolbox.header_parameters(&self.plugins.registry(), &context, tool).await
    }

    fn longest_deadline(&self) -> std::time::Duration {
        let config = self.config.load();
        let own = config.plugins.values().map(|plugin| plugin.limits.deadline);
        own.fold(config.plugin_defaults.limits.deadline, std::cmp::max)
    }
}
