//! The edge that faces operators, on a listener of its own: what runs, what is set, and how to change it.
//!
//! Every request carries a token with the scope that its route needs (`gate`); what is scraped or probed
//! by machines (metrics, health) needs none, and neither does the description of the routes. There is no
//! TLS here, so it listens on this machine alone unless told otherwise. Web pages in an operator's browser
//! are kept out as well: a request is answered only if it names this machine in its Host header (a page
//! could point its own name here: DNS rebinding), and no other origin.
//!
//! Reading order: this file (which route needs what), `gate`, `problem` with `body`, then a file for each
//! subject. `openapi` writes down what the handlers say of themselves.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use switchboard_protocol::ErrorCode;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa::{ToSchema, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::operator::{Operators, Scope},
    config::LiveConfig,
    telemetry::{Metrics, recent::Recent},
};

mod body;
mod desk;
mod gate;
mod host_check;
mod logs;
mod openapi;
mod operations;
mod plugins;
mod problem;
mod revocations;
mod sessions;
mod state;
#[cfg(test)]
mod tests;
mod token_routes;
mod trail;
mod wrong_tokens;

pub(crate) use desk::{Fetch, Forgetting, Operation, PluginDesk};
pub(crate) use revocations::RevocationDesk;
pub(crate) use sessions::SessionSummary;

use gate::Gate;
use problem::Problem;
use wrong_tokens::WrongTokens;

/// `Err` says why not, for people.
pub(crate) type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// All sessions, or those of one subject.
pub(crate) type SessionSource = Arc<dyn Fn(Option<&str>) -> Vec<SessionSummary> + Send + Sync>;

/// What the routes tell of, and work with.
pub(crate) struct Parts {
    pub metrics: Arc<Metrics>,
    pub config: LiveConfig,
    pub readiness: Readiness,
    pub desk: Arc<dyn PluginDesk>,
    pub sessions: SessionSource,
    pub revocations: RevocationDesk,
    pub operators: Arc<Operators>,
    pub recent: Arc<Recent>,
    pub tasks: TaskTracker,
    /// The host is about to stop.
    pub draining: CancellationToken,
}

#[derive(Clone)]
struct AdminState {
    metrics: Arc<Metrics>,
    config: LiveConfig,
    readiness: Readiness,
    desk: Arc<dyn PluginDesk>,
    sessions: SessionSource,
    revocations: RevocationDesk,
    operators: Arc<Operators>,
    recent: Arc<Recent>,
    tasks: TaskTracker,
    draining: CancellationToken,
    uploads: Arc<Semaphore>,
    document: Arc<OpenApi>,
}

/// As OpenMetrics 1.0 registers it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All routes of the admin listener.
pub(crate) fn router(parts: Parts) -> Router {
    let gate = Gate { operators: parts.operators.clone(), wrong: Arc::new(WrongTokens::default()) };
    let (routes, document) = described(&gate);
    let own_host = middleware::from_fn_with_state(parts.config.clone(), host_check::require_own_host);
    let Parts { metrics, config, readiness, desk, sessions, revocations, operators, recent, tasks, draining } = parts;
    routes.fallback(not_found).method_not_allowed_fallback(method_not_allowed).layer(own_host).with_state(AdminState {
        metrics,
        config,
        readiness,
        desk,
        sessions,
        revocations,
        operators,
        recent,
        tasks,
        draining,
        uploads: operations::uploads(),
        document: Arc::new(document),
    })
}

/// Which route needs what, and the document that says so.
fn described(gate: &Gate) -> (Router<AdminState>, OpenApi) {
    let open = OpenApiRouter::new()
        .routes(routes!(metrics))
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(openapi::serve));
    let read = OpenApiRouter::new()
        .routes(routes!(config))
        .merge(plugins::routes())
        .merge(logs::routes())
        .merge(sessions::routes())
        .merge(state::readable())
        .merge(trail::routes())
        .merge(revocations::readable());
    // A pipeline brings versions and takes them back, which hurts nobody for long. What a plugin remembered of its
    // users is gone for good once it is dropped, and no version brings it back.
    let admin =
        OpenApiRouter::new().merge(token_routes::routes()).merge(revocations::changing()).merge(state::changing());
    let (routes, mut document) = OpenApiRouter::with_openapi(openapi::empty())
        .merge(open)
        .merge(gate.guard(Scope::Read, read))
        .merge(gate.guard(Scope::Deploy, operations::routes()))
        .merge(gate.guard(Scope::Admin, admin))
        .split_for_parts();
    openapi::complete(&mut document);
    (routes, document)
}

#[derive(Debug, Serialize, ToSchema)]
struct Health {
    status: &'static str,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A setting in force.
#[derive(Debug, Serialize, ToSchema)]
struct SettingInForce {
    /// Its path, such as `server.listen`.
    setting: String,
    value: serde_json::Value,
    /// Where the value comes from: a line of the file, a variable, a flag, or the default.
    origin: String,
}

/// Metrics
///
/// In the OpenMetrics text format, which Prometheus reads.
#[utoipa::path(get, path = "/metrics", tag = "host", responses(
    (status = 200, description = "OpenMetrics 1.0", body = String, content_type = "application/openmetrics-text"),
))]
async fn metrics(State(state): State<AdminState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], state.metrics.render())
}

/// Whether the process is alive
#[utoipa::path(get, path = "/healthz", tag = "host", responses((status = 200, description = "It is", body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok", reason: None })
}

/// Whether the host should get traffic
#[utoipa::path(get, path = "/readyz", tag = "host", responses(
    (status = 200, description = "It should", body = Health),
    (status = 503, description = "It should not; `reason` says why", body = Health),
))]
async fn ready(State(state): State<AdminState>) -> (StatusCode, Json<Health>) {
    match (state.readiness)() {
        Ok(()) => (StatusCode::OK, Json(Health { status: "ready", reason: None })),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "not_ready", reason: Some(reason) })),
    }
}

/// The settings in force
///
/// Without secrets, and with the place that each value comes from.
#[utoipa::path(get, path = "/config", tag = "host", responses(
    (status = 200, description = "All of them", body = [SettingInForce]),
))]
async fn config(State(state): State<AdminState>) -> Json<Vec<SettingInForce>> {
    let shown = |effective: &crate::config::effective::Effective| SettingInForce {
        setting: effective.path.clone(),
        value: effective.value.clone(),
        origin: effective.origin.to_string(),
    };
    Json(state.config.effective().iter().map(shown).collect())
}

async fn not_found(uri: Uri) -> Response {
    Problem::new(ErrorCode::NotFound, format!("there is no {} here", uri.path()))
        .help("GET /openapi.json describes all routes")
        .into_response()
}

async fn method_not_allowed(method: axum::http::Method) -> Response {
    Problem::new(ErrorCode::MethodNotAllowed, format!("{method} is not answered here"))
        .help("see the `Allow` header; GET /openapi.json describes all routes")
        .into_response()
}
