//! What is recorded about the use of an item: an audit line, a measurement and a span, also for a call that nobody
//! waited for to the end.
//!
//! Names of metrics and attributes follow the OpenTelemetry conventions for MCP (`mcp.server.operation.duration`).
//! Of the arguments, their hash alone is recorded: enough to tell whether two calls were the same.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use sha2::{Digest as _, Sha256};

use super::result::Outcome;
use crate::{
    plugin::{
        PluginVersion,
        effects::{CallContext, Caller},
        offers::{CatalogueError, Item},
    },
    telemetry::{Metrics, metrics::Operation, trail::ITEM_USED},
};

/// Names of tools and prompts in metrics. Plugins choose them, and may choose others every second.
const MAX_NAMES: usize = 2_000;

/// In place of a name beyond that.
const OTHER: &str = "other";

/// The error type of a call that nobody waited for to the end.
const ABANDONED: &str = "abandoned";

/// One per host.
pub(super) struct Records {
    metrics: Arc<Metrics>,
    names: Mutex<HashSet<Arc<str>>>,
}

/// One use of one item.
pub(super) struct Record<'a> {
    records: &'a Records,
    begun: Instant,
    version: Arc<PluginVersion>,
    caller: Caller,
    /// The plugin that calls on the user's behalf.
    via: Option<Arc<str>>,
    what: &'a Item,
    method: &'static str,
    arguments: [u8; 32],
    outcome: &'static str,
}

impl Records {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, names: Mutex::default() }
    }

    pub fn begin<'a>(
        &'a self,
        version: Arc<PluginVersion>,
        context: &CallContext,
        what: &'a Item,
        method: &'static str,
        arguments: &str,
    ) -> Record<'a> {
        Record {
            records: self,
            begun: Instant::now(),
            version,
            caller: context.caller.clone(),
            via: context.chain.last().cloned(),
            what,
            method,
            arguments: Sha256::digest(arguments.as_bytes()).into(),
            outcome: ABANDONED,
        }
    }

    /// The name as a label.
    fn label(&self, name: &str) -> Arc<str> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        match names.get(name) {
            Some(known) => known.clone(),
            None if names.len() >= MAX_NAMES => OTHER.into(),
            None => {
                let name: Arc<str> = name.into();
                names.insert(name.clone());
                name
            }
        }
    }
}

impl Record<'_> {
    /// So that every log line of the call says what it serves.
    pub fn span(&self) -> tracing::Span {
        let (tool, prompt, resource) = self.names();
        tracing::info_span!(
            "mcp_operation",
            mcp.method.name = self.method,
            gen_ai.operation.name = tool.map(|_| "execute_tool"),
            gen_ai.tool.name = tool,
            gen_ai.prompt.name = prompt,
            mcp.resource.uri = resource,
            plugin = %self.version.name,
        )
    }

    pub fn end(&mut self, result: &Result<Outcome, CatalogueError>) {
        self.outcome = match result {
            Ok(Outcome::Complete) => "",
            Ok(Outcome::ToolError) => "tool_error",
            // It went well: the next call goes on with it.
            Ok(Outcome::InputRequired) => "",
            Err(CatalogueError::Unknown(_)) => "unknown",
            Err(CatalogueError::InvalidArguments(_)) => "invalid_arguments",
            Err(CatalogueError::Forbidden { .. }) => "forbidden",
            Err(CatalogueError::Limited { .. }) => "limited",
            Err(CatalogueError::Failed(_)) => "failed",
            Err(CatalogueError::Timeout) => "timeout",
            Err(CatalogueError::Cycle(_)) => "cycle",
        };
    }

    /// Of tool, prompt and resource, the one that it is.
    fn names(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        match self.what {
            Item::Tool(name) => (Some(name), None, None),
            Item::Prompt(name) => (None, Some(name), None),
            Item::Resource(uri) | Item::ResourceTemplate(uri) => (None, None, Some(uri)),
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let (tool, prompt, resource) = self.names();
        let label = |name: Option<&str>| name.map_or_else(|| Arc::from(""), |name| self.records.label(name));
        let operation = Operation {
            mcp_method_name: self.method,
            gen_ai_tool_name: label(tool),
            gen_ai_prompt_name: label(prompt),
            error_type: self.outcome,
        };
        let elapsed = self.begun.elapsed();
        self.records.metrics.mcp_operation_duration.get_or_create(&operation).observe(elapsed.as_secs_f64());
        let arguments: String = self.arguments.iter().map(|byte| format!("{byte:02x}")).collect();
        let principal = &self.caller.principal;
        tracing::info!(
            target: "switchboard::audit",
            session_id = %self.caller.session_id,
            subject = principal.subject,
            tenant = principal.tenant,
            via = self.via.as_deref(),
            method = self.method,
            name = tool.or(prompt).or(resource),
            plugin = %self.version.name,
            plugin_version = %self.version.version,
            digest = self.version.digest,
            arguments_sha256 = arguments,
            outcome = if self.outcome.is_empty() { "ok" } else { self.outcome },
            duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "{ITEM_USED}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_metrics_are_bounded_whatever_plugins_call_their_tools() {
        let records = Records::new(Metrics::new());
        for number in 0..MAX_NAMES {
            assert_eq!(*records.label(&number.to_string()), *number.to_string());
        }
        assert_eq!(*records.label("one more"), *OTHER);
        assert_eq!(*records.label("7"), *"7");
    }
}
