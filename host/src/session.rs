//! A session: what a client has beyond the socket that it uses at the moment.
//!
//! It knows who the client is, what the client has yet to get, and which handlers run for it. It never
//! names a transport: whoever owns a socket writes what [`Attachment::take`] gives, and tells what came.
//!
//! Reading order: `core` (the life of a session, as a pure machine) with `ring` (numbered frames);
//! `connection` (a socket as others see it); `exchange` with `streams` (what there is without a socket);
//! `requests` (what is not answered yet); `handlers` with `inbox` (what runs, in which order);
//! `registry` (who is here), `answers` (what was handled).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use switchboard_protocol::{CloseCode, ResumeFailure};

pub(crate) mod answers;
pub(crate) mod connection;
pub(crate) mod core;
pub(crate) mod detached;
pub(crate) mod exchange;
pub(crate) mod frame;
pub(crate) mod handlers;
pub(crate) mod inbox;
pub(crate) mod registry;
pub(crate) mod requests;
pub(crate) mod ring;
pub(crate) mod saved;
pub(crate) mod state;
pub(crate) mod streams;
#[cfg(test)]
pub(crate) mod test_session;
pub(crate) mod token;

pub(crate) use connection::{Connection, Order, Told};
pub(crate) use frame::{Frame, Outgoing, Volatile};
pub(crate) use handlers::{Handlers, Job};
pub(crate) use registry::Sessions;
pub(crate) use streams::Streams;

use crate::auth::Principal;
use core::{Core, Life, Push, ResumeRequest, Resumption};
use detached::{Detached, Share};
use requests::Requests;
use ring::{Ahead, Took};

/// One client, from its first socket until it is gone for good.
#[derive(Debug)]
pub(crate) struct Session {
    pub id: Arc<str>,
    /// Of its first socket. Others know the session by it, whichever socket it has now.
    pub first_connection_id: Arc<str>,
    /// Replaced by `refresh_token` and by each resumption; subject and tenant never change.
    principal: ArcSwap<Principal>,
    /// Whether its client numbers and resumes.
    pub resumable: bool,
    pub handlers: Handlers,
    pub requests: Requests,
    /// In the place of a socket, for one that has none.
    streams: Option<Box<Streams>>,
    inner: Mutex<Inner>,
    detached: Arc<Detached>,
    conflated: Counter,
    /// Its last handler has ended, too.
    is_over: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    core: Core,
    /// The socket that acts for the session.
    connection: Option<Arc<Connection>>,
    /// The last one's name, when there is none.
    connection_id: Arc<str>,
    /// Frames of the connection alone, each to be written before the frame of that number.
    control: VecDeque<(u64, Bytes)>,
    last_client_id: Option<Box<str>>,
    /// Plugins know of it.
    begun: bool,
    /// What the socket had already, if it came to resume.
    replayed_after: Option<u64>,
    /// Where it stands in the order of those that nobody listens to.
    since: Option<Instant>,
    /// How the last socket ended, in the words of the plugin contract.
    left: &'static str,
    share: Share,
}

/// What a session is made of.
pub(crate) struct Parts {
    pub id: Arc<str>,
    pub principal: Principal,
    pub resumable: bool,
    pub handlers: Handlers,
    pub requests: Requests,
    pub core: Core,
    pub detached: Arc<Detached>,
    pub conflated: Counter,
}

/// A socket's right to act for a session, until another takes over.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub session: Arc<Session>,
    pub generation: u64,
}

/// Nothing can be pushed: the session has ended.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the session has ended")]
pub(crate) struct Ended;

/// A session that goes on, and what it leaves behind.
pub(crate) struct Replay {
    pub resumption: Resumption,
    /// The id of the session's last socket.
    pub moved_from: Arc<str>,
    /// The socket that acted for the session until now.
    pub fenced: Option<Arc<Connection>>,
}

