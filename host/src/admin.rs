//! Stand-in.
use std::sync::Arc;

use crate::{config::LiveConfig, telemetry::Metrics};

pub(crate) type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
pub(crate) type Report = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

#[derive(Clone)]
pub(crate) struct AdminState {
    pub metrics: Arc<Metrics>,
    pub config: LiveConfig,
    pub readiness: Readiness,
    pub plugins: Report,
}

pub(crate) fn router(state: AdminState) -> axum::Router {
    axum::Router::new().route("/metrics", axum::routing::get(move || async move { state.metrics.render() }))
}
