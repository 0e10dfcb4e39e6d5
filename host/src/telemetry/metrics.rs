//! Every metric: name, unit, labels and meaning, in one table.
//!
//! No label names a user or a connection. Values of labels are either fixed words of the code, plugin
//! names (bounded by the directory) or message types that a plugin declared (bounded by manifests);
//! what a client makes up is counted under `other`.

use std::{fmt::Write as _, sync::Arc};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Labels `outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub outcome: &'static str,
}

/// Labels `code`: of [`switchboard_protocol::ErrorCode`], or `plugin` for a plugin's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Code {
    pub code: &'static str,
}

/// Labels `scope` of a rate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Scope {
    pub scope: &'static str,
}

/// Labels `code` of a WebSocket close.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Close {
    pub code: u16,
}

/// Labels `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub reason: &'static str,
}

/// Labels `plugin`, `outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PluginOutcome {
    pub plugin: Arc<str>,
    pub outcome: &'static str,
}

/// Labels `plugin`, `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PluginReason {
    pub plugin: Arc<str>,
    pub reason: &'static str,
}

/// Labels `plugin`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Plugin {
    pub plugin: Arc<str>,
}

/// Labels `plugin`, `version`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PluginVersionLabel {
    pub plugin: Arc<str>,
    pub version: Arc<str>,
}

/// Labels `plugin`, `operation`, `outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Rollout {
    pub plugin: Arc<str>,
    pub operation: &'static str,
    pub outcome: &'static str,
}

/// Labels `plugin`, `scope` of state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PluginScope {
    pub plugin: Arc<str>,
    pub scope: &'static str,
}

/// Labels `era`, `method`, `status` of a request to `/mcp`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct McpRequest {
    pub era: &'static str,
    pub method: &'static str,
    pub status: u16,
}

/// Labels of an operation on behalf of MCP clients and agents, as the OpenTelemetry conventions for MCP name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Operation {
    pub mcp_method_name: &'static str,
    pub gen_ai_tool_name: Arc<str>,
    pub gen_ai_prompt_name: Arc<str>,
    pub error_type: &'static str,
}

macro_rules! metrics {
    ($($field:ident: $kind:ty = $make:expr, $name:literal, $unit:expr, $labels:literal, $help:literal;)+) => {
        /// Handles to count with. One per host, so that several hosts in a process keep apart.
        #[derive(Debug)]
        pub(crate) struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: $kind,)+
        }

        impl Metrics {
            pub fn new() -> Arc<Self> {
                let mut registry = Registry::with_prefix("switchboard");
                $(
                    let $field: $kind = $make;
                    match $unit {
                        Some(unit) => registry.register_with_unit($name, $help, unit, $field.clone()),
                        None => registry.register($name, $help, $field.clone()),
                    }
                )+
                Arc::new(Self { registry, $($field,)+ })
            }

            /// The table for the documentation: name, kind, labels, meaning.
            pub fn table() -> String {
                let mut rows = String::from("| metric | labels | meaning |\n| --- | --- | --- |\n");
                $(
                    let unit: Option<Unit> = $unit;
                    let unit = unit.map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
                    let total = if stringify!($kind).contains("Counter") { "_total" } else { "" };
                    let _ = writeln!(rows, "| `switchboard_{}{unit}{total}` | {} | {} |", $name, $labels, $help);
                )+
                rows
            }
        }
    };
}

