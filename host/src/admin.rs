//! The edge that faces operators, on a listener of its own: metrics, health, what is loaded, what is set.
//!
//! It asks for no token, so it listens on this machine alone unless told otherwise. Who else runs on this
//! machine is trusted; web pages in the operator's browser are not. So it answers only requests that name
//! this machine in their Host header (a page could point its own name here: DNS rebinding), and none that
//! name another origin. It changes one thing: which tokens are revoked.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use switchboard_protocol::{ErrorCode, ErrorPayload};

use crate::{config::LiveConfig, telemetry::Metrics};

mod host_check;
mod revocations;

pub(crate) use revocations::RevocationDesk;

/// `Err` says why not, for people.
pub(crate) type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A JSON document, made at each request.
pub(crate) type Report = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What the routes tell of.
#[derive(Clone)]
pub(crate) struct AdminState {
    pub metrics: Arc<Metrics>,
    pub config: LiveConfig,
    pub readiness: Readiness,
    pub plugins: Report,
    pub revocations: RevocationDesk,
}

/// As OpenMetrics 1.0 registers it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What else than GET there is.
const METHODS: &str = "use GET; POST goes to /revocations, and DELETE to /revocations/{id}";

/// All routes of the admin listener.
pub(crate) fn router(state: AdminState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/plugins", get(plugins))
        .route("/config", get(config))
        .merge(revocations::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(state.config.clone(), host_check::require_own_host))
        .with_state(state)
}

async fn metrics(State(state): State<AdminState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], state.metrics.render())
}

async fn health() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(state): State<AdminState>) -> (StatusCode, Json<serde_json::Value>) {
    match (state.readiness)() {
        Ok(()) => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not_ready", "reason": reason }))),
    }
}

async fn plugins(State(state): State<AdminState>) -> Json<serde_json::Value> {
    Json((state.plugins)())
}

/// What is in force, and where each value came from.
async fn config(State(state): State<AdminState>) -> Json<serde_json::Value> {
    Json(state.config.effective().iter().map(crate::config::effective::Effective::to_json).collect())
}

async fn not_found(uri: axum::http::Uri) -> Response {
    let problem = ErrorPayload::new(ErrorCode::NotFound, format!("there is no {} here", uri.path()))
        .with_help("the routes are /metrics, /healthz, /readyz, /plugins, /config and /revocations");
    refusal(ErrorCode::NotFound, problem)
}

async fn method_not_allowed(method: axum::http::Method) -> Response {
    let problem =
        ErrorPayload::new(ErrorCode::MethodNotAllowed, format!("{method} is not answered here")).with_help(METHODS);
    refusal(ErrorCode::MethodNotAllowed, problem)
}

fn refusal(code: ErrorCode, problem: ErrorPayload) -> Response {
    let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(problem)).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{
        auth::revocation::Revocations,
        config::{check, raw::Sources},
    };

    async fn serve(ready: Result<(), String>) -> std::net::SocketAddr {
        let config = LiveConfig::from_checked(check::check(&Sources::default(), None).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let state = AdminState {
            metrics: Metrics::new(),
            config,
            readiness: Arc::new(move || ready.clone()),
            plugins: Arc::new(|| json!([{ "name": "echo" }])),
            revocations: RevocationDesk {
                revocations: Revocations::open(folder.path(), Metrics::new()).unwrap(),
                end_sessions: Arc::new(|| 3),
                tasks: TaskTracker::new(),
            },
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(state).into_make_service_with_connect_info::<std::net::SocketAddr>();
        TaskTracker::new().spawn(async move {
            let _folder = folder;
            axum::serve(listener, router).await
        });
        address
    }

    /// The status and the rest of the answer.
    async fn ask(address: std::net::SocketAddr, method: &str, path: &str, host: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }

    #[tokio::test]
    async fn every_route_answers() {
        let address = serve(Ok(())).await;
        for (path, expected) in [
            ("/metrics", "# EOF"),
            ("/metrics", OPENMETRICS),
            ("/healthz", r#"{"status":"ok"}"#),
            ("/readyz", r#"{"status":"ready"}"#),
            ("/plugins", r#"[{"name":"echo"}]"#),
            ("/config", r#""setting":"server.listen","value":"127.0.0.1:8080""#),
        ] {
            let (status, answer) = ask(address, "GET", path, "localhost").await;
            assert_eq!(status, 200, "{path}");
            assert!(answer.contains(expected), "{path}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_host_that_is_not_ready_says_why() {
        let address = serve(Err("the plugin `agent` is required and failed".to_owned())).await;
        let (status, answer) = ask(address, "GET", "/readyz", "localhost").await;
        assert_eq!(status, 503);
        assert!(answer.contains("`agent` is required"), "{answer}");
        assert_eq!(ask(address, "GET", "/healthz", "localhost").await.0, 200);
    }

    #[tokio::test]
    async fn refusals_are_errors_of_the_wire() {
        let address = serve(Ok(())).await;
        for (method, path, host, status, code) in [
            ("GET", "/nothing", "localhost", 404, "NOT_FOUND"),
            ("POST", "/config", "localhost", 405, "METHOD_NOT_ALLOWED"),
            ("GET", "/config", "evil.example", 403, "HOST_REFUSED"),
            ("GET", "/config", "localhost.evil.example:9090", 403, "HOST_REFUSED"),
        ] {
            let (found, answer) = ask(address, method, path, host).await;
            assert_eq!(found, status, "{method} {path} {host}");
            assert!(answer.contains(&format!("\"code\":\"{code}\"")) && answer.contains("\"recoverable\""), "{answer}");
        }
    }
}
