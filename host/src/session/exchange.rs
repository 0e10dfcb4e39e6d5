//! What one request over HTTP gets from its session: the messages that answer it, how they are to be
//! shown, and whether they are all.
//!
//! Its queue is bounded in bytes. A client that does not take what is in it is not waited for: the
//! exchange ends as too slow, and the request behind it is cancelled.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{Frame, Session, requests::OpenRequest};

/// What a message costs beside its bytes.
const MESSAGE_OVERHEAD: usize = 64;

#[derive(Debug)]
pub(crate) struct Exchange {
    /// What its messages are marked with, unique in its session.
    pub key: Arc<str>,
    max_bytes: usize,
    inner: Mutex<Inner>,
    ready: Notify,
    request: OnceLock<Weak<OpenRequest>>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Frame>,
    bytes: usize,
    shown: Option<Shown>,
    ended: Option<End>,
    /// Nobody reads it any more, and the request goes on.
    deaf: bool,
}

/// How an answer is shown by a transport that has statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub status: u16,
    /// What a token would need for another answer.
    pub missing_scopes: Vec<String>,
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The last message was the answer, or an error in its place.
    Answered,
    /// The handler had nothing to say.
    Silent,
    /// The request was cancelled by another message, or the client left.
    Cancelled,
    /// The client did not take what was there.
    TooSlow,
    /// The session has ended.
    SessionEnded,
}

impl Exchange {
    pub(super) fn new(key: Arc<str>, max_bytes: usize) -> Self {
        Self { key, max_bytes, inner: Mutex::default(), ready: Notify::new(), request: OnceLock::new() }
    }

    /// The next message. `None`: it has ended, and all was taken. One task may wait.
    pub async fn next(&self) -> Option<Bytes> {
        loop {
            // Made before looking, so that a message in between is not missed.
            let ready = self.ready.notified();
            {
                let mut inner = self.lock();
                if let Some(frame) = inner.queue.pop_front() {
                    inner.bytes = inner.bytes.saturating_sub(cost(&frame));
                    return Some(frame.bytes);
                }
                if inner.ended.is_some() {
                    return None;
                }
            }
            ready.await;
        }
    }

    /// What the plugin said about it so far.
    pub fn shown(&self) -> Option<Shown> {
        self.lock().shown.clone()
    }

    pub fn is_ended(&self) -> bool {
        self.ended().is_some()
    }

    /// Why nothing more comes, if so. There may still be messages to be taken.
    pub fn ended(&self) -> Option<End> {
        self.lock().ended
    }

    pub fn show(&self, shown: Shown) {
        self.lock().shown = Some(shown);
    }

    /// Says whether it was taken in.
    pub(super) fn push(&self, frame: Frame) -> bool {
        let mut inner = self.lock();
        if inner.ended.is_some() {
            return false;
        }
        if inner.deaf {
            return true;
        }
        let (queued, added) = (inner.bytes, cost(&frame));
        let before =
            frame.volatile.is_some().then(|| inner.queue.iter_mut().find(|other| other.volatile == frame.volatile));
        match before.flatten() {
            Some(older) => {
                let removed = cost(older);
                *older = frame;
                inner.bytes = (queued + added).saturating_sub(removed);
            }
            None => {
                inner.queue.push_back(frame);
                inner.bytes = queued + added;
            }
        }
        // However large it is, one message can always go.
        if inner.bytes > self.max_bytes && inner.queue.len() > 1 {
            drop(inner);
            self.give_up(End::TooSlow);
            return false;
        }
        drop(inner);
        self.ready.notify_one();
        true
    }

    /// Nothing more comes. The first reason is the one that counts.
    pub fn end(&self, why: End) {
        let mut inner = self.lock();
        if inner.ended.is_none() {
            inner.ended = Some(why);
            drop(inner);
            self.ready.notify_one();
        }
    }

    /// It ends at once, with what waits in it and with its request.
    pub(super) fn give_up(&self, why: End) {
        {
            let mut inner = self.lock();
            inner.queue.clear();
            inner.bytes = 0;
            if inner.ended.is_some() {
                return;
            }
            inner.ended = Some(why);
        }
        self.ready.notify_one();
        self.cancel_request();
    }

    /// The host answers the request, if it is left open.
    pub fn answer_now(&self) {
        if let Some(request) = self.request.get().and_then(Weak::upgrade) {
            request.give_up(None);
        }
    }

    fn cancel_request(&self) {
        if let Some(request) = self.request.get().and_then(Weak::upgrade) {
            request.cancel();
        }
    }

    /// The session has ended: what waits can still be taken, and the request is cancelled.
    pub(super) fn end_at_once(&self) {
        self.end(End::SessionEnded);
        self.cancel_request();
    }

    /// The request that is answered through it. A second one changes nothing.
    pub(super) fn belongs_to(&self, request: &Arc<OpenRequest>) {
        // Each exchange is opened for one message.
        let _ = self.request.set(Arc::downgrade(request));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(frame: &Frame) -> usize {
    frame.bytes.len() + MESSAGE_OVERHEAD
}

/// Held by whoever writes to the client. Dropped before the end, it says that the client has left: the
/// request is cancelled, and nothing more is sent.
#[derive(Debug)]
pub(crate) struct ExchangeGuard {
    session: Arc<Session>,
    exchange: Arc<Exchange>,
    let_go: bool,
}

impl ExchangeGuard {
    pub(super) fn new(session: Arc<Session>, exchange: Arc<Exchange>) -> Self {
        Self { session, exchange, let_go: false }
    }

    /// The client has left, and its request goes on without it: what it would still get is lost.
    pub fn let_go(mut self) {
        self.let_go = true;
        let mut inner = self.exchange.lock();
        inner.deaf = true;
        inner.queue.clear();
        inner.bytes = 0;
    }
}

impl std::ops::Deref for ExchangeGuard {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

impl Drop for ExchangeGuard {
    fn drop(&mut self) {
        if !self.let_go {
            self.exchange.give_up(End::Cancelled);
            self.session.forget_exchange(&self.exchange.key);
        }
    }
}

#[cfg(test)]
mod tests;
