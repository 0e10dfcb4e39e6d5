//! What these routes ask of the plugins of a host.

use futures_util::future::BoxFuture;

use crate::plugin::{
    PluginStatus,
    operation::{Deployment, Done, OperationError, Order, VersionSummary},
};

/// An operation that is under way. It goes on whoever waits for it.
pub(crate) type Operation<T> = BoxFuture<'static, Result<T, OperationError>>;

/// The operations on plugins. Each is all or nothing, and an audit event.
pub(crate) trait PluginDesk: Send + Sync {
    fn statuses(&self) -> Vec<PluginStatus>;

    /// Newest first.
    fn versions(&self, plugin: String) -> Operation<Vec<VersionSummary>>;

    fn deploy(&self, deployment: Deployment, order: Order) -> Operation<Done>;

    fn promote(&self, plugin: String, order: Order) -> Operation<Done>;

    /// Without a version, to the one before the active one.
    fn rollback(&self, plugin: String, to: Option<String>, order: Order) -> Operation<Done>;

    /// Puts one session on one version, whatever share of users that has.
    fn pin(&self, plugin: String, session_id: String, version: String, order: Order) -> Operation<Done>;

    fn unpin(&self, plugin: String, session_id: String, order: Order) -> Operation<Done>;

    fn set_enabled(&self, plugin: String, enabled: bool, order: Order) -> Operation<Done>;
}
