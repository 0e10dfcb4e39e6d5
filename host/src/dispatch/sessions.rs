//! From a socket to its session and back: a new one, one that goes on, one that waits, one that ends.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use serde::Serialize;
use switchboard_protocol::{
    CloseCode, ConnectionEstablished, PROTOCOL_VERSION, ReplayComplete, Resume, ResumeFailed, ResumeFailure, Resumed,
    ServerMessage, unix_seconds,
};
use tokio_util::sync::CancellationToken;

use super::{Dispatcher, ResumeAsked, deliver::Deliver, discovery, host_message, reply};
use crate::{
    admission::RateExceeded,
    auth::Principal,
    config::Config,
    session::{
        Attachment, Connection, Handlers, Parts, Session,
        core::{Core, ResumeRequest, Resumption},
        requests::Requests,
        ring::{Bounds, Ring},
        token::{self, TokenDigest},
    },
    telemetry::{
        Metrics,
        metrics::{Outcome, Reason},
    },
};

/// Frames that wait for one client. Small frames cost more than their bytes; this bounds the rest.
pub(super) const MAX_WAITING_FRAMES: usize = 16_384;

/// `ss_` and 128 bits in hexadecimal digits.
const SESSION_ID_LENGTH: usize = 3 + 32;

/// Why a detached session is given up.
const LOST: [&str; 4] = ["expired", "memory", "user_limit", "overflow"];

/// What becomes of those who come back is shown from the start, so that its first increase is one.
pub(super) fn show_counters(metrics: &Metrics) {
    for reason in LOST {
        metrics.sessions_lost.get_or_create(&Reason { reason }).inc_by(0);
    }
    let outcomes = ResumeFailure::ALL.iter().map(|reason| reason.as_str()).chain(["resumed"]);
    for outcome in outcomes {
        metrics.resumptions.get_or_create(&Outcome { outcome }).inc_by(0);
    }
}

impl Dispatcher {
    /// The session of a socket that is about to open. Nobody finds it yet.
    pub fn new_session(&self, connection: &Arc<Connection>, principal: Principal, resumable: bool) -> Attachment {
        let config = self.config.load();
        let deliver = &self.deliver;
        let resume_token = token::new_token();
        let core = Core::new(Ring::new(bounds(&config)), &deliver.run, TokenDigest::of(&resume_token));
        let parts = Parts {
            id: new_session_id(),
            principal,
            resumable,
            handlers: Handlers::new(config.limits.max_in_flight, self.connections.clone()),
            requests: Requests::new(config.limits.max_in_flight),
            core,
            detached: deliver.sessions.detached.clone(),
            conflated: deliver.metrics.conflated.clone(),
        };
        let session = Arc::new(Session::new(parts, connection.clone()));
        let established = ConnectionEstablished {
            connection_id: connection.id.to_string(),
            session_id: session.id.to_string(),
            resume_token,
            user_id: session.principal().subject.clone(),
            epoch: deliver.run.to_string(),
            server_time: unix_seconds(SystemTime::now()),
            heartbeat_interval_ms: discovery::millis(config.heartbeat.interval),
            limits: discovery::limits(&config),
            protocol_version: PROTOCOL_VERSION.into(),
        };
        host_message::control(&session, "connection_established", established);
        Attachment { session, generation: 1 }
    }

    /// Lets the socket of a fresh session go on with an earlier one. `None`: it goes on with the fresh
    /// one. The client has been told either way.
    pub fn resume(
        &self,
        fresh: &Arc<Session>,
        connection: &Arc<Connection>,
        asked: &ResumeAsked,
    ) -> Option<Attachment> {
        let resumed = self.try_resume(fresh, connection, &asked.request);
        let outcome = resumed.as_ref().map_or_else(|reason| reason.as_str(), |_| "resumed");
        self.metrics.resumptions.get_or_create(&Outcome { outcome }).inc();
        match resumed {
            Ok(attachment) => {
                tracing::info!(session_id = %attachment.session.id, "resumed");
                fresh.end(ResumeFailure::UnknownSession);
                // Plugins may have heard of it, if the client took its time.
                self.deliver.forget_session(fresh);
                // And of this one not yet, if its first socket was lost at once.
                self.begin(&attachment.session);
                Some(attachment)
            }
            Err(reason) => {
                // The client's own text, of which a log line takes no more than a real one has.
                let session_id: String = asked.request.session_id.chars().take(SESSION_ID_LENGTH).collect();
                tracing::info!(session_id, reason = reason.as_str(), "not resumed");
                let help = reason.help().into();
                host_message::control(fresh, "resume_failed", ResumeFailed { reason, help });
                None
            }
        }
    }

