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
            plugins.pin(&plugin, &session_id, &version, order).await
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

    fn state_usage(&self, plugin: &str) -> Result<StateUsage, OperationError> {
        self.plugins.state_usage(plugin)
    }

    fn forget_state(&self, plugin: String, scope: Option<StateScope>, order: Order) -> Forgetting {
        let plugins = self.plugins.clone();
        Box::pin(async move { plugins.forget_state(&plugin, scope, &order).await })
    }
}
