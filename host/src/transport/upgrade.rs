//! May this request have a socket? Every check happens before the 101, in one order:
//! draining - form of the request - (for MCP, host) - origin - connection limits and rate - token - user limits.
//!
//! The connection's id is made first, and is in every log line, in every refusal and on the socket.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
            SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
        },
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::upgrade::OnUpgrade;
use switchboard_protocol::{CloseCode, ErrorCode, SUBPROTOCOL, SUBPROTOCOL_MCP};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::Instrument as _;

use super::{
    Edge, Service,
    codec::Codec,
    http,
    line::Line,
    mcp,
    negotiation::{self, Agreed},
    refusal::Refusal,
    websocket::{self, Admitted},
    wire::Deflate,
};
use crate::{
    admission::Evictable,
    auth::Door,
    session::{
        Connection,
        state::{Event, State as Life},
    },
    telemetry::{metrics::Outcome, redact::redact_query},
};

/// In every answer to an upgrade.
pub(crate) const CONNECTION_ID: &str = "x-connection-id";

/// The version of RFC 6455.
const WEBSOCKET_VERSION: &str = "13";

/// Of a client's key, before it is encoded.
const NONCE_BYTES: usize = 16;

/// From the 101 to the socket being ours; only a client that vanished makes it take this long.
const SWITCH_LIMIT: Duration = Duration::from_secs(10);

/// The least that a client is asked to stay away from a server that shuts down.
const MIN_RETRY: Duration = Duration::from_secs(1);

pub(crate) fn new_connection_id() -> String {
    format!("ws_{:016x}", rand::random::<u64>())
}

/// `GET /ws`.
pub(crate) async fn upgrade(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    open(edge, request, Door::Socket).await
}

/// Through the door for MCP, frames are bare JSON-RPC unless the client asks for envelopes.
pub(super) async fn open(edge: Arc<Edge>, request: Request, door: Door) -> Response {
    let started = Instant::now();
    let connection_id = new_connection_id();
    let span = tracing::info_span!("connection", connection_id);
    let (request, _) = request.into_parts();
    span.in_scope(|| tracing::debug!(query = request.uri.query().map(redact_query), "an upgrade was asked for"));
    let result = shake_hands(&edge, &connection_id, request, door).instrument(span.clone()).await;
    let outcome = result.as_ref().map_or_else(|refusal| refusal.code.as_str(), |_| "accepted");
    edge.metrics.handshakes.get_or_create(&Outcome { outcome }).inc();
    edge.metrics.handshake_duration.observe(started.elapsed().as_secs_f64());
    let mut response = result.unwrap_or_else(|refusal| {
        span.in_scope(|| tracing::info!(code = %refusal.code, "the upgrade was refused"));
        let upgrade_required = refusal.code == ErrorCode::UpgradeRequired;
        let mut response = refusal.into_response();
        if upgrade_required {
            response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
            response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(WEBSOCKET_VERSION));
        }
        response
    });
    if let Ok(id) = HeaderValue::from_str(&connection_id) {
        response.headers_mut().insert(CONNECTION_ID, id);
    }
    response
}

async fn shake_hands(
    edge: &Arc<Edge>,
    connection_id: &str,
    mut request: Parts,
    door: Door,
) -> Result<Response, Refusal> {
    let life = Life::Connecting;
    check_draining(edge)?;
    let switch = request.extensions.remove::<OnUpgrade>();
    let key = websocket_key(&request.method, &request.headers);
    let (key, switch) = key.zip(switch).ok_or_else(upgrade_required)?;
    if door == Door::Mcp {
        mcp::check_host(edge, &request)?;
    }
    edge.admission.check_origin(&request.headers)?;
    let peer = peer(&request)?.ip();
    let connection_slot = edge.admission.reserve(peer)?;
    let life = life.after(Event::CredentialsTaken);
    let query = request.uri.query();
    let authenticated = edge.auth.authenticate_upgrade(door, connection_id, peer, &request.headers, query).await?;
    let connection = Arc::new(Connection::new(connection_id.into(), life));
    let user_slot = edge.admission.admit_user(&authenticated.principal, connection.clone())?;

    let server = &edge.config.load().server;
    let agreed = server.compression.then(|| negotiation::agree(&request.headers)).flatten();
    let deflate =
        agreed.as_ref().map(|agreed| Deflate { window: agreed.window, min_bytes: server.compression_min_bytes });
    let response = switching_protocols(&key, authenticated.subprotocol.as_deref(), agreed)?;
    let codec = match (edge.service, authenticated.subprotocol.as_deref(), door) {
        (Service::Echo, ..) => Codec::Echo,
        (Service::Route, Some(SUBPROTOCOL_MCP), _) => Codec::BareJsonrpc,
        (Service::Route, Some(SUBPROTOCOL), _) | (Service::Route, _, Door::Socket) => Codec::Envelope,
        (Service::Route, _, Door::Mcp) => Codec::BareJsonrpc,
    };
    let resumable = codec == Codec::Envelope;
    let attachment = edge.dispatcher.new_session(&connection, authenticated.principal, resumable);
    let line = Line::new(connection, attachment);
    let admitted = Box::new(Admitted { line, codec, deflate, _slots: (connection_slot, user_slot) });
    edge.shutdown.connections.spawn(switch_over(edge.clone(), switch, admitted).in_current_span());
    Ok(response)
}

