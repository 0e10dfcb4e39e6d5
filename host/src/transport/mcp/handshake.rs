//! Clients that begin with a handshake (revisions up to 2025-11-25): the session that `initialize` makes, the
//! messages in it, the one stream for what belongs to no request, and its end.

use std::{sync::Arc, time::Duration};

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{
    SESSION_HEADER,
    answer::{self, Pending, Shared, Source},
    era,
    fault::Fault,
    gate::Guest,
    message::{Kind, Message},
    negotiate::{EVENT_STREAM, accepts},
    sessions::{HandshakeSession, InUse},
    stream::{self, Opening, Room},
    waiting::Waits,
};
use crate::{
    dispatch::exchanges::Posted,
    session::Session,
    transport::{Edge, codec},
};

/// The one method that is known here.
const INITIALIZE: &str = "initialize";

/// For the answer to it, which says whether there is a session, and so comes without a stream.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(15);

pub(super) async fn post(
    edge: &Arc<Edge>,
    guest: Guest,
    waits: Waits,
    headers: &HeaderMap,
    message: &Message<'_>,
) -> Result<Response, Fault> {
    let begins = message.kind == Kind::Request && message.method.as_deref() == Some(INITIALIZE);
    let session = match session_id(headers)? {
        None if begins => return begin(edge, guest, waits, message).await,
        id => find(edge, &guest, headers, id)?,
    };
    let pending = hand_on(edge, guest, waits, session, message);
    match message.kind {
        Kind::Request => answer::answer(edge, pending).await,
        // It is handled, whether or not its client hears so.
        _ if pending.posted == Posted::TakenIn => Ok(StatusCode::ACCEPTED.into_response()),
        _ => Ok(answer::refusal(edge, pending).await.unwrap_or_else(|| StatusCode::BAD_REQUEST.into_response())),
    }
}

/// The stream for what belongs to no request. There is one; a newer takes over, because a client that comes
/// back may be the first to know that the older one broke.
pub(super) fn listen(edge: &Arc<Edge>, guest: Guest, headers: &HeaderMap) -> Result<Response, Fault> {
    if !accepts(headers, EVENT_STREAM) {
        return Err(Fault::not_acceptable("the Accept header has to name text/event-stream"));
    }
    let session = find(edge, &guest, headers, session_id(headers)?)?;
    // One that is refused takes over from nobody.
    let room = Room::for_listener(edge, &guest)?;
    let reader = session.session().read_stream();
    let source = Source::Listening(session, reader);
    Ok(stream::open(edge, room, Opening { source, id: None, guest, first: None }))
}

/// The client needs the session no more. What is under way in it ends, too.
pub(super) fn end(edge: &Arc<Edge>, guest: &Guest, headers: &HeaderMap) -> Result<Response, Fault> {
    let session = find(edge, guest, headers, session_id(headers)?)?;
    edge.mcp.sessions.remove(edge, &session);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn find(edge: &Edge, guest: &Guest, headers: &HeaderMap, id: Option<&str>) -> Result<InUse, Fault> {
    era::check_version(headers)?;
    let id = id.ok_or_else(|| {
        Fault::invalid(
            "the Mcp-Session-Id header is missing: begin with `initialize`, or send a revision without sessions",
        )
    })?;
    edge.mcp.sessions.find(edge, id, &guest.principal)
}

fn session_id(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let mut values = headers.get_all(SESSION_HEADER).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| super::sessions::unknown()),
        (Some(_), Some(_)) => Err(Fault::invalid("the Mcp-Session-Id header stands there twice")),
    }
}

fn hand_on(edge: &Arc<Edge>, guest: Guest, waits: Waits, session: InUse, message: &Message<'_>) -> Pending {
    let key = session.next_key();
    let exchange = edge.dispatcher.open_exchange(session.session(), key.clone());
    let envelope = codec::envelope(Some(&key), message.raw);
    let principal = Arc::new(guest.principal.clone());
    let posted = edge.dispatcher.handle_post(session.session(), principal, &mut session.rate(), &envelope);
    let id = message.id.filter(|_| message.kind == Kind::Request).map(ToOwned::to_owned);
    let source = Source::Exchange(Shared::new(session, exchange));
    Pending { source, posted, id, guest, waits }
}

/// A session, which is only kept if the plugin agrees.
async fn begin(edge: &Arc<Edge>, guest: Guest, waits: Waits, message: &Message<'_>) -> Result<Response, Fault> {
    let rate = edge.admission.message_rate(&guest.principal);
    let session = edge.dispatcher.session_for_posts(guest.connection_id.clone(), guest.principal.clone());
    let mut fresh = Fresh { edge, session: session.clone(), is_kept: false };
    let known = HandshakeSession::new(session, rate);
    let mut pending = hand_on(edge, guest, waits, known.in_use(), message);
    let (mut response, agreed) = answer::only_answer(edge, &mut pending, HANDSHAKE_LIMIT).await?;
    if agreed && let Ok(id) = HeaderValue::from_str(&known.id) {
        edge.mcp.sessions.insert(edge, &known)?;
        fresh.is_kept = true;
        edge.dispatcher.begin(&fresh.session);
        response.headers_mut().insert(HeaderName::from_static(SESSION_HEADER), id);
    }
    Ok(response)
}

/// Ends a session that nobody will find, because the handshake failed or its client left.
struct Fresh<'a> {
    edge: &'a Edge,
    session: Arc<Session>,
    is_kept: bool,
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.edge.dispatcher.end_session(&self.session, "closed");
        }
    }
}
