//! What operators see: metrics, traces and log lines. Written from the start, not added later.

pub(crate) mod metrics;
pub(crate) mod redact;
pub(crate) mod tracing;

pub(crate) use metrics::Metrics;
