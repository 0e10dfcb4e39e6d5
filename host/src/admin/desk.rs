//! What these routes ask of the plugins of a host.

use futures_util::future::BoxFuture;

use crate::plugin::{
    PluginStatus,
    operation::{Deployment, Done, OperationError, Order, VersionSummary},
    state::{StateForgotten, StateScope, StateUsage},
};

/// An operation that is under way. It goes on whoever waits for it.
pub(crate) type Operation = BoxFuture<'static, Result<Done, OperationError>>;

/// A component that is on its way from the disk.
pub(crate) type Fetch = BoxFuture<'static, Result<Vec<u8>, OperationError>>;

/// State that is being dropped.
pub(crate) type Forgetting = BoxFuture<'static, Result<StateForgotten, OperationError>>;

/// The operations on plugins. Each is all or nothing, and an audit event.
pub(crate) trait PluginDesk: Send + Sync {
    fn statuses(&self) -> Vec<PluginStatus>;

    /// Newest first.
    fn versions(&self, plugin: &str) -> Result<Vec<VersionSummary>, OperationError>;

    /// The component of a version, byte for byte as it was deployed.
    fn component(&self, plugin: String, version: String) -> Fetch;

    fn deploy(&self, deployment: Deployment, order: Order) -> Operation;

    fn promote(&self, plugin: String, order: Order) -> Operation;

    /// Without a version, to the one before the active one.
    fn rollback(&self, plugin: String, to: Option<String>, order: Order) -> Operation;

    /// Puts one session on one version, whatever share of users that has.
    fn pin(&self, plugin: String, session_id: String, version: String, order: Order) -> Operation;

    fn unpin(&self, plugin: String, session_id: String, order: Order) -> Operation;

    fn set_enabled(&self, plugin: String, enabled: bool, order: Order) -> Operation;

    /// With all of its versions, if it has no file.
    fn remove(&self, plugin: String, order: Order) -> Operation;

    fn state_usage(&self, plugin: &str) -> Result<StateUsage, OperationError>;

    /// In one scope, or in all.
    fn forget_state(&self, plugin: String, scope: Option<StateScope>, order: Order) -> Forgetting;
}
