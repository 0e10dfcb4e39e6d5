//! How the answer to one request is shown. The first message decides: if it is the answer, it is the body, with
//! the status that the plugin chose; if it is another, or none comes for a while, a stream begins.

use std::{sync::Arc, time::Duration};

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::value::RawValue;
use switchboard_protocol::{ErrorCode, ErrorPayload};
use tokio::time::timeout;

use super::{
    fault::Fault,
    gate::Guest,
    negotiate::JSON,
    resource,
    sessions::InUse,
    stream::{self, Opening, Room},
    waiting::Waits,
};
use crate::{
    dispatch::exchanges::{Posted, SinglePost},
    session::{
        Session,
        exchange::{End, ExchangeGuard, Shown},
        streams::StreamReader,
    },
    transport::{
        Edge,
        codec::{INTERNAL_ERROR, Said},
        refusal::{Refusal, retry_after},
    },
};

/// For the first message. Most calls are done by then, and a body alone is what those in the middle handle
/// best; and nobody in the middle has given up by then.
const FIRST_MESSAGE: Duration = Duration::from_secs(3);

/// A request that was handed on.
pub(super) struct Pending {
    pub source: Source,
    /// If it was not, the reason is there already.
    pub posted: Posted,
    /// Its own, as it was sent.
    pub id: Option<Box<RawValue>>,
    pub guest: Guest,
    pub waits: Waits,
}

/// Where messages for the client come from.
pub(super) enum Source {
    /// Nothing is left when it is dropped: the client has gone, and so has its request.
    Single(SinglePost),
    Exchange(Shared),
    /// What belongs to no request.
    Listening(InUse, StreamReader),
}

/// An exchange of a session that has others. A client that has gone has not cancelled its request (MCP
/// 2025-11-25, "Transports", sending messages): it goes on, and what it would have got is lost, since streams
/// cannot be resumed here.
pub(super) struct Shared {
    pub session: InUse,
    exchange: Option<ExchangeGuard>,
}

impl Shared {
    pub fn new(session: InUse, exchange: ExchangeGuard) -> Self {
        Self { session, exchange: Some(exchange) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.let_go();
        }
    }
}

impl Source {
    pub async fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Single(post) => post.exchange.next().await,
            Self::Exchange(shared) => shared.exchange.as_ref()?.next().await,
            Self::Listening(_, reader) => reader.next().await,
        }
    }

    pub fn session(&self) -> &Arc<Session> {
        match self {
            Self::Single(post) => &post.session,
            Self::Exchange(shared) => shared.session.session(),
            Self::Listening(session, _) => session.session(),
        }
    }

    fn exchange(&self) -> Option<&ExchangeGuard> {
        match self {
            Self::Single(post) => Some(&post.exchange),
            Self::Exchange(shared) => shared.exchange.as_ref(),
            Self::Listening(..) => None,
        }
    }

    /// Why nothing more comes, if so.
    pub fn ended(&self) -> Option<End> {
        self.exchange().and_then(|exchange| exchange.ended())
    }

    /// The host answers the request, if nothing works on it.
    pub fn answer_now(&self) {
        if let Some(exchange) = self.exchange() {
            exchange.answer_now();
        }
    }

    fn shown(&self) -> Option<Shown> {
        self.exchange().and_then(|exchange| exchange.shown())
    }
}

/// What came first.
enum First {
    Answer(Bytes),
    Error(Bytes, Box<ErrorPayload>),
    Ahead(Bytes),
    /// Nothing, and nothing will.
    End,
    /// Nothing yet.
    Late,
}

impl Pending {
    async fn first(&mut self, limit: Duration) -> First {
        let id = self.id.as_deref();
        let first = async {
            while let Some(message) = self.source.next().await {
                match Said::read(&message, id) {
                    Some(Said::Answer(bytes)) => return First::Answer(bytes),
                    Some(Said::Error(bytes, payload)) => return First::Error(bytes, payload),
                    Some(Said::Ahead(bytes)) => return First::Ahead(bytes),
                    // It cannot be said in JSON-RPC.
                    None => {}
                }
            }
            First::End
        };
        let limit = if self.posted == Posted::TakenIn { limit } else { Duration::ZERO };
        timeout(limit, first).await.unwrap_or(First::Late)
    }

    fn plain(&self, edge: &Edge, bytes: Bytes) -> Response {
        let shown = self.source.shown();
        let status = shown.as_ref().and_then(|shown| StatusCode::from_u16(shown.status).ok()).unwrap_or_default();
        let mut response = body(status, bytes);
        if let Some(shown) = shown.filter(|_| status == StatusCode::FORBIDDEN) {
            let granted = &self.guest.principal.scopes;
            let config = edge.config.load();
            let challenge = resource::more_scopes(&config, &self.guest.host, granted, &shown.missing_scopes);
            if let Some(challenge) = challenge {
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
        }
        response
    }

    fn without_answer(&self) -> Result<Response, Fault> {
        match self.source.ended() {
            Some(End::SessionEnded) => Err(session_ended(&self.source)),
            Some(End::TooSlow) => {
                Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR, "too much was sent at once"))
            }
            // Cancelled by another message, after which nothing more is said; or there was nothing to say.
            _ => Ok(StatusCode::ACCEPTED.into_response()),
        }
    }
}

