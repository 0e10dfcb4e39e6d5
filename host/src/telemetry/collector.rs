//! Sees every event of the process, and keeps those that are about a plugin or for the audit trail.
//!
//! It has a filter of its own: what operators ask for is there whatever `logging.filter` lets through to
//! the log.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};
use switchboard_protocol::unix_seconds;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterFn, LevelFilter, filter_fn},
    layer::Context,
};

use super::{
    recent::{LogLevel, LogLine, Recent, Writer},
    trail::AuditEvent,
};

/// Of lines that plugins write. They are bounded per call, so that even debug lines can be kept.
pub(crate) const PLUGIN_TARGET: &str = "switchboard::plugin::log";

/// Of audit events.
const AUDIT_TARGET: &str = "switchboard::audit";

/// The field that says which plugin a line is about.
const PLUGIN: &str = "plugin";

pub(super) struct Collector(pub Arc<Recent>);

/// What the collector wants to see.
pub(super) fn filter() -> FilterFn {
    let wanted: fn(&Metadata<'_>) -> bool = wanted;
    filter_fn(wanted).with_max_level_hint(LevelFilter::DEBUG)
}

fn wanted(metadata: &Metadata<'_>) -> bool {
    // A higher level is a lesser one for `tracing`.
    metadata.is_event()
        && match metadata.target() {
            PLUGIN_TARGET => *metadata.level() <= Level::DEBUG,
            AUDIT_TARGET => *metadata.level() <= Level::INFO,
            _ => *metadata.level() <= Level::INFO && metadata.fields().field(PLUGIN).is_some(),
        }
}

impl<S: Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { message, mut fields } = fields;
        let (metadata, time) = (event.metadata(), unix_seconds(std::time::SystemTime::now()));
        if metadata.target() == AUDIT_TARGET {
            self.0.add_event(AuditEvent { time, event: message, fields });
            return;
        }
        let Some(Value::String(plugin)) = fields.remove(PLUGIN) else { return };
        let writer = if metadata.target() == PLUGIN_TARGET { Writer::Plugin } else { Writer::Host };
        if writer == Writer::Plugin {
            spread(&mut fields);
        }
        self.0.add_line(&plugin, LogLine { time, level: level_of(*metadata.level()), writer, message, fields });
    }
}

fn level_of(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}

/// A plugin's own fields come as one text with a JSON object in it. They stand beside the host's, which
/// they do not replace.
fn spread(fields: &mut Map<String, Value>) {
    let Some(Value::String(text)) = fields.remove("fields") else { return };
    match serde_json::from_str(&text) {
        Ok(Value::Object(own)) => {
            for (name, value) in own {
                fields.entry(name).or_insert(value);
            }
        }
        _ if text.is_empty() => {}
        _ => {
            fields.insert("fields".to_owned(), Value::String(text));
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fields: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.add(field, Value::String(text));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.add(field, value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

/// What is kept of these events.
#[cfg(test)]
pub(crate) fn collect(events: impl FnOnce()) -> Arc<Recent> {
    use tracing_subscriber::layer::SubscriberExt as _;

    let recent = Arc::new(Recent::default());
    let subscriber = tracing_subscriber::registry().with(Collector(recent.clone()).with_filter(filter()));
    tracing::subscriber::with_default(subscriber, events);
    recent
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::telemetry::trail::{AuditKind, MAX_EVENTS, OUTBOUND_REFUSED, SCOPE_REFUSED, TOKEN_REFUSED};

    #[test]
    fn lines_of_a_plugin_and_about_it_are_kept_and_others_are_not() {
        let recent = collect(|| {
            tracing::debug!(target: "switchboard::plugin::log", plugin = %"echo", fields = %"{\"n\":1,\"plugin_version\":\"x\"}", plugin_version = %"1.0.0", "said");
            tracing::warn!(plugin = %"echo", calls = 3_u64, "about it");
            tracing::debug!(plugin = %"echo", "too little");
            tracing::info!("about nobody");
        });
        let lines: Vec<LogLine> = recent.lines("echo").iter().map(|line| line.read()).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(
            (lines[0].writer, lines[0].level, lines[0].message.as_str()),
            (Writer::Plugin, LogLevel::Debug, "said")
        );
        assert_eq!(Value::Object(lines[0].fields.clone()), json!({ "n": 1, "plugin_version": "1.0.0" }));
        assert_eq!(
            (lines[1].writer, lines[1].level, lines[1].fields["calls"].as_u64()),
            (Writer::Host, LogLevel::Warn, Some(3))
        );
    }

    #[test]
    fn what_operators_did_is_kept_and_what_users_did_is_not() {
        let recent = collect(|| {
            tracing::warn!(target: "switchboard::audit", by = "ci", plugin = "echo", "deployed");
            tracing::info!(target: "switchboard::audit", outcome = "accepted", "authentication");
        });
        let events = recent.audit(10, None, |_| true);
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].event.as_str(), &events[0].fields["by"]), ("deployed", &json!("ci")));
        assert!(recent.lines("echo").is_empty());
    }

    #[test]
    fn what_guests_and_strangers_cause_does_not_push_out_what_operators_did() {
        let recent = collect(|| {
            tracing::warn!(target: "switchboard::audit", by = "ci", plugin = "echo", "deployed");
            for _ in 0..2 * MAX_EVENTS {
                tracing::warn!(target: "switchboard::audit", plugin = "fetcher", host = "x.example", "{OUTBOUND_REFUSED}");
                tracing::warn!(target: "switchboard::audit", peer = "192.0.2.1", "{TOKEN_REFUSED}");
                tracing::warn!(target: "switchboard::audit", by = "dashboard", "{SCOPE_REFUSED}");
            }
        });
        let operations = recent.audit(10, Some(AuditKind::Operation), |_| true);
        assert_eq!(operations.iter().map(|event| event.event.as_str()).collect::<Vec<_>>(), ["deployed"]);
        assert_eq!(recent.audit(usize::MAX, Some(AuditKind::Outbound), |_| true).len(), MAX_EVENTS);
        assert_eq!(recent.audit(usize::MAX, Some(AuditKind::Access), |_| true).len(), MAX_EVENTS);
        assert_eq!(recent.audit(usize::MAX, None, |_| true).len(), 2 * MAX_EVENTS + 1);
    }
}
