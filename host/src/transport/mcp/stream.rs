//! A stream of server-sent events (HTML standard, section 9.2), from its head to its last byte, in the one task
//! that owns it.
//!
//! It is counted among connections as a socket is. It ends with the answer; or with the token that it was opened
//! with, with the host, or with the patience of a client that does not read. What is left open then is answered
//! first, and where there is no answer, an error says so. A stream cannot be resumed, so no event has an id.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE},
};
use serde_json::value::RawValue;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    answer::{self, Source},
    fault::Fault,
    gate::Guest,
    negotiate::EVENT_STREAM,
    waiting::Waits,
};
use crate::{
    admission::{ConnectionSlot, Evictable, UserSlot},
    auth::Principal,
    session::exchange::End,
    telemetry::metrics::Reason,
    transport::{Edge, codec::Said, refusal::Refusal, seat::Seat},
};

/// A client that takes nothing for this long is cut off.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// For what takes the place of an answer that will not come.
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// Clocks are looked at no less often: a wall clock can be set.
const MAX_WATCH: Duration = Duration::from_secs(60);

/// A comment, which clients skip. It keeps the connection in use, and shows whether it still is.
const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Tells proxies not to collect what is meant to arrive at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A place among connections, of which a stream is one.
pub(super) struct Room {
    holds: Holds,
    connection: ConnectionSlot,
}

/// What bounds the streams of one user.
enum Holds {
    /// A request that is answered never gives way to a newer one: its call would be lost.
    Request { _waits: Waits },
    /// What belongs to no request can be opened anew.
    Listener { _slot: UserSlot, evicted: CancellationToken },
}

/// A stream among the connections of its user.
struct Listener {
    connection_id: Arc<str>,
    evicted: CancellationToken,
}

impl Evictable for Listener {
    fn connection_id(&self) -> &str {
        &self.connection_id
    }

    fn evict(&self) {
        self.evicted.cancel();
    }
}

/// What a stream begins with.
pub(super) struct Opening {
    pub source: Source,
    /// Of the request that it answers.
    pub id: Option<Box<RawValue>>,
    pub guest: Guest,
    /// Came before it was known that there is a stream.
    pub first: Option<Bytes>,
}

struct Stream {
    edge: Arc<Edge>,
    source: Source,
    id: Option<Box<RawValue>>,
    principal: Principal,
    seat: Arc<Seat>,
    holds: Holds,
    _connection_slot: ConnectionSlot,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Answered,
    ClientLeft,
    Slow,
    Evicted,
    TokenEnded,
    Draining,
    /// The session, or the request, by another message.
    Ended,
}

impl Holds {
    /// Cancelled when the stream has to give way.
    fn evicted(&self) -> CancellationToken {
        match self {
            Self::Request { .. } => CancellationToken::new(),
            Self::Listener { evicted, .. } => evicted.clone(),
        }
    }
}

impl Room {
    /// For the answer to a request. No rate of the client's address refuses it: the request may have taken effect
    /// by now, and whoever is told to come again would do it twice. It was counted as a message.
    pub fn for_answer(edge: &Edge, waits: Waits) -> Result<Self, Fault> {
        let connection = edge.admission.reserve_for_known().map_err(Refusal::from)?;
        Ok(Self { holds: Holds::Request { _waits: waits }, connection })
    }

    /// For what belongs to no request, which is counted as sockets are.
    pub fn for_listener(edge: &Edge, guest: &Guest) -> Result<Self, Fault> {
        let connection = edge.admission.reserve(guest.peer).map_err(Refusal::from)?;
        let evicted = CancellationToken::new();
        let listener = Listener { connection_id: guest.connection_id.clone(), evicted: evicted.clone() };
        let slot = edge.admission.admit_user(&guest.principal, Arc::new(listener)).map_err(Refusal::from)?;
        Ok(Self { holds: Holds::Listener { _slot: slot, evicted }, connection })
    }
}

/// The head of a stream, whose task begins.
pub(super) fn open(edge: &Arc<Edge>, room: Room, opening: Opening) -> Response {
    let Opening { source, id, guest, first } = opening;
    // One message on its way, beside those in the source, whose bytes are counted.
    let (sender, receiver) = mpsc::channel(1);
    guest.seat.leave();
    let stream = Stream {
        edge: edge.clone(),
        source,
        id,
        principal: guest.principal,
        seat: guest.seat,
        holds: room.holds,
        _connection_slot: room.connection,
    };
    edge.shutdown.connections.spawn(stream.run(first, sender).in_current_span());
    head(receiver)
}

fn head(receiver: mpsc::Receiver<Bytes>) -> Response {
    let chunks = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let body = Body::from_stream(chunks.map(Ok::<_, std::convert::Infallible>));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
        // The connection has left the HTTP phase, and does not come back.
        (CONNECTION, HeaderValue::from_static("close")),
    ];
    (headers, body).into_response()
}

/// One message as an event. A line break in JSON text is only ever white space.
fn event(json: &[u8]) -> Bytes {
    const HEAD: &[u8] = b"event: message\ndata: ";
    let mut text = Vec::with_capacity(HEAD.len() + json.len() + 2);
    text.extend_from_slice(HEAD);
    text.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    text.extend_from_slice(b"\n\n");
    text.into()
}