metrics! {
    connections: Gauge = Gauge::default(), "connections", None, "", "Open WebSocket connections";
    handshakes: Family<Outcome, Counter> = Family::default(), "handshakes", None, "`outcome`: `accepted` or an error code", "Upgrade requests by how they ended";
    handshake_duration: Histogram = seconds(), "handshake_duration", Some(Unit::Seconds), "", "From the request to the 101 or the refusal";
    authentications: Family<Outcome, Counter> = Family::default(), "authentications", None, "`outcome`: `accepted` or an error code", "Tokens and tickets that were checked";
    handshake_addresses: Gauge = Gauge::default(), "handshake_addresses", None, "", "Addresses whose rate of handshakes is remembered";
    revocations: Gauge = Gauge::default(), "revocations", None, "", "Revocations of tokens in force";
    closes: Family<Close, Counter> = Family::default(), "closes", None, "`code`: the WebSocket close code", "Connections that were closed";
    sessions_detached: Gauge = Gauge::default(), "sessions_detached", None, "", "Sessions that wait for their client to come back";
    detached_bytes: Gauge = Gauge::default(), "sessions_detached", Some(Unit::Bytes), "", "What they hold, about";
    sessions_lost: Family<Reason, Counter> = Family::default(), "sessions_lost", None, "`reason`: `expired`, `memory`, `user_limit` or `overflow`", "Detached sessions that ended before their client came back";
    resumptions: Family<Outcome, Counter> = Family::default(), "resumptions", None, "`outcome`: `resumed` or the reason of `resume_failed`", "Attempts to resume a session";
    frames_replayed: Counter = Counter::default(), "frames_replayed", None, "", "Frames that resumed sessions had missed";
    frames_received: Counter = Counter::default(), "frames_received", None, "", "Text and binary frames from clients";
    bytes_received: Counter = Counter::default(), "received", Some(Unit::Bytes), "", "Bytes of frames from clients";
    frames_sent: Counter = Counter::default(), "frames_sent", None, "", "Frames written to clients";
    bytes_sent: Counter = Counter::default(), "sent", Some(Unit::Bytes), "", "Bytes of frames written to clients";
    frames_compressed: Counter = Counter::default(), "frames_compressed", None, "", "Of the frames written, those that were compressed";
    compression_saved: Counter = Counter::default(), "compression_saved", Some(Unit::Bytes), "", "Bytes that compression left out of what was written";
    messages: Family<PluginOutcome, Counter> = Family::default(), "messages", None, "`plugin`, `outcome`: `answered`, `silent`, `left_open` (for a later message, or the host, to answer), `cancelled` or the kind of failure", "Messages that a plugin handled";
    message_duration: Family<Plugin, Histogram> = Family::new_with_constructor(seconds), "message_duration", Some(Unit::Seconds), "`plugin`", "From the frame to its answer being queued";
    remembered_messages: Gauge = Gauge::default(), "remembered_messages", None, "", "Messages that a repeat would be recognised as, running ones among them";
    repeated_messages: Family<Outcome, Counter> = Family::default(), "repeated_messages", None, "`outcome`: `joined` (the first was still running), `answered`, `silent`, `not_kept`, `interrupted`", "Repeats that were recognised by their `id` and not handled again";
    forgotten_messages: Counter = Counter::default(), "forgotten_messages", None, "", "Messages that were forgotten before the end of `sessions.idempotency_window`, because of a bound";
    errors_sent: Family<Code, Counter> = Family::default(), "errors_sent", None, "`code`: an error code, or `plugin` for a plugin's own", "Error messages to clients";
    rate_limited: Family<Scope, Counter> = Family::default(), "rate_limited", None, "`scope`: `connection`, `user` or `message_type`", "Messages that were refused because they came too fast";
    rated_users: Gauge = Gauge::default(), "rated_users", None, "", "Users whose rate of messages is remembered";
    http_evictions: Counter = Counter::default(), "http_evictions", None, "", "Connections without a request that were closed because others needed their place";
    mcp_requests: Family<McpRequest, Counter> = Family::default(), "mcp_requests", None, "`era`: `modern` or `handshake`, `method`: `POST`, `GET`, `DELETE` or `other`, `status`: of the answer's head", "Requests to `/mcp`";
    mcp_request_duration: Histogram = seconds(), "mcp_request_duration", Some(Unit::Seconds), "", "From the request to the head of its answer";
    mcp_sessions: Gauge = Gauge::default(), "mcp_sessions", None, "", "Sessions of MCP clients that began with a handshake over HTTP";
    mcp_streams: Gauge = Gauge::default(), "mcp_streams", None, "", "Answers of `/mcp` that are open streams";
    mcp_stream_ends: Family<Reason, Counter> = Family::default(), "mcp_stream_ends", None, "`reason`: `answered`, `client_left`, `slow`, `evicted`, `token_ended`, `draining` or `ended` (its session, or another message)", "Streams of `/mcp` by how they ended";
    conflated: Counter = Counter::default(), "conflated", None, "", "Volatile messages that a newer one replaced before they were written";
    topic_deliveries: Counter = Counter::default(), "topic_deliveries", None, "", "Publications queued for subscribers, each counted once per subscriber";
    subscriptions: Gauge = Gauge::default(), "subscriptions", None, "", "Subscriptions of all sessions";
    plugin_calls: Family<PluginOutcome, Counter> = Family::default(), "plugin_calls", None, "`plugin`, `outcome`: `ok` or the kind of failure", "Calls into the sandbox, of any export";
    plugin_call_duration: Family<Plugin, Histogram> = Family::new_with_constructor(seconds), "plugin_call_duration", Some(Unit::Seconds), "`plugin`", "Calls into the sandbox, of any export";
    plugin_calls_in_flight: Family<Plugin, Gauge> = Family::default(), "plugin_calls_in_flight", None, "`plugin`", "Calls that are under way";
    plugin_instance_starts: Family<PluginOutcome, Counter> = Family::default(), "plugin_instance_starts", None, "`plugin`, `outcome`: `ahead` (before it was needed) or `on_demand` (a call waited for it)", "Instances that were started";
    plugin_instances_kept: Family<Plugin, Gauge> = Family::default(), "plugin_instances_kept", None, "`plugin`", "Instances that wait for their next call";
    plugin_instances_put_away: Family<PluginReason, Counter> = Family::default(), "plugin_instances_put_away", None, "`plugin`, `reason`: `calls`, `age`, `memory`, `idle`, `version`, `session` (it has ended), `no_room` or `failed`", "Instances that could have served another call, and did not";
    plugin_handovers: Family<PluginOutcome, Counter> = Family::default(), "plugin_handovers", None, "`plugin`, `outcome`: `imported`, `not_supported`, `export_failed`, `import_failed` or `no_room`", "Instances of sessions that another one takes over from";
    plugin_log_lines_dropped: Family<Plugin, Counter> = Family::default(), "plugin_log_lines_dropped", None, "`plugin`", "Log lines over the limit of their call";
    plugin_outbound_requests: Family<PluginOutcome, Counter> = Family::default(), "plugin_outbound_requests", None, "`plugin`, `outcome`: `answered` (with any status), `not_granted`, `unreachable`, `timed_out`, `too_large`, `limit_exceeded`, `invalid`, `failed` or `abandoned`", "Requests of plugins to other servers";
    plugin_outbound_request_duration: Family<Plugin, Histogram> = Family::new_with_constructor(seconds), "plugin_outbound_request_duration", Some(Unit::Seconds), "`plugin`", "From the plugin's request to the end of the answer, or to its refusal";
    plugin_loads: Family<PluginOutcome, Counter> = Family::default(), "plugin_loads", None, "`plugin`, `outcome`: `ready`, `removed`, `disabled`, `superseded` (something else was wanted before it ended) or the stage that failed", "Files that were brought, or not, to traffic";
    plugin_load_duration: Family<Plugin, Histogram> = Family::new_with_constructor(seconds), "plugin_load_duration", Some(Unit::Seconds), "`plugin`", "From the captured file to the swap";
    plugin_serving: Family<PluginVersionLabel, Gauge> = Family::default(), "plugin_serving", None, "`plugin`, `version`", "1 for the version that is active";
    plugin_canary_percent: Family<PluginVersionLabel, Gauge> = Family::default(), "plugin_canary_percent", None, "`plugin`, `version`", "Share of users that a canary serves";
    plugin_rollouts: Family<Rollout, Counter> = Family::default(), "plugin_rollouts", None, "`plugin`, `operation`: `deploy`, `promote`, `rollback`, `pin`, `unpin`, `enable`, `disable` or `remove`, `outcome`: `done`, `unfit`, `refused` or `not_stored`", "What files, operators and the host itself did to the versions of plugins";
    plugin_circuit: Family<PluginVersionLabel, Gauge> = Family::default(), "plugin_circuit", None, "`plugin`, `version`", "Of each version that is serving: 0 while its calls are let in, 2 while it is left alone because they failed, 1 while one call tries it";
    plugin_circuit_openings: Family<Plugin, Counter> = Family::default(), "plugin_circuit_openings", None, "`plugin`", "Times that a version was left alone because its calls failed, trials that failed among them";
    plugin_poisoned_messages: Family<Plugin, Counter> = Family::default(), "plugin_poisoned_messages", None, "`plugin`", "Messages and calls of tools that were not run, because the same ones had brought the handler down";
    mcp_operation_duration: Family<Operation, Histogram> = Family::new_with_constructor(seconds), "mcp_server_operation_duration", Some(Unit::Seconds), "`mcp_method_name`: `tools/call`, `resources/read` or `prompts/get`, `gen_ai_tool_name`, `gen_ai_prompt_name`: by the name that the list has, `error_type`: empty, `tool_error` (the tool says so), `unknown`, `invalid_arguments`, `forbidden`, `limited`, `failed`, `timeout`, `cycle` or `abandoned`", "Calls of tools, readings of resources and prompts, by MCP clients and by plugins for their users";
    state_bytes: Family<PluginScope, Gauge> = Family::default(), "state", Some(Unit::Bytes), "`plugin`, `scope`: `connection`, `user` or `plugin`", "What plugins remember: keys, values, and 64 bytes for each entry";
    state_entries: Family<PluginScope, Gauge> = Family::default(), "state_entries", None, "`plugin`, `scope`", "Its entries; those that have ended count until they are dropped";
    state_owners: Family<PluginScope, Gauge> = Family::default(), "state_owners", None, "`plugin`, `scope`", "Sessions or users for which a plugin remembers something";
    state_cached: Gauge = Gauge::default(), "state_cached", Some(Unit::Bytes), "", "Of the state on disk, what is in memory as well, about";
    state_file: Gauge = Gauge::default(), "state_file", Some(Unit::Bytes), "", "The file `state.redb`";
    state_backlog: Gauge = Gauge::default(), "state_backlog", Some(Unit::Bytes), "", "State that waits to be written, after the last commit";
    state_flushes: Family<Outcome, Counter> = Family::default(), "state_flushes", None, "`outcome`: `written` or `failed`", "Commits of state to the disk";
    state_flush_duration: Histogram = seconds(), "state_flush_duration", Some(Unit::Seconds), "", "One commit of state, until it is on the disk";
    state_reads: Counter = Counter::default(), "state_reads", None, "", "Times that state was not in memory and was read from the disk";
    state_refused: Family<Reason, Counter> = Family::default(), "state_refused", None, "`reason`: `quota`, `full`, `owners`, `behind` or `unreadable`", "Operations on state that were refused";
    config_reloads: Family<Outcome, Counter> = Family::default(), "config_reloads", None, "`outcome`: `applied` or `refused`", "Saved config files";
}

