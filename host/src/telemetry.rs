//! What operators see: metrics, traces and log lines. Written from the start, not added later.

mod collector;
pub(crate) mod metrics;
pub(crate) mod recent;
pub(crate) mod redact;
pub(crate) mod tracing;
pub(crate) mod trail;

#[cfg(test)]
pub(crate) use collector::collect;
pub(crate) use metrics::Metrics;

/// docs/metrics.md.
pub(crate) fn metrics_page() -> String {
    format!(
        "# Metrics\n\n<!-- Generated from the table of metrics: `switchboard config reference metrics`. -->\n\n\
         `GET /metrics` on the admin listener answers in the OpenMetrics 1.0 text format, which Prometheus reads.\n\
         No label names a user or a connection, so that the number of series is bounded by your plugins.\n\n{}",
        Metrics::table()
    )
}
