//! Who is connected: sessions by their id, by connection id, and by user.
//!
//! What is handed out are clones; no guard of a map leaves this file, so none can be held across an
//! await.

use std::sync::Arc;

use dashmap::DashMap;

use super::Session;
use crate::auth::Principal;

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

#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: DashMap<Arc<str>, Arc<Session>>,
    by_connection: DashMap<Arc<str>, Arc<Session>>,
    by_user: DashMap<UserKey, Vec<Arc<Session>>>,
}

impl Sessions {
    pub fn insert(&self, session: Arc<Session>) {
        self.by_id.insert(session.id.clone(), session.clone());
        self.by_connection.insert(session.connection_id.clone(), session.clone());
        self.by_user.entry(UserKey::of(&session.principal())).or_default().push(session);
    }

    pub fn remove(&self, session: &Session) {
        self.by_id.remove(&session.id);
        self.by_connection.remove(&session.connection_id);
        let key = UserKey::of(&session.principal());
        if let Some(mut sessions) = self.by_user.get_mut(&key) {
            sessions.retain(|other| other.id != session.id);
        }
        self.by_user.remove_if(&key, |_, sessions| sessions.is_empty());
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
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;
    use crate::session::{Outbox, state::State};

    fn session(id: &str, tenant: Option<&str>, subject: &str) -> Arc<Session> {
        let principal = Principal::named(tenant, subject);
        let outbox = Outbox::new(1, Counter::default());
        Arc::new(Session::new(id.into(), format!("ws_{id}").into(), principal, outbox, State::Authenticating))
    }

    #[test]
    fn sessions_are_found_by_each_name_and_forgotten_by_all() {
        let sessions = Sessions::default();
        let (one, two) = (session("1", None, "alice"), session("2", None, "alice"));
        sessions.insert(one.clone());
        sessions.insert(two.clone());
        sessions.insert(session("3", Some("acme"), "alice"));
        assert_eq!(sessions.of_user(None, "alice").len(), 2);
        assert_eq!(sessions.of_user(Some("acme"), "alice").len(), 1);
        assert_eq!(sessions.by_connection("ws_2").map(|found| found.id.clone()), Some("2".into()));
        sessions.remove(&one);
        sessions.remove(&two);
        assert!(sessions.by_id("1").is_none() && sessions.by_connection("ws_1").is_none());
        assert!(sessions.of_user(None, "alice").is_empty());
        assert_eq!((sessions.len(), sessions.by_user.len()), (1, 1));
    }
}
