//! What the admin listener is told of the parts that it does not know: plugins, and sessions.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use switchboard_protocol::unix_seconds;

use crate::{
    admin::{Fetch, Forgetting, Operation, PluginDesk, SessionSummary},
    plugin::{
        PluginStatus, Plugins,
        operation::{Deployment, OperationError, Order, VersionSummary},
        state::{StateScope, StateUsage},
    },
    session::{Session, Sessions},
};

pub(super) struct Desk {
    pub plugins: Arc<Plugins>,
    pub sessions: Arc<Sessions>,
}

/// All sessions, or those of a subject in any tenant.
pub(super) fn sessions(sessions: &Sessions, user: Option<&str>) -> Vec<SessionSummary> {
    let all = sessions.all();
    let wanted = |session: &&Arc<Session>| user.is_none_or(|user| session.principal().subject == user);
    all.iter().filter(wanted).map(|session| summary(session)).collect()
}

fn summary(session: &Session) -> SessionSummary {
    let (principal, connection) = (session.principal(), session.connection());
    let since = connection.as_ref().map(|connection| connection.opened_at).or_else(|| session.detached_since());
    SessionSummary {
        id: session.id.to_string(),
        user: principal.subject.clone(),
        tenant: principal.tenant.clone(),
        connected: connection.is_some(),
        connection_id: session.connection_id().to_string(),
        since: unix_seconds(SystemTime::now()) - since.unwrap_or_else(Instant::now).elapsed().as_secs_f64(),
    }
}

impl PluginDesk for Desk {
    fn statuses(&self) -> Vec<PluginStatus> {
        self.plugins.statuses()
    }

    fn versions(&self, plugin: &str) -> Result<Vec<VersionSummary>, OperationError> {
        self.plugins.versions(plugin)
    }

    fn component(&self, plugin: String, version: String) -> Fetch {
        let plugins = self.plugins.clone();
        Box::pin(async move { plugins.component(&plugin, &version).await })
    }

    fn deploy(&self, deployment: Deployment, order: Order) -> Operation {
        let plugins = self.plugins.clone();
        Box::pin(async move { plugins.deploy(deployment, order).await })
    }

    fn promote(&self, plugin: String, order: Order) -> Operation {
        let plugins = self.plugins.clone();
        Box::pin(async move { plugins.promote(&plugin, order).await })
    }

    fn rollback(&self, plugin: String, to: Option<String>, order: Order) -> Operation {
        let plugins = self.plugins.clone();
        Box::pin(async move { plugins.rollback(&plugin, to, order).await })
    }

    fn pin(&self, plugin: String, session_id: String, version: String, order: Order) -> Operation {
        let (plugins, sessions) = (self.plugins.clone(), self.sessions.clone());
        Box::pin(async move {
            // A pin of a session that is not here would wait for nobody.
            if sessions.by_id(&session_id).is_none() {
                return Err(OperationError::NotNow(format!("there is no session {session_id:?}")));
            }
            let pinned = plugins.pin(&plugin, &session_id, &version, order).await?;
            // It may have ended while the version was made ready: nobody else will hear of its pin.
            if sessions.by_id(&session_id).is_none() {
                plugins.forget_session(&session_id);
                return Err(OperationError::NotNow(format!("the session {session_id:?} has ended meanwhile")));
            }
            Ok(pinned)
        })
    }

    fn unpin(&self, plugin: String, session_id: String, order: Order) -> Operation {
        let plugins = self.plugins.clone();
        Box::pin(async move { plugins.unpin(&plugin, &session_id, order).await })
    }

    fn set_enabled(&self, plugin: String, enabled: bool, order: Order) -> Operation {
        let plugins = self.plugins.clone();
        Box::pin(async move { plugins.set_enabled(&plugin, enabled, order).await })
    }

    fn remove(&self, plugin: String, order: Order) -> Operation {
        let plugins = self.plugins.clone();
        Box::pin(async move { plugins.remove(&plugin, order).await })
    }

    fn state_usage(&self, plugin: &str) -> Result<StateUsage, OperationError> {
        self.plugins.state_usage(plugin)
    }

    fn forget_state(&self, plugin: String, scope: Option<StateScope>, order: Order) -> Forgetting {
        let plugins = self.plugins.clone();
        Box::pin(async move { plugins.forget_state(&plugin, scope, &order).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plugin::{Who, test_guest::TestGuest, test_host::Host},
        session::{detached::Detached, test_session::session},
    };

    #[tokio::test]
    async fn a_session_that_ends_while_its_version_is_made_ready_leaves_no_pin() {
        let host = Host::start(&[("a", TestGuest::handling("1.0.0", &["ping"]))], |_| {}).await;
        let order = || Order { by: "ops".into(), why: String::new() };
        let component = TestGuest::handling("2.0.0", &["ping"]).build();
        let deployment = Deployment { plugin: "a".into(), component, canary_percent: None };
        host.plugins.deploy(deployment, order()).await.unwrap();
        let sessions = Arc::new(Sessions::new(Arc::new(Detached::new(0))));
        let one = session("s-1", None, "alice");
        sessions.insert(one.clone());
        let desk = Desk { plugins: host.plugins.clone(), sessions: sessions.clone() };
        let mut pinning = desk.pin("a".into(), "s-1".into(), "1.0.0".into(), order());
        assert!(futures_util::poll!(&mut pinning).is_pending());
        sessions.remove(&one);
        host.plugins.forget_session("s-1");
        assert!(matches!(pinning.await, Err(OperationError::NotNow(why)) if why.contains("has ended")));
        let who = Who { tenant: None, subject: "alice", session_id: "s-1" };
        host.until(|| host.route_of("ping", &who), |route| route == "a 2.0.0", "no pin").await;
        host.stop().await;
    }
}