/// From 50 microseconds (a warm call) to 13 seconds (past every default deadline), doubling.
fn seconds() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(0.000_05, 2.0, 19))
}

impl Metrics {
    /// The text for a scrape, in the OpenMetrics 1.0 exposition format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail; if the encoder itself refuses, a scrape shows nothing.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Families show nothing until one of their members was used.
    fn used() -> Arc<Metrics> {
        let metrics = Metrics::new();
        let outcome = Outcome { outcome: "accepted" };
        let plugin = Plugin { plugin: "echo".into() };
        let plugin_outcome = PluginOutcome { plugin: "echo".into(), outcome: "ok" };
        metrics.handshakes.get_or_create(&outcome).inc();
        metrics.authentications.get_or_create(&outcome).inc();
        metrics.config_reloads.get_or_create(&outcome).inc();
        metrics.resumptions.get_or_create(&Outcome { outcome: "resumed" }).inc();
        metrics.sessions_lost.get_or_create(&Reason { reason: "memory" }).inc();
        metrics.repeated_messages.get_or_create(&outcome).inc();
        metrics.closes.get_or_create(&Close { code: 1000 }).inc();
        metrics.mcp_requests.get_or_create(&McpRequest { era: "modern", method: "POST", status: 200 }).inc();
        metrics.mcp_stream_ends.get_or_create(&Reason { reason: "answered" }).inc();
        metrics.rate_limited.get_or_create(&Scope { scope: "user" }).inc();
        metrics.errors_sent.get_or_create(&Code { code: "INVALID_JSON" }).inc();
        metrics.messages.get_or_create(&plugin_outcome).inc();
        metrics.plugin_calls.get_or_create(&plugin_outcome).inc();
        metrics.plugin_outbound_requests.get_or_create(&plugin_outcome).inc();
        metrics.plugin_outbound_request_duration.get_or_create(&plugin).observe(0.01);
        metrics.plugin_loads.get_or_create(&plugin_outcome).inc();
        metrics.message_duration.get_or_create(&plugin).observe(0.01);
        metrics.plugin_call_duration.get_or_create(&plugin).observe(0.01);
        metrics.plugin_load_duration.get_or_create(&plugin).observe(0.01);
        metrics.plugin_calls_in_flight.get_or_create(&plugin).inc();
        metrics.plugin_instance_starts.get_or_create(&plugin_outcome).inc();
        metrics.plugin_handovers.get_or_create(&plugin_outcome).inc();
        metrics.plugin_instances_kept.get_or_create(&plugin).inc();
        metrics.plugin_instances_put_away.get_or_create(&PluginReason { plugin: "echo".into(), reason: "age" }).inc();
        let scope = PluginScope { plugin: "echo".into(), scope: "user" };
        metrics.state_bytes.get_or_create(&scope).inc();
        metrics.state_entries.get_or_create(&scope).inc();
        metrics.state_owners.get_or_create(&scope).inc();
        metrics.state_flushes.get_or_create(&Outcome { outcome: "written" }).inc();
        metrics.state_refused.get_or_create(&Reason { reason: "quota" }).inc();
        metrics.plugin_log_lines_dropped.get_or_create(&plugin).inc();
        let version = PluginVersionLabel { plugin: "echo".into(), version: "1.0.0".into() };
        metrics.plugin_serving.get_or_create(&version).set(1);
        metrics.plugin_canary_percent.get_or_create(&version).set(10);
        let rollout = Rollout { plugin: "echo".into(), operation: "deploy", outcome: "done" };
        metrics.plugin_rollouts.get_or_create(&rollout).inc();
        let operation = Operation {
            mcp_method_name: "tools/call",
            gen_ai_tool_name: "add".into(),
            gen_ai_prompt_name: "".into(),
            error_type: "",
        };
        metrics.mcp_operation_duration.get_or_create(&operation).observe(0.01);
        metrics.plugin_circuit_openings.get_or_create(&plugin).inc();
        metrics.plugin_poisoned_messages.get_or_create(&plugin).inc();
        metrics.plugin_circuit.get_or_create(&version).set(0);
        metrics
    }

    #[test]
    fn every_row_of_the_table_is_rendered_under_its_name() {
        let text = used().render();
        let table = Metrics::table();
        for row in table.lines().skip(2) {
            let name = row.split('`').nth(1).unwrap();
            let is_sample =
                |line: &str, name: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
            let rendered = |line: &str| is_sample(line, name) || is_sample(line, &format!("{name}_count"));
            assert!(text.lines().any(rendered), "{name} is not in:\n{text}");
        }
    }

    #[test]
    fn units_and_suffixes_stand_once_in_each_name() {
        let text = used().render();
        for doubled in ["_total_total", "_bytes_bytes", "_seconds_seconds", "switchboard_switchboard"] {
            assert!(!text.contains(doubled), "{doubled} in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
