//! `switchboard audit`: what operators and the host itself did lately, and what users used.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    admin_client::{AdminArgs, AdminClient},
    table,
};
use crate::telemetry::trail::AuditEvent;

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Events about this plugin alone
    #[arg(long)]
    plugin: Option<String>,
    /// Events of this kind alone: what operators and the host did, who was refused, where plugins asked in
    /// vain, or what users used of what plugins offer
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// How many, the newest first
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Operation,
    Access,
    Outbound,
    Use,
}

#[derive(Serialize, Deserialize)]
struct Trail {
    events: Vec<AuditEvent>,
}

pub(crate) async fn run(args: AuditArgs) -> anyhow::Result<()> {
    let host = AdminClient::new(&args.admin)?;
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.plugin.map(|plugin| ("plugin", plugin)));
    let kind = args.kind.and_then(|kind| kind.to_possible_value());
    query.extend(kind.map(|kind| ("kind", kind.get_name().to_owned())));
    let trail: Trail = host.ask(host.get_with(&["audit"], &query)?).await?;
    table::print(args.json, &trail, || {
        let now = table::now();
        trail.events.iter().map(|event| line(event, now) + "\n").collect()
    })
}

fn line(event: &AuditEvent, now: f64) -> String {
    let fields = event.fields.iter().filter(|(_, value)| value.as_str() != Some(""));
    let fields: Vec<String> = fields.map(|(name, value)| format!("{name}={}", shown(value))).collect();
    table::plain(&format!("{:<8} {}: {}", table::ago(event.time, now), event.event, fields.join(" ")))
}

/// A text without quotes if it is one word.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains(char::is_whitespace) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event =
            r#"{"time":40,"event":"plugin","fields":{"by":"ci","plugin":"echo","problem":"","why":"new\u001b one"}}"#;
        let line = line(&serde_json::from_str(event).unwrap(), 100.0);
        assert_eq!(line, "1m ago   plugin: by=ci plugin=echo why=\"new\\u001b one\"");
    }
}