impl Session {
    /// Attached to its first socket, which acts for it under generation 1.
    pub fn new(parts: Parts, connection: Arc<Connection>) -> Self {
        let connection_id = connection.id.clone();
        Self::build(parts, Some(connection), [connection_id.clone(), connection_id], None)
    }

    /// Without a socket, for ever: its messages leave through exchanges and one stream.
    pub fn without_socket(parts: Parts, connection_id: Arc<str>, streams: Streams) -> Self {
        let session = Self::build(parts, None, [connection_id.clone(), connection_id], None);
        Self { streams: Some(Box::new(streams)), ..session }
    }

    fn build(
        parts: Parts,
        connection: Option<Arc<Connection>>,
        [first_connection_id, connection_id]: [Arc<str>; 2],
        last_client_id: Option<Box<str>>,
    ) -> Self {
        let inner = Inner {
            core: parts.core,
            connection,
            connection_id,
            control: VecDeque::new(),
            last_client_id,
            begun: false,
            replayed_after: None,
            since: None,
            left: "lost",
            share: Share::default(),
        };
        Self {
            id: parts.id,
            first_connection_id,
            principal: ArcSwap::from_pointee(parts.principal),
            resumable: parts.resumable,
            handlers: parts.handlers,
            requests: parts.requests,
            streams: None,
            inner: Mutex::new(inner),
            detached: parts.detached,
            conflated: parts.conflated,
            is_over: AtomicBool::new(false),
        }
    }

    /// Nothing is to be kept for it any more.
    pub fn end_for_good(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Whether that was said.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    pub fn principal(&self) -> Arc<Principal> {
        self.principal.load_full()
    }

    /// Takes over a newer token of the same user. To be called by the dispatcher, which tells those who see something
    /// else by it.
    pub fn renew(&self, principal: Arc<Principal>) {
        self.principal.store(principal);
    }

    /// The socket that acts for it, if there is one.
    pub fn connection(&self) -> Option<Arc<Connection>> {
        self.lock().connection.clone()
    }

    /// Of that socket, or of the last one.
    pub fn connection_id(&self) -> Arc<str> {
        self.lock().connection_id.clone()
    }

    /// Since when nobody listens, if so.
    pub fn detached_since(&self) -> Option<Instant> {
        match self.lock().core.life() {
            Life::Detached { since } => Some(since),
            Life::Attached | Life::Ended { .. } => None,
        }
    }

    /// Why it cannot be resumed any more, if it has ended.
    pub fn ended(&self) -> Option<ResumeFailure> {
        match self.lock().core.life() {
            Life::Ended { why } => Some(why),
            Life::Attached | Life::Detached { .. } => None,
        }
    }

    /// Whether it has sockets, one after the other.
    pub fn has_sockets(&self) -> bool {
        self.streams.is_none()
    }

    /// Queues a frame for the client that belongs to none of its requests. See [`Self::push_to`].
    pub fn push(&self, frame: Frame) -> Result<u64, Ended> {
        self.push_to(None, frame)
    }

    /// Queues a frame for the client, whether it listens now or comes back for it; returns its number,
    /// or 0 where frames have none. Whoever reads too slowly is closed, and can come back, too. Without
    /// a socket, what belongs to a request leaves through its exchange.
    pub fn push_to(&self, request: Option<&str>, frame: Frame) -> Result<u64, Ended> {
        if let Some(streams) = &self.streams {
            return streams.push(request, frame).map(|()| 0);
        }
        let mut inner = self.lock();
        match inner.core.push(frame, Instant::now()) {
            Push::Queued { seq, conflated } => {
                if conflated {
                    self.conflated.inc();
                }
                inner.after_push(&self.detached);
                Ok(seq)
            }
            Push::TooSlow { seq } => {
                if let Some(connection) = &inner.connection {
                    connection.close(CloseCode::SlowConsumer);
                }
                Ok(seq)
            }
            Push::Overflow => {
                if let Some(connection) = &inner.connection {
                    connection.close(CloseCode::SlowConsumer);
                }
                self.settle(&mut inner);
                self.detached.overflowed(&self.id);
                Err(Ended)
            }
            Push::Ended => Err(Ended),
        }
    }

    /// Queues a frame of the connection alone behind what waits now. A client that has gone misses
    /// nothing by it.
    pub fn push_control(&self, bytes: impl Into<Bytes>) {
        let mut inner = self.lock();
        let Some(connection) = inner.connection.clone() else { return };
        let next = inner.core.ring().next();
        inner.control.push_back((next, bytes.into()));
        connection.wake();
    }

    /// Takes what of the connection alone was not written yet.
    pub fn take_control(&self) -> Vec<Bytes> {
        self.lock().control.drain(..).map(|(_, bytes)| bytes).collect()
    }

    /// Whether so much waits that the writer should have its turn before there is more.
    pub fn is_filling(&self) -> bool {
        self.lock().core.ring().is_filling()
    }

    /// Whether a frame of so many bytes can ever be taken.
    pub fn can_hold(&self, bytes: usize) -> bool {
        bytes <= self.lock().core.ring().bounds().waiting_bytes
    }

    /// The message that was accepted last, for a client that wants to know which arrived.
    pub fn note_client_id(&self, id: &str) {
        self.lock().last_client_id = Some(id.into());
    }

    /// Whether the frame of this number is on its way to a client that came back, which missed it on an
    /// earlier socket. Once it has arrived, who asks again wants it again.
    pub fn replays(&self, seq: u64) -> bool {
        let inner = self.lock();
        let resumed = inner.connection.is_some() && inner.replayed_after.is_some_and(|after| seq > after);
        resumed && seq > inner.core.ring().confirmed()
    }

    /// How the last socket ended, in the words of the plugin contract.
    pub fn left(&self) -> &'static str {
        self.lock().left
    }

