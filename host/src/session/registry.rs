//! Who is here: sessions by their id, by connection id, and by user; and why some no longer are.
//!
//! What is handed out are clones; no guard of a map leaves this file, so none can be held across an
//! await.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::DashMap;
use switchboard_protocol::ResumeFailure;

use super::{Session, detached::Detached};
use crate::auth::Principal;

/// Sessions that were lost against their client's will, and whose client may yet ask. Each costs about
/// 200 bytes; beyond it the client hears that the session is not known, which is as true.
const MAX_LOST: usize = 65_536;

/// A user: the same subject in two tenants is two users.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct UserKey {
    tenant: Option<String>,
    subject: String,
}

impl UserKey {
    fn of(principal: &Principal) -> Self {
        Self { tenant: principal.tenant.clone(), subject: principal.subject.clone() }
    }
}

#[derive(Debug)]
pub(crate) struct Sessions {
    by_id: DashMap<Arc<str>, Arc<Session>>,
    by_connection: DashMap<Arc<str>, Arc<Session>>,
    by_user: DashMap<UserKey, Vec<Arc<Session>>>,
    pub detached: Arc<Detached>,
    lost: Mutex<Lost>,
}

#[derive(Debug, Default)]
struct Lost {
    why: HashMap<Arc<str>, (UserKey, ResumeFailure)>,
    oldest_first: VecDeque<Arc<str>>,
}

impl Sessions {
    pub fn new(detached: Arc<Detached>) -> Self {
        Self {
            by_id: DashMap::new(),
            by_connection: DashMap::new(),
            by_user: DashMap::new(),
            detached,
            lost: Mutex::default(),
        }
    }

    pub fn insert(&self, session: Arc<Session>) {
        self.by_id.insert(session.id.clone(), session.clone());
        self.by_connection.insert(session.first_connection_id.clone(), session.clone());
        self.by_connection.insert(session.connection_id(), session.clone());
        self.by_user.entry(UserKey::of(&session.principal())).or_default().push(session);
    }

    /// Of a session that only its own requests and the operator find.
    pub fn insert_hidden(&self, session: Arc<Session>) {
        self.by_id.insert(session.id.clone(), session);
    }

    /// The session goes on under another connection id. By its first one it is found as long as it lives.
    pub fn moved(&self, session: &Arc<Session>, from: &str) {
        if *from != *session.first_connection_id {
            self.by_connection.remove(from);
        }
        let id = session.connection_id();
        self.by_connection.insert(id.clone(), session.clone());
        // Another socket may have taken over meanwhile, and have been here first.
        if id != session.connection_id() && id != session.first_connection_id {
            self.by_connection.remove(&id);
        }
    }

    /// Says whether it was here.
    pub fn remove(&self, session: &Session) -> bool {
        let was = self.by_id.remove(&session.id).is_some();
        for id in [&session.first_connection_id, &session.connection_id()] {
            self.by_connection.remove_if(id, |_, other| other.id == session.id);
        }
        let key = UserKey::of(&session.principal());
        if let Some(mut sessions) = self.by_user.get_mut(&key) {
            sessions.retain(|other| other.id != session.id);
        }
        self.by_user.remove_if(&key, |_, sessions| sessions.is_empty());
        was
    }

    /// Remembers for a while why a session cannot be resumed.
    pub fn lost(&self, session: &Session, why: ResumeFailure) {
        let mut lost = self.lock_lost();
        lost.why.insert(session.id.clone(), (UserKey::of(&session.principal()), why));
        lost.oldest_first.push_back(session.id.clone());
        if lost.oldest_first.len() > MAX_LOST
            && let Some(oldest) = lost.oldest_first.pop_front()
        {
            lost.why.remove(&oldest);
        }
    }

    /// Why a user's session is not here, if that is known. Others learn nothing of it.
    pub fn why_lost(&self, id: &str, principal: &Principal) -> Option<ResumeFailure> {
        let lost = self.lock_lost();
        lost.why.get(id).filter(|(user, _)| *user == UserKey::of(principal)).map(|(_, why)| *why)
    }

    pub fn by_id(&self, id: &str) -> Option<Arc<Session>> {
        self.by_id.get(id).map(|entry| entry.value().clone())
    }

    pub fn by_connection(&self, connection_id: &str) -> Option<Arc<Session>> {
        self.by_connection.get(connection_id).map(|entry| entry.value().clone())
    }

    pub fn of_user(&self, tenant: Option<&str>, subject: &str) -> Vec<Arc<Session>> {
        let key = UserKey { tenant: tenant.map(str::to_owned), subject: subject.to_owned() };
        self.by_user.get(&key).map(|entry| entry.value().clone()).unwrap_or_default()
    }

    pub fn all(&self) -> Vec<Arc<Session>> {
        self.by_id.iter().map(|entry| entry.value().clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    fn lock_lost(&self) -> MutexGuard<'_, Lost> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::test_session::session;

    #[test]
    fn sessions_are_found_by_each_name_and_forgotten_by_all() {
        let sessions = Sessions::new(Arc::new(Detached::new(0)));
        let (one, two) = (session("1", None, "alice"), session("2", None, "alice"));
        sessions.insert(one.clone());
        sessions.insert(two.clone());
        sessions.insert(session("3", Some("acme"), "alice"));
        assert_eq!(sessions.of_user(None, "alice").len(), 2);
        assert_eq!(sessions.of_user(Some("acme"), "alice").len(), 1);
        assert_eq!(sessions.by_connection("ws_2").map(|found| found.id.clone()), Some("2".into()));
        assert!(sessions.remove(&one) && sessions.remove(&two) && !sessions.remove(&two));
        assert!(sessions.by_id("1").is_none() && sessions.by_connection("ws_1").is_none());
        assert!(sessions.of_user(None, "alice").is_empty());
        assert_eq!((sessions.len(), sessions.by_user.len()), (1, 1));
    }

    #[test]
    fn why_a_session_was_lost_is_told_to_its_own_user() {
        let sessions = Sessions::new(Arc::new(Detached::new(0)));
        let one = session("1", None, "alice");
        sessions.lost(&one, ResumeFailure::WindowExceeded);
        assert_eq!(sessions.why_lost("1", &Principal::named(None, "alice")), Some(ResumeFailure::WindowExceeded));
        assert_eq!(sessions.why_lost("1", &Principal::named(Some("acme"), "alice")), None);
        assert_eq!(sessions.why_lost("2", &Principal::named(None, "alice")), None);
    }
}
