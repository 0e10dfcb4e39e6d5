//! What operators see: metrics by the table, logs that can be followed by connection and version.

use serde_json::{Value, json};

use crate::harness::{Client, Http, Server, guest, repository};

#[tokio::test]
async fn every_metric_of_the_table_is_there_and_no_label_names_a_user_or_connection() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "user-with-a-name").await;
    client.request("ping", json!({})).await;
    client.send_text(r#"{"type":"ping","id":"twice"}"#).await;
    client.answer_to("twice").await;
    client.send_text(r#"{"type":"ping","id":"twice"}"#).await;
    client.answer_to("twice").await;
    client.request("no_such_type_was_declared", json!({})).await;
    client.request("subscribe", json!({ "topic": "news" })).await;
    client.request("publish", json!({ "topic": "news", "type": "news", "payload": {} })).await;
    Client::connect(&server, "another").await.close().await;
    server.edit_config(|text| format!("{text}\n[heartbeat]\ninterval = \"26s\"\n"));
    crate::harness::eventually("the close and the reload to be counted", async || {
        let closes = server.metric("switchboard_closes_total").await;
        (closes >= 1.0 && server.metric("switchboard_config_reloads_total").await >= 1.0).then_some(())
    })
    .await;
    let answer = Http::get(&server.admin("/metrics")).await;
    let text = answer.text;
    assert!(answer.headers["content-type"].to_str().expect("ASCII").contains("openmetrics"));
    let table = std::fs::read_to_string(repository().join("docs/metrics.md")).expect("the table");
    let names: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(names.len() >= 20, "{names:?}");
    // Only what has happened has series; these have not.
    let not_yet = [
        "switchboard_plugin_log_lines_dropped_total",
        "switchboard_plugin_instances_kept",
        "switchboard_plugin_instances_put_away_total",
        "switchboard_plugin_handovers_total",
        "switchboard_plugin_canary_percent",
        "switchboard_state_bytes",
        "switchboard_state_entries",
        "switchboard_state_owners",
        "switchboard_state_flushes_total",
        "switchboard_state_refused_total",
        "switchboard_plugin_circuit_openings_total",
        "switchboard_plugin_poisoned_messages_total",
        "switchboard_plugin_outbound_requests_total",
        "switchboard_plugin_outbound_request_duration_seconds",
        "switchboard_mcp_server_operation_duration_seconds",
        "switchboard_mcp_requests_total",
        "switchboard_mcp_stream_ends_total",
    ];
    for name in names.into_iter().filter(|name| !not_yet.contains(name)) {
        let family = name.trim_end_matches("_total");
        assert!(text.contains(&format!("# TYPE {family} ")), "{name} is not exposed");
    }
    for secret in ["user-with-a-name", client.connection_id(), "no_such_type_was_declared"] {
        assert!(!text.contains(secret), "{secret} is in the metrics");
    }
    for (series, least) in [
        ("switchboard_connections ", 1.0),
        ("switchboard_handshakes_total{outcome=\"accepted\"}", 1.0),
        ("switchboard_authentications_total{outcome=\"accepted\"}", 1.0),
        ("switchboard_frames_received_total", 4.0),
        ("switchboard_frames_sent_total", 5.0),
        ("switchboard_messages_total{plugin=\"system\",outcome=\"answered\"}", 3.0),
        ("switchboard_message_duration_seconds_count{plugin=\"system\"}", 3.0),
        ("switchboard_plugin_calls_total{plugin=\"system\",outcome=\"ok\"}", 3.0),
        ("switchboard_errors_sent_total{code=\"UNKNOWN_MESSAGE_TYPE\"}", 1.0),
        ("switchboard_subscriptions ", 1.0),
        ("switchboard_topic_deliveries_total", 1.0),
        ("switchboard_plugin_serving{plugin=\"system\"", 1.0),
        ("switchboard_plugin_loads_total{plugin=\"system\",outcome=\"ready\"}", 1.0),
    ] {
        let value = server.metric(series).await;
        assert!(value >= least, "{series}: {value}");
    }
}

#[tokio::test]
async fn gauges_come_back_down() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    client.request("subscribe", json!({ "topic": "news" })).await;
    client.close().await;
    crate::harness::eventually("the gauges to be at zero", async || {
        let connections = server.metric("switchboard_connections ").await;
        let subscriptions = server.metric("switchboard_subscriptions ").await;
        let in_flight = server.metric("switchboard_plugin_calls_in_flight").await;
        (connections + subscriptions + in_flight == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn log_lines_are_json_and_carry_the_connection_and_the_plugins_version() {
    let server = Server::builder().system().plugin("trap", guest("trap")).start().await;
    let mut client = Client::connect(&server, "alice").await;
    client.request("trap_now", json!({ "data": "a secret of the user" })).await;
    let line = server.logged(&["WARN", "trap", client.connection_id()]).await;
    let parsed: Value = serde_json::from_str(&line).expect("a log line is JSON");
    assert!(parsed["timestamp"].is_string() && parsed["level"] == "WARN", "{line}");
    assert!(line.contains("plugin_version") || line.contains("version"), "{line}");
    let log = server.log().join("\n");
    assert!(log.contains("backtrace"), "the operator sees where it crashed");
    assert!(!log.contains("a secret of the user"), "a payload was logged");
}