    /// Plugins are told of it now. Says whether they had not been.
    pub fn begin(&self) -> bool {
        !std::mem::replace(&mut self.lock().begun, true)
    }

    /// Whether plugins know of it.
    pub fn has_begun(&self) -> bool {
        self.lock().begun
    }

    /// Ends it, if nobody listens: nothing is taken in from here on. `why` is what a client hears that
    /// comes back for it. Says whether it has ended, now or before.
    pub fn end_if_detached(&self, why: ResumeFailure) -> bool {
        let mut inner = self.lock();
        if inner.core.life() == Life::Attached {
            return false;
        }
        self.finish(&mut inner, why);
        drop(inner);
        self.end_requests();
        true
    }

    /// Ends it, whoever listens.
    pub fn end(&self, why: ResumeFailure) {
        self.finish(&mut self.lock(), why);
        self.end_requests();
    }

    /// Ends it for good, with what is under way in it, if it has no socket. `left` is one of the words
    /// of the plugin contract. Says whether it is such a session.
    pub fn end_without_socket(&self, left: &'static str) -> bool {
        let Some(streams) = &self.streams else { return false };
        self.lock().left = left;
        streams.end();
        self.end(ResumeFailure::UnknownSession);
        true
    }

    /// Without a lock: to end a request can mean to answer in other sessions.
    fn end_requests(&self) {
        self.requests.end();
    }

