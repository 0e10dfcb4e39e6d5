//! Plugins that only write down what was asked of them.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::super::{Operation, PluginDesk, SessionSummary};
use crate::plugin::{
    LoadFailure, PluginStatus,
    operation::{Deployment, Done, OperationError, Order, Role, VersionSummary},
    status::{Stage, State},
};

#[derive(Default)]
pub(super) struct FakeDesk {
    pub orders: Mutex<Vec<String>>,
    /// Of a deployment of `slow`.
    pub begun: Notify,
    pub go_on: std::sync::Arc<Notify>,
    pub ended: std::sync::Arc<Notify>,
}

impl FakeDesk {
    fn take(&self, what: String, order: &Order) {
        self.orders.lock().unwrap().push(format!("{what} by {}: {}", order.by, order.why));
    }

    fn done(plugin: String) -> Operation<Done> {
        let done = move |plugin| Done {
            plugin,
            digest: "ab".repeat(32),
            version: "1.0.0".to_owned(),
            role: Role::Active,
            took_ms: 3,
        };
        Box::pin(async move { known(&plugin).map(|()| done(plugin)) })
    }
}

fn known(plugin: &str) -> Result<(), OperationError> {
    match plugin {
        "unfit" => Err(LoadFailure::new(Stage::Grants, "it imports `topics`").into()),
        "late" => Err(OperationError::NotNow("there is no canary".to_owned())),
        "echo" | "slow" => Ok(()),
        other => Err(OperationError::UnknownPlugin(other.to_owned())),
    }
}

pub(super) fn sessions(user: Option<&str>) -> Vec<SessionSummary> {
    let session = |(user, since): (&str, f64)| SessionSummary {
        id: format!("s-{user}"),
        user: user.to_owned(),
        tenant: None,
        connected: true,
        connection_id: "ws_1".to_owned(),
        since,
    };
    let all = [("alice", 1.0), ("bob", 2.0)].map(session);
    all.into_iter().filter(|session| user.is_none_or(|user| session.user == user)).collect()
}

impl PluginDesk for FakeDesk {
    fn statuses(&self) -> Vec<PluginStatus> {
        let failure = LoadFailure::new(Stage::SelfTest, "odd");
        let mut statuses = self.all();
        statuses[0].last_error = Some(failure);
        statuses
    }

    fn versions(&self, plugin: String) -> Operation<Vec<VersionSummary>> {
        let version = VersionSummary {
            digest: "ab".repeat(32),
            version: "1.0.0".to_owned(),
            role: Role::Canary,
            deployed_at: 1.0,
            deployed_by: "ci".to_owned(),
            canary_percent: Some(10),
        };
        Box::pin(async move { known(&plugin).map(|()| vec![version]) })
    }

    fn deploy(&self, deployment: Deployment, order: Order) -> Operation<Done> {
        let Deployment { plugin, component, canary_percent } = deployment;
        self.take(format!("deploy {plugin} {} bytes {canary_percent:?}", component.len()), &order);
        if plugin != "slow" {
            return Self::done(plugin);
        }
        self.begun.notify_one();
        let (go_on, ended) = (self.go_on.clone(), self.ended.clone());
        Box::pin(async move {
            go_on.notified().await;
            ended.notify_one();
            Self::done(plugin).await
        })
    }

    fn promote(&self, plugin: String, order: Order) -> Operation<Done> {
        self.take(format!("promote {plugin}"), &order);
        Self::done(plugin)
    }

    fn rollback(&self, plugin: String, to: Option<String>, order: Order) -> Operation<Done> {
        self.take(format!("rollback {plugin} {to:?}"), &order);
        Self::done(plugin)
    }

    fn pin(&self, plugin: String, session_id: String, version: String, order: Order) -> Operation<Done> {
        self.take(format!("pin {plugin} {session_id} {version}"), &order);
        Self::done(plugin)
    }

    fn unpin(&self, plugin: String, session_id: String, order: Order) -> Operation<Done> {
        self.take(format!("unpin {plugin} {session_id}"), &order);
        Self::done(plugin)
    }

    fn set_enabled(&self, plugin: String, enabled: bool, order: Order) -> Operation<Done> {
        self.take(format!("enabled {plugin} {enabled}"), &order);
        Self::done(plugin)
    }
}

impl FakeDesk {
    fn all(&self) -> Vec<PluginStatus> {
        let status = |name: &str| PluginStatus {
            name: name.to_owned(),
            state: State::Serving,
            version: Some("1.0.0".to_owned()),
            digest: Some("ab".repeat(32)),
            description: None,
            types: vec!["echo".to_owned()],
            isolation: Some("message"),
            since: 1.0,
            last_error: None,
            source: format!("{name}.wasm"),
        };
        ["echo", "slow"].map(status).into()
    }
}
