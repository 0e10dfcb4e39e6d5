//! The sessions of clients with a handshake, by the id that they were given: whose each is, how long nobody
//! has used it, and that no user has too many.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use switchboard_protocol::ErrorCode;

use super::{
    fault::Fault,
    waiting::{User, user_of},
};
use crate::{
    admission::MessageRate,
    auth::Principal,
    session::Session,
    transport::{Edge, codec::INVALID_REQUEST, refusal::Refusal},
};

/// In all. Each costs a few KiB, so this is half a GiB.
const MAX_SESSIONS: usize = 65_536;

/// When a full host may have room again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Idle sessions are looked for no more often, and no less often, than this.
const SWEEP: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Arc<str>, Arc<HandshakeSession>>>);

pub(super) struct HandshakeSession {
    /// 128 bits that nobody guesses, in visible ASCII. Not the one that plugins and logs know it by.
    pub id: Arc<str>,
    user: User,
    session: Arc<Session>,
    rate: Mutex<MessageRate>,
    /// What messages are marked with.
    next_key: AtomicU64,
    usage: Mutex<Usage>,
}

struct Usage {
    /// Requests and streams that are open.
    open: usize,
    last: Instant,
}

/// Keeps a session from being idle.
pub(super) struct InUse(Arc<HandshakeSession>);

/// Nobody has it, or not this user.
pub(super) fn unknown() -> Fault {
    Fault::new(StatusCode::NOT_FOUND, INVALID_REQUEST, "there is no such session; begin another with `initialize`")
}

impl HandshakeSession {
    pub fn new(session: Arc<Session>, rate: MessageRate) -> Arc<Self> {
        Arc::new(Self {
            id: format!("{:032x}", rand::random::<u128>()).into(),
            user: user_of(&session.principal()),
            session,
            rate: Mutex::new(rate),
            next_key: AtomicU64::new(1),
            usage: Mutex::new(Usage { open: 0, last: Instant::now() }),
        })
    }

    pub fn in_use(self: &Arc<Self>) -> InUse {
        locked(&self.usage).open += 1;
        InUse(self.clone())
    }

    /// Since when it has not been used, unless it is.
    fn idle_since(&self) -> Option<Instant> {
        let usage = locked(&self.usage);
        (usage.open == 0).then_some(usage.last)
    }
}

impl InUse {
    pub fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    /// For the next message.
    pub fn next_key(&self) -> Arc<str> {
        self.0.next_key.fetch_add(1, Ordering::Relaxed).to_string().into()
    }

    /// Counts all messages of the session.
    pub fn rate(&self) -> MutexGuard<'_, MessageRate> {
        locked(&self.0.rate)
    }
}

impl Clone for InUse {
    fn clone(&self) -> Self {
        self.0.in_use()
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut usage = locked(&self.0.usage);
        usage.open -= 1;
        usage.last = Instant::now();
    }
}

impl Sessions {
    /// The session of this id, if it is this user's. It acts with the newest token that was shown.
    pub fn find(&self, edge: &Edge, id: &str, principal: &Principal) -> Result<InUse, Fault> {
        let found = locked(&self.0).get(id).cloned();
        let found = found.filter(|found| found.user == user_of(principal)).ok_or_else(unknown)?;
        if found.session.ended().is_some() {
            locked(&self.0).remove(id);
            return Err(unknown());
        }
        edge.dispatcher.renew(&found.session, Arc::new(principal.clone()));
        Ok(found.in_use())
    }

    /// The handshake was made: from now on it is found. Of a user who has too many, the one ends that was not
    /// used for the longest time.
    pub fn insert(&self, edge: &Edge, session: &Arc<HandshakeSession>) -> Result<(), Refusal> {
        let max = edge.config.load().mcp.max_sessions_per_user;
        let over = {
            let mut sessions = locked(&self.0);
            if sessions.len() >= MAX_SESSIONS {
                let detail = format!("the server holds {MAX_SESSIONS} sessions, and no more are allowed");
                let refusal = Refusal::new(ErrorCode::ConnectionLimitReached, detail);
                return Err(Refusal { retry_after: Some(RETRY_AFTER), ..refusal });
            }
            let mut own: Vec<_> = sessions.values().filter(|other| other.user == session.user).cloned().collect();
            own.sort_by_key(|other| locked(&other.usage).last);
            let over = (own.len() + 1).saturating_sub(max);
            // Those that are in use come last.
            own.sort_by_key(|other| other.idle_since().is_none());
            own.truncate(over);
            own.iter().for_each(|other| drop(sessions.remove(&other.id)));
            sessions.insert(session.id.clone(), session.clone());
            own
        };
        over.iter().for_each(|other| end(edge, other, "closed"));
        self.show(edge);
        Ok(())
    }

    /// Its client does not want it any more.
    pub fn remove(&self, edge: &Edge, session: &InUse) {
        locked(&self.0).remove(&session.0.id);
        end(edge, &session.0, "closed");
        self.show(edge);
    }

    /// Ends those that nobody uses, and forgets those that have ended. Returns when to look again.
    pub fn sweep(&self, edge: &Edge) -> Duration {
        let idle = edge.config.load().mcp.session_idle;
        let now = Instant::now();
        let is_over = |session: &HandshakeSession| {
            let since = session.idle_since();
            session.session.ended().is_some() || since.is_some_and(|since| now.duration_since(since) >= idle)
        };
        let over: Vec<_> = locked(&self.0).extract_if(|_, session| is_over(session)).collect();
        over.iter().for_each(|(_, session)| end(edge, session, "timeout"));
        self.show(edge);
        (idle / 4).clamp(SWEEP.0, SWEEP.1)
    }

    fn show(&self, edge: &Edge) {
        edge.metrics.mcp_sessions.set(i64::try_from(locked(&self.0).len()).unwrap_or(i64::MAX));
    }
}

fn end(edge: &Edge, session: &HandshakeSession, left: &'static str) {
    edge.dispatcher.end_session(&session.session, left);
}

/// Nothing in here is left half changed, so a panic elsewhere does not spoil it.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
