//! What operators see: metrics, traces and log lines. Written from the start, not added later.

pub(crate) mod metrics;

pub(crate) use metrics::Metrics;
