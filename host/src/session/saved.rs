//! A session as it is written down when the host stops, for the next one to go on with.
//!
//! Times are those of the wall clock, because they outlive the process. The form belongs to one version
//! of the store; a change of it needs another version there.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use switchboard_protocol::MessageType;

use super::{
    Frame, Handlers, Parts, Session, Volatile,
    core::{Core, Life},
    detached::Detached,
    requests::Requests,
    ring::{Bounds, Ring},
    token::TokenDigest,
};
use crate::auth::Principal;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSession {
    pub id: String,
    pub first_connection_id: String,
    pub connection_id: String,
    pub principal: SavedPrincipal,
    pub epoch: String,
    pub token: TokenDigest,
    pub previous_token: Option<TokenDigest>,
    /// Unix milliseconds.
    pub detached_at: u64,
    pub left: String,
    pub last_client_id: Option<String>,
    /// The number of the first frame.
    pub first_seq: u64,
    pub frames: Vec<SavedFrame>,
}

/// Who the client was. Its next token says so anew before it gets anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedPrincipal {
    pub subject: String,
    pub tenant: Option<String>,
    pub scopes: Vec<String>,
    pub claims_json: String,
    pub expires_at: u64,
    pub token_id: Option<String>,
    pub issued_at: Option<u64>,
    /// The text of a JSON object.
    pub rule_claims: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedFrame {
    pub bytes: Vec<u8>,
    /// The type, if it is volatile.
    pub volatile: Option<String>,
}

/// How a socket can have ended that a session outlives, in the words of the plugin contract.
const LEFT: [&str; 5] = ["lost", "timeout", "expired", "evicted", "draining"];

/// What a session is given that comes back.
pub(crate) struct Home {
    pub handlers: Handlers,
    pub requests: Requests,
    pub bounds: Bounds,
    pub detached: Arc<Detached>,
    pub conflated: Counter,
    pub now: SystemTime,
}

impl Session {
    /// What has to be known to go on with it, from when its last handler has ended.
    pub fn save(&self, now: SystemTime) -> SavedSession {
        let principal = SavedPrincipal::of(&self.principal());
        let inner = self.lock();
        let detached_for = match inner.core.life() {
            Life::Detached { since } => since.elapsed(),
            Life::Attached | Life::Ended { .. } => Duration::ZERO,
        };
        let (token, previous_token) = inner.core.tokens();
        SavedSession {
            id: self.id.to_string(),
            first_connection_id: self.first_connection_id.to_string(),
            connection_id: inner.connection_id.to_string(),
            principal,
            epoch: inner.core.epoch().to_owned(),
            token,
            previous_token,
            detached_at: unix_millis(now).saturating_sub(millis(detached_for)),
            left: inner.left.to_owned(),
            last_client_id: inner.last_client_id.as_deref().map(str::to_owned),
            first_seq: inner.core.ring().first(),
            frames: inner.core.ring().frames().map(SavedFrame::of).collect(),
        }
    }

    /// Waits for its client from the moment on at which that one left.
    pub fn restored(saved: SavedSession, home: Home) -> Arc<Self> {
        let away = Duration::from_millis(unix_millis(home.now).saturating_sub(saved.detached_at));
        let now = Instant::now();
        // A clock that began after the client left cannot tell; it is given the whole window then.
        let since = now.checked_sub(away).unwrap_or(now);
        let frames = saved.frames.into_iter().map(SavedFrame::into_frame).collect();
        let ring = Ring::restored(home.bounds, saved.first_seq.max(1), frames, now);
        let parts = Parts {
            id: saved.id.into(),
            principal: saved.principal.into_principal(),
            resumable: true,
            handlers: home.handlers,
            requests: home.requests,
            core: Core::restored(ring, &saved.epoch, saved.token, saved.previous_token, since),
            detached: home.detached,
            conflated: home.conflated,
        };
        let connection_ids = [saved.first_connection_id.into(), saved.connection_id.into()];
        let session = Self::build(parts, None, connection_ids, saved.last_client_id.map(Into::into));
        {
            let mut inner = session.lock();
            inner.begun = true;
            inner.left = LEFT.into_iter().find(|word| *word == saved.left).unwrap_or(LEFT[0]);
            session.wait_since(&mut inner, since);
        }
        Arc::new(session)
    }
}

impl SavedFrame {
    fn of(frame: Frame) -> Self {
        let volatile = match frame.volatile {
            Some(Volatile::Type(message_type)) => Some(message_type.as_str().to_owned()),
            // A watch has another number in another process.
            Some(Volatile::Watch(_)) | None => None,
        };
        Self { bytes: frame.bytes.to_vec(), volatile }
    }

    fn into_frame(self) -> Frame {
        let volatile = self.volatile.and_then(|name| MessageType::parse(&name).ok()).map(Volatile::Type);
        Frame { bytes: self.bytes.into(), volatile }
    }
}

impl SavedPrincipal {
    fn of(principal: &Principal) -> Self {
        Self {
            subject: principal.subject.clone(),
            tenant: principal.tenant.clone(),
            scopes: principal.scopes.clone(),
            claims_json: principal.claims_json.to_string(),
            expires_at: principal.expires_at,
            token_id: principal.token_id.clone(),
            issued_at: principal.issued_at,
            rule_claims: serde_json::Value::Object((*principal.rule_claims).clone()).to_string(),
        }
    }

    fn into_principal(self) -> Principal {
        Principal {
            subject: self.subject,
            tenant: self.tenant,
            scopes: self.scopes,
            claims_json: self.claims_json.into(),
            expires_at: self.expires_at,
            token_id: self.token_id,
            issued_at: self.issued_at,
            rule_claims: serde_json::from_str(&self.rule_claims).map(Arc::new).unwrap_or_default(),
        }
    }
}

fn unix_millis(time: SystemTime) -> u64 {
    millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{
        Attachment,
        core::ResumeRequest,
        test_session::{BOUNDS, TOKEN, session},
    };

    #[test]
    fn a_session_goes_on_in_another_process() {
        let session = session("1", Some("acme"), "alice");
        for text in ["{\"a\":1}", "{\"b\":2}"] {
            session.push(Frame::kept(text)).unwrap();
        }
        session.note_client_id("m7");
        assert!(Attachment { session: session.clone(), generation: 1 }.detach("draining"));
        let written = postcard::to_allocvec(&session.save(SystemTime::now())).unwrap();

        let detached = Arc::new(Detached::new(usize::MAX));
        let home = Home {
            handlers: Handlers::new(1, tokio_util::task::TaskTracker::new()),
            requests: Requests::new(1),
            bounds: BOUNDS,
            detached: detached.clone(),
            conflated: Counter::default(),
            now: SystemTime::now(),
        };
        let restored = Session::restored(postcard::from_bytes(&written).unwrap(), home);
        assert_eq!(restored.principal(), session.principal());
        assert_eq!((detached.count(), restored.left()), (1, "draining"));
        let connection = Arc::new(super::super::Connection::new("ws_2".into(), super::super::state::State::Open));
        let request = ResumeRequest { token: TokenDigest::of(TOKEN), epoch: "epoch", last_seq: 1 };
        let window = Duration::from_secs(60);
        let mut last_id = None;
        let replay = restored.resume(request, TokenDigest::of("next"), window, &connection, |_, id| {
            last_id = id.map(str::to_owned);
            Default::default()
        });
        let resumption = replay.ok().unwrap().resumption;
        assert_eq!((resumption.replay_from, resumption.replay_to, last_id.as_deref()), (2, 2, Some("m7")));
        assert_eq!((detached.count(), detached.used()), (0, 0));
    }
}