/// Answers a request, with a body or with a stream.
pub(super) async fn answer(edge: &Arc<Edge>, mut pending: Pending) -> Result<Response, Fault> {
    let first = match pending.first(FIRST_MESSAGE).await {
        First::Answer(bytes) => return Ok(pending.plain(edge, bytes)),
        First::Error(bytes, payload) => return Ok(of_host(bytes, &payload)),
        First::End => return pending.without_answer(),
        First::Ahead(bytes) => Some(bytes),
        First::Late if pending.posted != Posted::TakenIn => return Err(Fault::invalid("the message was refused")),
        First::Late => None,
    };
    let Pending { source, id, guest, waits, .. } = pending;
    let room = Room::for_answer(edge, waits)?;
    Ok(stream::open(edge, room, Opening { source, id, guest, first }))
}

/// Waits for the answer alone, as long as it takes within `limit`. Its bytes tell whether it is an error.
pub(super) async fn only_answer(
    edge: &Arc<Edge>,
    pending: &mut Pending,
    limit: Duration,
) -> Result<(Response, bool), Fault> {
    let until = tokio::time::Instant::now() + limit;
    loop {
        match pending.first(until.saturating_duration_since(tokio::time::Instant::now())).await {
            First::Answer(bytes) => {
                let is_result = is_result(&bytes);
                return Ok((pending.plain(edge, bytes), is_result));
            }
            First::Error(bytes, payload) => return Ok((of_host(bytes, &payload), false)),
            First::End => return pending.without_answer().map(|response| (response, false)),
            First::Late => {
                return Err(Fault::new(StatusCode::GATEWAY_TIMEOUT, INTERNAL_ERROR, "the answer did not come in time"));
            }
            // There is no stream that it could be ahead on.
            First::Ahead(_) => {}
        }
    }
}

/// Waits for the end of a message that is not answered, and says why it was refused, if it was.
pub(super) async fn refusal(edge: &Arc<Edge>, mut pending: Pending) -> Option<Response> {
    loop {
        match pending.first(FIRST_MESSAGE).await {
            First::Error(bytes, payload) => return Some(of_host(bytes, &payload)),
            First::Answer(bytes) => {
                let response = pending.plain(edge, bytes);
                return Some(response).filter(|response| !response.status().is_success());
            }
            First::Ahead(_) => {}
            First::End | First::Late => return None,
        }
    }
}

/// A JSON-RPC error of the host. Its status is that of its code where whoever is in the middle should know,
/// too; a client that has its answer is told 200.
fn of_host(bytes: Bytes, payload: &ErrorPayload) -> Response {
    use ErrorCode::{
        MessageTooDeep, MessageTooLarge, PayloadInvalid, PluginBusy, PluginDisabled, PluginUnavailable, RateLimited,
        ServerDraining, TooManyInFlight,
    };
    let own = [
        MessageTooDeep,
        MessageTooLarge,
        PayloadInvalid,
        PluginBusy,
        PluginDisabled,
        PluginUnavailable,
        RateLimited,
        ServerDraining,
        TooManyInFlight,
    ];
    let status = match own.iter().find(|code| code.as_str() == payload.code) {
        Some(code) => code.http_status(),
        // Nobody serves MCP here. With 404, a client would take it for the end of its session.
        None if payload.code == ErrorCode::UnknownMessageType.as_str() => 503,
        None => 200,
    };
    let mut response = body(StatusCode::from_u16(status).unwrap_or_default(), bytes);
    if let Some(millis) = payload.retry_after_ms {
        response.headers_mut().insert(RETRY_AFTER, retry_after(Duration::from_millis(millis)));
    }
    response
}

/// A token that was revoked meanwhile, or a session that ended under its request.
pub(super) fn session_ended(source: &Source) -> Fault {
    match source {
        Source::Single(_) => Refusal::new(ErrorCode::JwtRevoked, "the token was revoked").into(),
        Source::Exchange(_) | Source::Listening(..) => super::sessions::unknown(),
    }
}

fn body(status: StatusCode, bytes: Bytes) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(JSON)),
        // It is one user's, whatever is asked.
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, bytes).into_response()
}

/// Whether an answer is a result, and no error.
fn is_result(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Answer {
        result: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Answer>(bytes).is_ok_and(|answer| answer.result.is_some())
}
