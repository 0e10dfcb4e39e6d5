//! `/mcp`: the Model Context Protocol over Streamable HTTP, for clients of both eras on one endpoint.
//!
//! Here is what HTTP asks for, and nothing else: who may ask (`gate`, `resource`), what a body is
//! (`negotiate`, `body`, `message`), which era it belongs to (`era`), whether headers say the same as it
//! (`mirror`), and how an answer is shown (`answer`, `stream`). No method is known here but the few by which
//! these differ. A request without a handshake is a session of its own (`modern`); those with one share the
//! session that their handshake made (`handshake`, `sessions`).

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::{HeaderName, HeaderValue, Method, header::ALLOW};
use switchboard_protocol::ErrorCode;
use tracing::Instrument as _;

mod answer;
mod body;
mod era;
mod fault;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gate;
mod handshake;
mod message;
mod mirror;
mod modern;
mod negotiate;
mod resource;
mod sessions;
mod stream;
mod waiting;

use super::{
    Edge,
    codec::{ENVELOPE_BYTES, ENVELOPE_DEPTH},
    refusal::Refusal,
    upgrade::{self, CONNECTION_ID, new_connection_id},
};
use crate::{auth::Door, config::mcp::METADATA_PATH, telemetry::metrics::McpRequest};
use era::Era;
use fault::Fault;
use message::{Kind, Message};

/// Where it is.
pub(super) const ENDPOINT: &str = "/mcp";

/// Of clients with a handshake (MCP 2025-11-25, "Transports", session management).
pub(super) const SESSION_HEADER: &str = "mcp-session-id";

/// Headers that scripts of web pages may read.
pub(super) const EXPOSED: [&str; 3] = [SESSION_HEADER, era::VERSION_HEADER, "www-authenticate"];

/// What is remembered between requests.
#[derive(Default)]
pub(crate) struct Mcp {
    sessions: sessions::Sessions,
    waiting: waiting::Waiting,
}

pub(super) fn routes() -> Router<Arc<Edge>> {
    Router::new()
        .route(ENDPOINT, any(endpoint))
        .route(METADATA_PATH, get(resource::metadata))
        .route(&format!("{METADATA_PATH}/{{*path}}"), get(resource::metadata_at))
}

/// Ends sessions that nobody uses any more, until the host stops.
pub(crate) async fn look_after_sessions(edge: Arc<Edge>) {
    let stop = edge.shutdown.stop.clone();
    let sweep = async {
        loop {
            let next = edge.mcp.sessions.sweep(&edge);
            tokio::time::sleep(next).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = sweep => {}
    }
}

/// Whether an upgrade names this server as one of its own names.
pub(super) fn check_host(edge: &Edge, request: &http::request::Parts) -> Result<(), Refusal> {
    gate::check_host(&edge.config.load(), request).map(drop)
}

async fn endpoint(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    if request.method() == Method::GET && upgrade::is_wanted(request.headers()) {
        return upgrade::open(edge, request, Door::Mcp).await;
    }
    let started = Instant::now();
    let connection_id = new_connection_id();
    let span = tracing::info_span!("mcp", connection_id, era = tracing::field::Empty);
    let (mut era, method) = (Era::of_headers(request.headers()), metered(request.method()));
    let served = serve(&edge, &connection_id, request, &mut era).instrument(span.clone()).await;
    let mut response = served.unwrap_or_else(IntoResponse::into_response);
    let status = response.status().as_u16();
    span.record("era", era.as_str());
    span.in_scope(|| tracing::debug!(status, "answered"));
    let seconds = started.elapsed().as_secs_f64();
    let labels = McpRequest { era: era.as_str(), method, status };
    edge.metrics.mcp_requests.get_or_create(&labels).inc();
    edge.metrics.mcp_request_duration.observe(seconds);
    if let Ok(id) = HeaderValue::from_str(&connection_id) {
        response.headers_mut().insert(HeaderName::from_static(CONNECTION_ID), id);
    }
    response
}

/// What a client makes up is not a label.
fn metered(method: &Method) -> &'static str {
    match *method {
        Method::POST => "POST",
        Method::GET => "GET",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

async fn serve(edge: &Arc<Edge>, connection_id: &str, request: Request, era: &mut Era) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    let guest = match gate::admit(edge, connection_id, &parts).await {
        Ok(guest) => guest,
        Err(fault) => {
            // Closing a connection over unread bytes resets it, and the reset overtakes the answer.
            body::discard(body).await;
            return Err(fault);
        }
    };
    match (parts.method, *era) {
        (Method::POST, _) => {}
        (Method::GET, Era::Handshake) => return handshake::listen(edge, guest, &parts.headers),
        (Method::DELETE, Era::Handshake) => return handshake::end(edge, &guest, &parts.headers),
        (method, _) => return Err(not_allowed(&method, *era)),
    }
    let headers = &parts.headers;
    if !negotiate::sends_json(headers) {
        body::discard(body).await;
        let detail = "a message comes as application/json, in a body that is not compressed";
        return Err(Refusal::new(ErrorCode::MediaTypeUnsupported, detail).into());
    }
    // From here on the connection gives way to nobody, so this is where it is counted as its user's.
    let waits = match edge.mcp.waiting.enter(&guest.principal) {
        Ok(waits) => waits,
        Err(refusal) => {
            body::discard(body).await;
            return Err(refusal.into());
        }
    };
    let limits = edge.config.load().limits.clone();
    let body = body::read(headers, body, limits.max_message_bytes.saturating_sub(ENVELOPE_BYTES)).await?;
    let message = Message::read(&body, limits.max_json_depth.saturating_sub(ENVELOPE_DEPTH))?;
    *era = Era::of_message(headers, &message);
    if message.kind == Kind::Request {
        check_accept(headers).map_err(|fault| fault.of(message.id))?;
    }
    let answered = match *era {
        Era::Modern => modern::post(edge, guest, waits, headers, &message).await,
        Era::Handshake => handshake::post(edge, guest, waits, headers, &message).await,
    };
    answered.map_err(|fault| fault.of(message.id.filter(|_| message.kind == Kind::Request)))
}

/// Whoever asks has to take either form of an answer.
fn check_accept(headers: &http::HeaderMap) -> Result<(), Fault> {
    let types = [negotiate::JSON, negotiate::EVENT_STREAM];
    if types.iter().all(|media_type| negotiate::accepts(headers, media_type)) {
        return Ok(());
    }
    Err(Fault::not_acceptable("the Accept header has to name application/json and text/event-stream"))
}

fn not_allowed(method: &Method, era: Era) -> Fault {
    let allowed = match era {
        Era::Modern => "POST",
        Era::Handshake => "GET, POST, DELETE",
    };
    let refusal = Refusal::new(ErrorCode::MethodNotAllowed, format!("{ENDPOINT} does not answer {method} here"));
    Fault::from(refusal).with_header(ALLOW, HeaderValue::from_static(allowed))
}
