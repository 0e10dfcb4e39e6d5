//! The public routes. Every answer that is not a success has the JSON body of an error message.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue, Method,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
        request::Parts,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use switchboard_protocol::{Discovery, ErrorCode};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::{
    Edge,
    listener::Peer,
    mcp,
    refusal::Refusal,
    upgrade::{self, CONNECTION_ID, new_connection_id},
};
use crate::auth::{AuthFailure, Door};

/// None of these routes but MCP's, which has its own bounds, reads a body; this only spares us one that would have to be skipped.
const MAX_BODY_BYTES: u64 = 64 * 1024;

/// For a whole answer. What takes longest is a first fetch of verification keys.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// Headers that scripts of web pages may read.
const EXPOSED: [&str; 2] = [CONNECTION_ID, "retry-after"];

/// How long browsers may remember a preflight's answer: origins can be taken off the list at any time.
const PREFLIGHT_AGE: Duration = Duration::from_secs(300);

pub(crate) fn router(edge: Arc<Edge>) -> Router {
    // Headers that repeat arguments of tools have names that nobody knows beforehand.
    let for_mcp = cors(&edge)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED.into_iter().chain(mcp::EXPOSED).map(HeaderName::from_static).collect::<Vec<_>>());
    let routes = Router::new()
        .route("/ws", get(upgrade::upgrade))
        .route("/ws/ticket", post(ticket))
        .route("/ws/config", get(discovery))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(bounded))
        .layer(cors(&edge));
    routes.merge(mcp::routes().layer(for_mcp)).with_state(edge)
}

/// A single-use ticket, for clients that cannot set headers on a WebSocket.
async fn ticket(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let connection_id = new_connection_id();
    let span = tracing::info_span!("request", connection_id);
    let issued = tracing::Instrument::instrument(issue(&edge, &connection_id, &request), span).await;
    let mut response = issued.unwrap_or_else(IntoResponse::into_response);
    if let Ok(id) = HeaderValue::from_str(&connection_id) {
        response.headers_mut().insert(CONNECTION_ID, id);
    }
    response
}

async fn issue(edge: &Edge, connection_id: &str, request: &Parts) -> Result<Response, Refusal> {
    let headers = &request.headers;
    upgrade::check_draining(edge)?;
    edge.admission.check_origin(headers)?;
    let peer = upgrade::peer(request)?;
    // A token is checked here as at the upgrade, so the same rate bounds it.
    let _slot = edge.admission.reserve(peer.ip())?;
    let authenticated = edge.auth.authenticate_request(Door::Socket, connection_id, peer.ip(), headers).await?;
    let issued = edge.auth.issue_ticket(authenticated.principal).map_err(|failure| no_ticket(edge, failure))?;
    let expires_in_ms = u64::try_from(issued.expires_in.as_millis()).unwrap_or(u64::MAX);
    let body = Json(json!({ "ticket": issued.ticket, "expires_in_ms": expires_in_ms }));
    // A credential: nothing on the way may keep it.
    Ok(([(CACHE_CONTROL, "no-store")], body).into_response())
}

/// By the end of a ticket's life those that are outstanding have expired, if they were not used.
fn no_ticket(edge: &Edge, failure: AuthFailure) -> Refusal {
    let retry_after = (failure.code == ErrorCode::RateLimited).then(|| edge.config.load().auth.ticket_lifetime);
    Refusal { retry_after, ..failure.into() }
}

async fn discovery(State(edge): State<Arc<Edge>>) -> Json<Discovery> {
    Json(edge.dispatcher.discovery())
}

/// The process lives and answers.
async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// The process should get traffic.
async fn readyz(State(edge): State<Arc<Edge>>) -> Response {
    match edge.readiness() {
        Ok(()) => Json(json!({ "status": "ready" })).into_response(),
        Err(reason) if edge.shutdown.is_draining() => Refusal::new(ErrorCode::ServerDraining, reason).into_response(),
        Err(reason) => Refusal::new(ErrorCode::PluginUnavailable, reason).into_response(),
    }
}

async fn not_found(request: Request) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no {:?}", request.uri().path()))
}

async fn method_not_allowed(request: Request) -> Refusal {
    let error = format!("{:?} does not answer {}", request.uri().path(), request.method());
    Refusal::new(ErrorCode::MethodNotAllowed, error)
}

/// Bounds what a request may carry and how long its answer may take.
async fn bounded(request: Request, next: Next) -> Response {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length.filter(|length| *length > MAX_BODY_BYTES) {
        let error = format!("the body has {length} bytes, and {MAX_BODY_BYTES} are allowed");
        return Refusal::new(ErrorCode::MessageTooLarge, error).into_response();
    }
    match tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let error = format!("the answer took longer than {} s", REQUEST_LIMIT.as_secs());
            Refusal::new(ErrorCode::InternalError, error).into_response()
        }
    }
}

/// The list of origins is the one of the upgrade, as it is at the moment.
fn cors(edge: &Arc<Edge>) -> CorsLayer {
    let config = edge.config.clone();
    let allowed = move |origin: &HeaderValue, _: &Parts| {
        let Ok(origin) = origin.to_str() else { return false };
        config.load().origins.allow.iter().any(|pattern| pattern.matches(origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(PREFLIGHT_AGE)
}

/// Peers are put into requests by the listener.
pub(super) fn peer_of(request: &Parts) -> Option<Peer> {
    request.extensions.get::<Peer>().copied()
}