    /// Tells a client that it is too late to resume on this socket, or that it asks too often.
    pub fn refuse_resume(&self, session: &Session, asked: &ResumeAsked, in_time: Result<(), RateExceeded>) {
        let reply = in_time.map_or_else(|exceeded| reply::rate_limited(&exceeded), |()| reply::resume_too_late());
        self.deliver.error(session, reply, asked.correlation_id.as_deref());
    }

    fn try_resume(
        &self,
        fresh: &Arc<Session>,
        connection: &Arc<Connection>,
        request: &Resume,
    ) -> Result<Attachment, ResumeFailure> {
        let sessions = &self.deliver.sessions;
        let principal = fresh.principal();
        let found = sessions.by_id(&request.session_id).filter(|found| found.resumable && found.id != fresh.id);
        let session = found.ok_or_else(|| self.why_not(request, &principal))?;
        if !is_same_user(&session.principal(), &principal) {
            return Err(ResumeFailure::IdentityMismatch);
        }
        let next = token::new_token();
        let asked = ResumeRequest {
            token: TokenDigest::of(&request.resume_token),
            epoch: &request.epoch,
            last_seq: request.last_seq,
        };
        let window = self.config.load().sessions.resume_window;
        let announce = |resumption: Resumption, last_client_id: Option<&str>| {
            let (resumed, complete) = announcements(&session, &next, resumption, last_client_id);
            // A client that asked at once has yet to hear that it is connected.
            let mut before = fresh.take_control();
            before.push(resumed);
            (before, complete)
        };
        let replay = session.resume(asked, TokenDigest::of(&next), window, connection, announce)?;
        self.renew(&session, principal);
        // The token may have been revoked after it was verified.
        self.end_if_revoked(&session);
        sessions.moved(&session, &replay.moved_from);
        if let Some(fenced) = replay.fenced {
            fenced.close(CloseCode::TakenOver);
        }
        let Resumption { generation, replay_from, replay_to } = replay.resumption;
        self.metrics.frames_replayed.inc_by((replay_to + 1).saturating_sub(replay_from));
        Ok(Attachment { session: session.clone(), generation })
    }

    fn why_not(&self, request: &Resume, principal: &Principal) -> ResumeFailure {
        let lost = self.deliver.sessions.why_lost(&request.session_id, principal);
        lost.unwrap_or_else(|| match self.deliver.knows_epoch(&request.epoch) {
            true => ResumeFailure::UnknownSession,
            false => ResumeFailure::EpochMismatch,
        })
    }

    /// The socket is gone, and its client may come back. `left` is one of the words of the contract.
    pub fn detach(&self, attachment: &Attachment, left: &'static str) {
        if !attachment.detach(left) {
            return;
        }
        // It has not resumed another: it was one of its own, however short.
        self.begin(&attachment.session);
        // The socket may have been closing for another reason when the token was revoked.
        if self.end_if_revoked(&attachment.session) {
            return;
        }
        let max = self.config.load().sessions.max_detached_per_user;
        let principal = attachment.session.principal();
        let mut left_ones: Vec<_> = self
            .deliver
            .sessions
            .of_user(principal.tenant.as_deref(), &principal.subject)
            .into_iter()
            .filter_map(|session| Some((session.detached_since()?, session)))
            .collect();
        left_ones.sort_by_key(|(since, _)| *since);
        for (_, session) in left_ones.iter().take(left_ones.len().saturating_sub(max)) {
            self.deliver.evict(session, "user_limit");
        }
    }

    /// The socket is gone, and nobody comes back.
    pub fn end(&self, attachment: &Attachment, left: &'static str) {
        // If another socket has taken over meanwhile, the session is that one's.
        if attachment.detach(left) {
            self.begin(&attachment.session);
            self.deliver.end_detached(&attachment.session);
        }
    }