    /// Lets a socket take over that has shown whose it is. `announce` makes the frames that go ahead of
    /// the replay, and the one behind it.
    pub fn resume(
        &self,
        request: ResumeRequest<'_>,
        next: token::TokenDigest,
        window: Duration,
        connection: &Arc<Connection>,
        announce: impl FnOnce(Resumption, Option<&str>) -> (Vec<Bytes>, Bytes),
    ) -> Result<Replay, ResumeFailure> {
        let mut inner = self.lock();
        let resumption = inner.core.resume(request, next, window, Instant::now())?;
        let (before, after) = announce(resumption, inner.last_client_id.as_deref());
        inner.control.clear();
        inner.control.extend(before.into_iter().map(|bytes| (resumption.replay_from, bytes)));
        inner.control.push_back((resumption.replay_to + 1, after));
        inner.replayed_after = Some(request.last_seq);
        let fenced = inner.connection.replace(connection.clone());
        let moved_from = std::mem::replace(&mut inner.connection_id, connection.id.clone());
        self.settle(&mut inner);
        Ok(Replay { resumption, moved_from, fenced })
    }

    fn finish(&self, inner: &mut Inner, why: ResumeFailure) {
        inner.core.end(why);
        inner.control.clear();
        inner.connection = None;
        self.settle(inner);
    }

    /// It waits for a socket.
    fn wait_since(&self, inner: &mut Inner, since: Instant) {
        inner.since = Some(since);
        self.detached.enter(&self.id, since);
        self.detached.hold(&mut inner.share, inner.core.ring().footprint());
    }

    /// It is no longer one that waits for a socket.
    fn settle(&self, inner: &mut Inner) {
        self.detached.give_back(&mut inner.share);
        if let Some(since) = inner.since.take() {
            self.detached.leave(&self.id, since);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attachment {
    /// Moves what is to be written next to the end of `batch`. Says whether a receipt is to be asked
    /// for; `None` if another socket has taken over, or the session has ended.
    pub fn take(&self, batch: &mut VecDeque<Outgoing>) -> Option<Took> {
        let mut inner = self.session.lock();
        let inner = &mut *inner;
        if !inner.core.is_current(self.generation) {
            return None;
        }
        let mut receipt = None;
        loop {
            while let Some((_, bytes)) = inner.control.pop_front_if(|(before, _)| *before <= inner.core.ring().cursor())
            {
                batch.push_back(Outgoing { bytes, seq: None });
            }
            let until = inner.control.front().map_or(u64::MAX, |(before, _)| *before);
            let took = inner.core.take(self.generation, batch, until)?;
            receipt = took.receipt.or(receipt);
            let next_is_control =
                inner.control.front().is_some_and(|(before, _)| *before <= inner.core.ring().cursor());
            if !next_is_control {
                if inner.control.is_empty() {
                    // There are a few of them at the beginning, and hardly any after that.
                    inner.control = VecDeque::new();
                }
                return Some(Took { receipt, ..took });
            }
        }
    }

    /// Everything up to `seq` was acknowledged.
    pub fn ack(&self, seq: u64) -> Result<(), Ahead> {
        let acked = self.session.lock().core.ack(self.generation, seq, Instant::now());
        self.wake_writer();
        acked
    }

    /// A receipt came for everything up to `seq`.
    pub fn confirm(&self, seq: u64) {
        self.session.lock().core.confirm(self.generation, seq, Instant::now());
        self.wake_writer();
    }

    /// The number of the last frame that was written.
    pub fn written(&self) -> u64 {
        self.session.lock().core.ring().cursor() - 1
    }

    /// The socket is gone. Says whether the session has to wait for another from here on. `left` is one
    /// of the words of the plugin contract.
    pub fn detach(&self, left: &'static str) -> bool {
        let mut inner = self.session.lock();
        let now = Instant::now();
        let was = inner.core.detach(self.generation, now);
        if was {
            inner.connection = None;
            inner.control.clear();
            inner.left = left;
            self.session.wait_since(&mut inner, now);
        }
        was
    }

    fn wake_writer(&self) {
        if let Some(connection) = self.session.connection() {
            connection.wake();
        }
    }
}

impl Inner {
    fn after_push(&mut self, detached: &Detached) {
        match &self.connection {
            Some(connection) => connection.wake(),
            None => detached.hold(&mut self.share, self.core.ring().footprint()),
        }
    }
}

#[cfg(test)]
mod tests;
