//! What operators do to plugins while the host runs, beside dropping files: the words of the admin
//! listener and of the command line.
//!
//! Every one that changes something names who does it and why, and is an audit event.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::status::LoadFailure;

/// Who asks for an operation, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// The name of the admin token, the path of a file that appeared, or `host` for what the host decides.
    pub by: String,
    /// In the operator's own words; may be empty.
    pub why: String,
}

/// A component to be brought to traffic.
pub(crate) struct Deployment {
    pub plugin: String,
    pub component: Vec<u8>,
    /// Share of users, 1 to 99; `None`: what `canary.percent` says; zero: all at once.
    pub canary_percent: Option<u32>,
}

/// A version as it stands in a plugin's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct VersionSummary {
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// What its manifest says.
    pub version: String,
    /// What it is for the plugin at the moment.
    pub role: Role,
    /// Unix seconds of its first deployment.
    pub deployed_at: f64,
    pub deployed_by: String,
    /// Share of users, if it is the canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_percent: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Serves everyone whom the canary does not serve.
    Active,
    /// Serves a share of users.
    Canary,
    /// Can be rolled back to.
    Kept,
}

/// What an operation has led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Done {
    pub plugin: String,
    /// The version that the operation was about.
    pub digest: String,
    pub version: String,
    pub role: Role,
    /// Milliseconds from the request to the first message that the version can serve.
    pub took_ms: u64,
}

/// A plugin that was removed, with all of its versions. What it remembers stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Removed {
    pub plugin: String,
}

/// Why an operation was not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperationError {
    #[error("there is no plugin {0:?}")]
    UnknownPlugin(String),
    #[error("the plugin {plugin:?} has no version {wanted:?}")]
    UnknownVersion { plugin: String, wanted: String },
    #[error("{wanted:?} fits several versions of {plugin:?}: {}", fitting.join(", "))]
    AmbiguousVersion { plugin: String, wanted: String, fitting: Vec<String> },
    /// The request itself makes no sense, such as a name that cannot be a plugin's.
    #[error("{0}")]
    Invalid(String),
    /// It does not fit what the plugin is at the moment, such as `promote` without a canary.
    #[error("{0}")]
    NotNow(String),
    /// The component does not come to traffic; what served before goes on.
    #[error(transparent)]
    Unfit(#[from] LoadFailure),
    #[error("the change could not be stored: {0}")]
    NotStored(String),
    #[error("the host is stopping")]
    Stopping,
}
