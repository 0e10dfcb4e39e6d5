//! Requests that say all about themselves (revisions from 2026-07-28 on): each is a session of its own, which
//! ends with it. Session ids and positions in a stream are of another era, and not looked at.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};

use super::{
    answer::{self, Pending, Source},
    fault::Fault,
    gate::Guest,
    message::{Kind, Message},
    mirror::{self, MirroredArgument},
    waiting::Waits,
};
use crate::{
    dispatch::exchanges::SinglePost,
    transport::{Edge, codec},
};

/// What the one message of a session is marked with.
const KEY: &str = "1";

pub(super) async fn post(
    edge: &Arc<Edge>,
    guest: Guest,
    waits: Waits,
    headers: &HeaderMap,
    message: &Message<'_>,
) -> Result<Response, Fault> {
    match message.kind {
        Kind::Request => mirror::check(headers, message)?,
        // Which headers it has is not said (MCP 2026-07-28, Streamable HTTP, "Sending Messages", note).
        Kind::Notification => {}
        Kind::Response => return Err(Fault::invalid("in this revision, a client sends no responses")),
    }
    let mut rate = edge.admission.message_rate(&guest.principal);
    let post = edge.dispatcher.single_post(guest.connection_id.clone(), guest.principal.clone(), KEY.into());
    check_arguments(edge, &post, headers, message).await?;
    let envelope = codec::envelope(Some(KEY), message.raw);
    let principal = post.session.principal();
    let posted = edge.dispatcher.handle_post(&post.session, principal, &mut rate, &envelope);
    let id = message.id.filter(|_| message.kind == Kind::Request).map(ToOwned::to_owned);
    let pending = Pending { source: Source::Single(post), posted, id, guest, waits };
    if message.kind == Kind::Request {
        return answer::answer(edge, pending).await;
    }
    // It is handled before its session ends.
    Ok(answer::refusal(edge, pending).await.unwrap_or_else(|| StatusCode::ACCEPTED.into_response()))
}

/// Holds headers against the arguments that the tool wants to have repeated there.
async fn check_arguments(
    edge: &Edge,
    post: &SinglePost,
    headers: &HeaderMap,
    message: &Message<'_>,
) -> Result<(), Fault> {
    let Some(tool) = mirror::called_tool(message) else { return Ok(()) };
    let principal = post.session.principal();
    let wanted = edge.dispatcher.header_parameters(&principal, &post.session, tool).await;
    let mirrored = wanted.iter().map(|wanted| MirroredArgument { header: &wanted.header, path: &wanted.path });
    mirror::check_arguments(headers, &message.params, mirrored)
}
