//! Sessions without a socket, for whoever speaks HTTP: one for each POST, or one for many.
//!
//! Neither is found by its user: a request is no connection that somebody else's message could reach.
//! A revocation finds both. Plugins are told of the beginning and the end of those for which
//! [`Dispatcher::begin`] was called, which a single POST is no reason for.

use std::sync::Arc;

use super::{
    Dispatcher, Step,
    sessions::{MAX_WAITING_FRAMES, bounds, new_session_id},
};
use crate::{
    admission::MessageRate,
    auth::Principal,
    session::{
        Attachment, Handlers, Parts, Session, Streams,
        core::Core,
        exchange::ExchangeGuard,
        requests::Requests,
        ring::Ring,
        streams::Waiting,
        token::{self, TokenDigest},
    },
};

/// What became of a message that was posted. If it was not taken in, the reason is in its exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posted {
    /// Its handler runs, or has run already.
    TakenIn,
    /// It was wrong.
    Refused,
    /// There were too many before it.
    TooFast,
    /// It was in order, and nothing can serve it at the moment.
    Unserved,
}

/// One POST: a session, and the exchange that is all of it. Both end when this is dropped.
pub(crate) struct SinglePost {
    dispatcher: Arc<Dispatcher>,
    pub session: Arc<Session>,
    pub exchange: ExchangeGuard,
}

impl Dispatcher {
    /// A session for one message, whose `id` has to be `key`.
    pub fn single_post(self: &Arc<Self>, connection_id: Arc<str>, principal: Principal, key: Arc<str>) -> SinglePost {
        let session = self.new_session_without_socket(connection_id, principal, None);
        let exchange = session.open_exchange(key, self.config.load().limits.max_outbound_bytes);
        SinglePost { dispatcher: self.clone(), session, exchange }
    }

    /// A session for many messages. Whoever asks for it ends it, with [`Self::end_session`].
    pub fn session_for_posts(&self, connection_id: Arc<str>, principal: Principal) -> Arc<Session> {
        let bytes = self.config.load().limits.max_outbound_bytes;
        let waiting = Waiting { bytes, frames: MAX_WAITING_FRAMES };
        self.new_session_without_socket(connection_id, principal, Some(waiting))
    }

    /// Opens the way for the answers to one message of such a session, whose `id` has to be `key`.
    pub fn open_exchange(&self, session: &Arc<Session>, key: Arc<str>) -> ExchangeGuard {
        session.open_exchange(key, self.config.load().limits.max_outbound_bytes)
    }

    /// Handles an envelope that was posted, after its exchange was opened: its answer comes there. It acts with the
    /// token that it came with, whatever other messages of the session bring.
    pub fn handle_post(
        self: &Arc<Self>,
        session: &Arc<Session>,
        principal: Arc<Principal>,
        rate: &mut MessageRate,
        frame: &[u8],
    ) -> Posted {
        let attachment = Attachment { session: session.clone(), generation: 1 };
        match self.handle_frame_of(principal, &attachment, rate, frame) {
            Step::Run(lane, job) => match session.handlers.accept(lane, job) {
                Ok(()) => Posted::TakenIn,
                Err(job) => {
                    self.refuse_overflow(session, frame);
                    drop(job);
                    Posted::TooFast
                }
            },
            Step::Done => Posted::TakenIn,
            // There is nothing here that could be resumed.
            Step::Refused | Step::Resume(_) => Posted::Refused,
            Step::TooFast => Posted::TooFast,
            Step::Unserved => Posted::Unserved,
        }
    }

    /// Ends a session without a socket, with what is under way in it. `left` is one of the words of the
    /// plugin contract.
    pub fn end_session(&self, session: &Arc<Session>, left: &'static str) {
        if session.end_without_socket(left) {
            self.deliver.forget_session(session);
        }
    }

    fn new_session_without_socket(
        &self,
        connection_id: Arc<str>,
        principal: Principal,
        waiting: Option<Waiting>,
    ) -> Arc<Session> {
        let config = self.config.load();
        let parts = Parts {
            id: new_session_id(),
            principal,
            resumable: false,
            handlers: Handlers::new(config.limits.max_in_flight, self.connections.clone()),
            requests: Requests::new(config.limits.max_in_flight),
            core: Core::new(Ring::new(bounds(&config)), &self.deliver.run, TokenDigest::of(&token::new_token())),
            detached: self.deliver.sessions.detached.clone(),
            conflated: self.deliver.metrics.conflated.clone(),
        };
        let session = Arc::new(Session::without_socket(parts, connection_id, Streams::new(waiting)));
        self.deliver.sessions.insert_hidden(session.clone());
        // The token may have been revoked after it was verified.
        self.end_if_revoked(&session);
        session
    }
}

impl Drop for SinglePost {
    fn drop(&mut self) {
        self.dispatcher.end_session(&self.session, "closed");
    }
}
