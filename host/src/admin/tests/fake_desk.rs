//! Plugins that only write down what was asked of them.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::super::{Fetch, Forgetting, Operation, PluginDesk, SessionSummary};
use crate::plugin::{
    LoadFailure, PluginStatus,
    operation::{Deployment, Done, OperationError, Order, Role, VersionSummary},
    state::{StateForgotten, StateScope, StateUsage},
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

    fn done(plugin: String) -> Operation {
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

    fn versions(&self, plugin: &str) -> Result<Vec<VersionSummary>, OperationError> {
        let version = VersionSummary {
            digest: "ab".repeat(32),
            version: "1.0.0".to_owned(),
            role: Role::Canary,
            deployed_at: 1.0,
            deployed_by: "ci".to_owned(),
            canary_percent: Some(10),
        };
        known(plugin).map(|()| vec![version])
    }

    fn component(&self, plugin: String, version: String) -> Fetch {
        Box::pin(async move { known(&plugin).map(|()| version.into_bytes()) })
    }

    fn deploy(&self, deployment: Deployment, order: Order) -> Operation {
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

    fn promote(&self, plugin: String, order: Order) -> Operation {
        self.take(format!("promote {plugin}"), &order);
        Self::done(plugin)
    }

    fn rollback(&self, plugin: String, to: Option<String>, order: Order) -> Operation {
        self.take(format!("rollback {plugin} {to:?}"), &order);
        Self::done(plugin)
    }

    fn pin(&self, plugin: String, session_id: String, version: String, order: Order) -> Operation {
        self.take(format!("pin {plugin} {session_id} {version}"), &order);
        Self::done(plugin)
    }

    fn unpin(&self, plugin: String, session_id: String, order: Order) -> Operation {
        self.take(format!("unpin {plugin} {session_id}"), &order);
        Self::done(plugin)
    }

    fn set_enabled(&self, plugin: String, enabled: bool, order: Order) -> Operation {
        self.take(format!("enabled {plugin} {enabled}"), &order);
        Self::done(plugin)
    }

    fn remove(&self, plugin: String, order: Order) -> Operation {
        self.take(format!("remove {plugin}"), &order);
        Self::done(plugin)
    }

    fn state_usage(&self, plugin: &str) -> Result<StateUsage, OperationError> {
        known(plugin).map(|()| StateUsage::none(plugin))
    }

    fn forget_state(&self, plugin: String, scope: Option<StateScope>, order: Order) -> Forgetting {
        self.take(format!("forget {plugin} {scope:?}"), &order);
        Box::pin(async move { known(&plugin).map(|()| StateForgotten { plugin, scope, bytes: 0, entries: 0 }) })
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
            disabled_by_operator: false,
            canary: None,
            source: format!("{name}.wasm"),
        };
        ["echo", "slow"].map(status).into()
    }
}