impl Stream {
    async fn run(mut self, first: Option<Bytes>, sender: mpsc::Sender<Bytes>) {
        self.edge.metrics.mcp_streams.inc();
        let opened = Instant::now();
        let ending = self.converse(first, &sender).await;
        self.edge.metrics.mcp_streams.dec();
        self.edge.metrics.mcp_stream_ends.get_or_create(&Reason { reason: ending.as_str() }).inc();
        tracing::debug!(reason = ending.as_str(), seconds = opened.elapsed().as_secs(), "a stream has ended");
        if ending == Ending::Slow {
            // What was cut off must not end as if it were whole.
            self.seat.cut();
            let _ = timeout(LAST_ANSWER, sender.closed()).await;
        } else if let Some(fault) = self.in_place_of_the_answer(ending) {
            // Of a client that does not take it, nothing more is expected.
            let _ = send_within(LAST_ANSWER, &sender, event(&fault.to_json())).await;
        }
        drop(sender);
        self.seat.written();
    }

    async fn converse(&mut self, first: Option<Bytes>, sender: &mpsc::Sender<Bytes>) -> Ending {
        // At once, so that those in the middle see that it is a stream.
        let first = first.map_or(KEEP_ALIVE, |message| event(&message));
        if let Err(ending) = send(sender, first).await {
            return ending;
        }
        let evicted = self.holds.evicted();
        let draining = self.edge.shutdown.draining.clone();
        let mut sent = Instant::now();
        // Why it ends, once it has to.
        let mut last: Option<Ending> = None;
        loop {
            let interval = self.edge.config.load().heartbeat.interval;
            let beat = sent + interval;
            let token_ends = last.is_none().then(|| self.token_ends());
            let look = token_ends.map_or(beat, |token_ends| token_ends.min(beat));
            tokio::select! {
                biased;
                () = sender.closed() => return Ending::ClientLeft,
                () = evicted.cancelled() => return Ending::Evicted,
                () = draining.cancelled(), if last.is_none() => {
                    self.edge.dispatcher.finish_requests(self.source.session());
                    last = Some(Ending::Draining);
                }
                message = self.source.next() => match self.pass_on(message, sender).await {
                    // However much there is to send, the rest is looked at after each.
                    Ok(()) => sent = Instant::now(),
                    Err(ending) => return ending,
                },
                () = sleep_until(look) => {}
            }
            let now = Instant::now();
            if last.is_none() && self.has_lost_its_token() {
                last = Some(Ending::TokenEnded);
            }
            if let Some(ending) = last {
                // What belongs to no request has no end of its own.
                if matches!(self.source, Source::Listening(..)) {
                    return ending;
                }
                self.source.answer_now();
            }
            if now >= sent + interval {
                if let Err(ending) = send(sender, KEEP_ALIVE).await {
                    return ending;
                }
                sent = Instant::now();
            }
        }
    }

    /// One message, or that there are no more.
    async fn pass_on(&self, message: Option<Bytes>, sender: &mpsc::Sender<Bytes>) -> Result<(), Ending> {
        let Some(message) = message else {
            return Err(match self.source.ended() {
                Some(End::Answered) => Ending::Answered,
                Some(End::TooSlow) => Ending::Slow,
                _ => Ending::Ended,
            });
        };
        match Said::read(&message, self.id.as_deref()) {
            Some(Said::Ahead(bytes)) => send(sender, event(&bytes)).await,
            Some(Said::Answer(bytes) | Said::Error(bytes, _)) if !matches!(self.source, Source::Listening(..)) => {
                send(sender, event(&bytes)).await?;
                Err(Ending::Answered)
            }
            // It cannot be said in JSON-RPC, or answers nothing that was asked here.
            _ => Ok(()),
        }
    }

    /// A client that waits for an answer is told that none will come. Not one that called its request off.
    fn in_place_of_the_answer(&self, ending: Ending) -> Option<Fault> {
        let id = self.id.as_deref()?;
        let session_has_ended = ending == Ending::Ended && self.source.ended() == Some(End::SessionEnded);
        session_has_ended.then(|| answer::session_ended(&self.source).of(Some(id)))
    }

    /// When the token that it was opened with has to be looked at.
    fn token_ends(&self) -> Instant {
        Instant::now() + self.token_left().min(MAX_WATCH)
    }

    fn token_left(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let grace = self.edge.config.load().auth.expiry_grace;
        Duration::from_secs(self.principal.expires_at).saturating_add(grace).saturating_sub(now)
    }

    /// A session can go on with another token; this stream cannot.
    fn has_lost_its_token(&self) -> bool {
        self.token_left().is_zero() || self.edge.auth.is_revoked(&self.principal)
    }
}

async fn send(sender: &mpsc::Sender<Bytes>, bytes: Bytes) -> Result<(), Ending> {
    send_within(WRITE_LIMIT, sender, bytes).await
}

async fn send_within(limit: Duration, sender: &mpsc::Sender<Bytes>, bytes: Bytes) -> Result<(), Ending> {
    match timeout(limit, sender.send(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ending::ClientLeft),
        Err(_) => Err(Ending::Slow),
    }
}

impl Ending {
    /// For metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ClientLeft => "client_left",
            Self::Slow => "slow",
            Self::Evicted => "evicted",
            Self::TokenEnded => "token_ended",
            Self::Draining => "draining",
            Self::Ended => "ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_the_json_looks_like() {
        assert_eq!(event(b"{\"a\":1}"), "event: message\ndata: {\"a\":1}\n\n");
        assert_eq!(event(b"{\n  \"a\":\r\n1}"), "event: message\ndata: {   \"a\":  1}\n\n");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_not_waited_for_and_one_that_left_is_noticed() {
        let (sender, receiver) = mpsc::channel(1);
        assert_eq!(send_within(Duration::from_millis(1), &sender, KEEP_ALIVE).await, Ok(()));
        assert_eq!(send_within(Duration::from_millis(1), &sender, KEEP_ALIVE).await, Err(Ending::Slow));
        drop(receiver);
        assert_eq!(send_within(Duration::from_millis(1), &sender, KEEP_ALIVE).await, Err(Ending::ClientLeft));
    }
}