    /// Ends sessions whose client stayed away too long, or whose memory others need, until `stop`.
    pub async fn look_after_detached(&self, stop: CancellationToken) {
        let detached = self.deliver.sessions.detached.clone();
        let mut changes = self.config.subscribe();
        loop {
            let next = self.sweep();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = detached.attention() => {}
                // The budget may have become smaller.
                Ok(()) = changes.changed() => {}
                () = due => {}
            }
        }
    }

    /// Returns when the next one is due.
    fn sweep(&self) -> Option<Instant> {
        let config = self.config.load();
        let sessions = &self.deliver.sessions;
        let detached = &sessions.detached;
        detached.set_limit(config.sessions.max_detached_bytes);
        for session in detached.take_overflowed().iter().filter_map(|id| sessions.by_id(id)) {
            self.deliver.evict(&session, "overflow");
        }
        let next = loop {
            let Some((since, id)) = detached.oldest() else { break None };
            // It is cleared away a moment after the last chance to resume it.
            let due = since + config.sessions.resume_window + Duration::from_millis(1);
            let reason = match due <= Instant::now() {
                true => "expired",
                false if detached.is_over() => "memory",
                false => break Some(due),
            };
            match sessions.by_id(&id) {
                Some(session) => self.deliver.evict(&session, reason),
                None => detached.leave(&id, since),
            }
        };
        self.metrics.sessions_detached.set(i64::try_from(detached.count()).unwrap_or(i64::MAX));
        self.metrics.detached_bytes.set(i64::try_from(detached.used()).unwrap_or(i64::MAX));
        next
    }
}

impl Deliver {
    /// Ends a session for good, unless somebody listens. Says whether it was here, and is gone.
    pub(super) fn end_detached(&self, session: &Arc<Session>) -> bool {
        session.end_if_detached(ResumeFailure::UnknownSession) && self.forget_session(session)
    }

    /// Ends a session that nobody listens to, against its client's will.
    fn evict(&self, session: &Arc<Session>, reason: &'static str) {
        if !session.end_if_detached(ResumeFailure::WindowExceeded) {
            return;
        }
        let why = session.ended().unwrap_or(ResumeFailure::WindowExceeded);
        self.metrics.sessions_lost.get_or_create(&Reason { reason }).inc();
        tracing::info!(session_id = %session.id, reason, "a detached session has ended");
        self.sessions.lost(session, why);
        self.forget_session(session);
    }

    /// A session has ended: once its last handler has, too, nothing of it is left. Says whether this is
    /// the first that is heard of it.
    pub(super) fn forget_session(&self, session: &Arc<Session>) -> bool {
        if !self.sessions.remove(session) {
            return false;
        }
        self.topics.forget_session(&session.id);
        let left = session.left();
        let Some(this) = self.this.upgrade().filter(|_| !session.handlers.is_idle()) else {
            self.forget(session, left);
            return true;
        };
        let session = session.clone();
        self.lifecycle.after(async move {
            let mut finished = session.handlers.finished();
            while !session.handlers.is_idle() {
                finished.next().await;
            }
            this.forget(&session, left);
        });
        true
    }

    /// Whether sessions that began under this epoch can be here.
    fn knows_epoch(&self, epoch: &str) -> bool {
        *self.run == *epoch || self.earlier_runs.load().iter().any(|earlier| **earlier == *epoch)
    }
}

/// What goes ahead of a replay, and what comes behind it.
fn announcements(session: &Session, token: &str, resumption: Resumption, last_id: Option<&str>) -> (Bytes, Bytes) {
    let Resumption { replay_from, replay_to, .. } = resumption;
    let resumed = Resumed {
        session_id: session.id.to_string(),
        resume_token: token.to_owned(),
        replay_from,
        replay_to,
        last_client_id: last_id.map(str::to_owned),
    };
    (encode("resumed", resumed), encode("replay_complete", ReplayComplete { seq: replay_to }))
}

fn encode(message_type: &str, payload: impl Serialize) -> Bytes {
    // Strings and numbers can be written.
    ServerMessage::new(message_type, payload).encode().unwrap_or_default().into()
}

fn is_same_user(one: &Principal, other: &Principal) -> bool {
    one.subject == other.subject && one.tenant == other.tenant
}

pub(super) fn new_session_id() -> Arc<str> {
    format!("ss_{:0width$x}", rand::random::<u128>(), width = SESSION_ID_LENGTH - 3).into()
}

pub(super) fn bounds(config: &Config) -> Bounds {
    Bounds {
        window_bytes: config.sessions.max_unconfirmed_bytes,
        window_frames: config.sessions.max_unconfirmed_frames,
        kept_for: config.sessions.resume_window,
        waiting_bytes: config.limits.max_outbound_bytes,
        waiting_frames: MAX_WAITING_FRAMES,
    }
}
