//! What the admin listener is told of the parts that it does not know: plugins, and sessions.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use switchboard_protocol::unix_seconds;

use crate::{
    admin::{Operation, PluginDesk, SessionSummary},
    plugin::{
        PluginStatus, Plugins,
        operation::{Deployment, Done, OperationError, Order, VersionSummary},
    },
    session::{Session, Sessions},
};

pub(super) struct Desk {
    pub plugins: Arc<Plugins>,
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

    fn versions(&self, _: String) -> Operation<Vec<VersionSummary>> {
        not_offered()
    }

    fn deploy(&self, _: Deployment, _: Order) -> Operation<Done> {
        not_offered()
    }

    fn promote(&self, _: String, _: Order) -> Operation<Done> {
        not_offered()
    }

    fn rollback(&self, _: String, _: Option<String>, _: Order) -> Operation<Done> {
        not_offered()
    }

    fn pin(&self, _: String, _: String, _: String, _: Order) -> Operation<Done> {
        not_offered()
    }

    fn unpin(&self, _: String, _: String, _: Order) -> Operation<Done> {
        not_offered()
    }

    fn set_enabled(&self, _: String, _: bool, _: Order) -> Operation<Done> {
        not_offered()
    }
}

fn not_offered<T: Send + 'static>() -> Operation<T> {
    Box::pin(async { Err(OperationError::NotNow("this host loads plugins from its directory alone".to_owned())) })
}