pub(super) fn check_draining(edge: &Edge) -> Result<(), Refusal> {
    if !edge.shutdown.is_draining() {
        return Ok(());
    }
    let retry_after = edge.config.load().server.reconnect_window.max(MIN_RETRY);
    let detail = "the server is shutting down".to_owned();
    Err(Refusal { code: ErrorCode::ServerDraining, detail, retry_after: Some(retry_after) })
}

/// The client's key, if the request is an upgrade in the form of RFC 6455, section 4.2.1.
///
/// One that announces a body is none: who is in the middle and reads the body would see other frames
/// than we do. Neither is HEAD, which the router takes for a GET.
fn websocket_key(method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
    let complete = names(headers, CONNECTION, "upgrade")
        && is_wanted(headers)
        && names(headers, SEC_WEBSOCKET_VERSION, WEBSOCKET_VERSION);
    let bodiless = !headers.contains_key(TRANSFER_ENCODING)
        && headers.get_all(CONTENT_LENGTH).iter().all(|length| length.as_bytes() == b"0");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| is_nonce(key.as_bytes()));
    key.filter(|_| method == Method::GET && complete && bodiless).cloned()
}

/// Whether a request offers to become a socket, and not something else, as clients do that would rather speak HTTP/2.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    names(headers, UPGRADE, "websocket")
}

/// Whether a header that is a list has an entry.
fn names(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(wanted))
}

/// Whether it is base64 of 16 bytes, as a client of RFC 6455 makes it.
fn is_nonce(key: &[u8]) -> bool {
    let mut nonce = [0; NONCE_BYTES + 2];
    BASE64_STANDARD.decode_slice(key, &mut nonce).is_ok_and(|length| length == NONCE_BYTES)
}

fn upgrade_required() -> Refusal {
    let error = "the request is not a WebSocket upgrade of version 13 (RFC 6455, section 4.1)";
    Refusal::new(ErrorCode::UpgradeRequired, error)
}

pub(super) fn peer(request: &Parts) -> Result<SocketAddr, Refusal> {
    let peer = http::peer_of(request).map(|peer| peer.0);
    peer.ok_or_else(|| Refusal::new(ErrorCode::InternalError, "the client's address is not known"))
}

fn switching_protocols(
    key: &HeaderValue,
    subprotocol: Option<&str>,
    compression: Option<Agreed>,
) -> Result<Response, Refusal> {
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()));
    if let Some(subprotocol) = subprotocol {
        response = response.header(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    if let Some(agreed) = compression {
        response = response.header(SEC_WEBSOCKET_EXTENSIONS, agreed.answer);
    }
    let broken = |error: axum::http::Error| Refusal::new(ErrorCode::InternalError, error.to_string());
    response.body(Body::empty()).map_err(broken)
}

impl Evictable for Connection {
    fn connection_id(&self) -> &str {
        &self.id
    }

    fn evict(&self) {
        self.close(CloseCode::Evicted);
    }
}

/// Waits until the 101 is written, and becomes the socket's task.
async fn switch_over(edge: Arc<Edge>, switch: OnUpgrade, admitted: Box<Admitted>) {
    // Not in the arm of a match, which would keep its place for as long as the socket lives.
    let upgraded = match tokio::time::timeout(SWITCH_LIMIT, switch).await {
        Ok(Ok(upgraded)) => Box::new(upgraded),
        Ok(Err(error)) => return tracing::info!(%error, "the client left during the upgrade"),
        Err(_) => return tracing::info!("the client did not take the answer to its upgrade"),
    };
    admitted.line.connection.advance(Event::Upgraded);
    websocket::serve(edge, upgraded, admitted).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With its span (40 bytes) and what the runtime and the tracker of tasks keep beside it, that is a task of 2,048 bytes.
    /// The next size that the allocator has is 2,560.
    const LARGEST_FUTURE: usize = 1_850;

    fn future_size<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_an_idle_connection_takes_two_kilobytes_and_no_more() {
        let size = future_size(switch_over);
        assert!(size <= LARGEST_FUTURE, "{size}");
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn an_upgrade_is_recognised_by_its_headers() {
        let complete = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        assert!(websocket_key(&Method::GET, &headers(&complete)).is_some());
        assert!(websocket_key(&Method::HEAD, &headers(&complete)).is_none());
        for missing in 0..complete.len() {
            let mut pairs = complete.to_vec();
            pairs.remove(missing);
            assert!(websocket_key(&Method::GET, &headers(&pairs)).is_none(), "without {}", complete[missing].0);
        }
        for (name, value, fits) in
            [("content-length", "0", true), ("content-length", "5", false), ("transfer-encoding", "chunked", false)]
        {
            let pairs = [&complete[..], &[(name, value)]].concat();
            assert_eq!(websocket_key(&Method::GET, &headers(&pairs)).is_some(), fits, "{name}: {value}");
        }
        for key in ["", "short", "AAAAAAAAAAAAAAAAAAAAAAAA", "dGhlIHNhbXBsZSBub25jZQ", "not base64 at all, no.=="] {
            let mut pairs = complete.to_vec();
            pairs[3].1 = key;
            assert!(websocket_key(&Method::GET, &headers(&pairs)).is_none(), "{key:?}");
        }
    }

    #[test]
    fn connection_ids_have_sixteen_digits() {
        let id = new_connection_id();
        let digits = id.strip_prefix("ws_").unwrap();
        assert!(digits.len() == 16 && digits.chars().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
}
