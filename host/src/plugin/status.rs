//! What operators see of a plugin, and of the attempts to bring its file to traffic.

use serde::Serialize;

/// How far a file came before it failed. Also the `outcome` label of `switchboard_plugin_loads`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Reading it.
    Capture,
    /// Whether it can be a plugin at all.
    Validate,
    Compile,
    /// What it says about itself.
    Manifest,
    /// What it imports against what it was granted.
    Grants,
    Link,
    /// The operator's settings against its schema.
    Settings,
    SelfTest,
    /// Its message types against those of other plugins.
    Claims,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Validate => "validate",
            Self::Compile => "compile",
            Self::Manifest => "manifest",
            Self::Grants => "grants",
            Self::Link => "link",
            Self::Settings => "settings",
            Self::SelfTest => "self_test",
            Self::Claims => "claims",
        }
    }
}

/// Why a file did not come to traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}: {reason}", stage.as_str())]
pub(crate) struct LoadFailure {
    pub stage: Stage,
    pub reason: String,
}

impl LoadFailure {
    pub fn new(stage: Stage, reason: impl ToString) -> Self {
        Self { stage, reason: reason.to_string() }
    }
}

/// Where a plugin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It takes traffic, perhaps with an older version than the file's: then there is a `last_error`.
    Serving,
    /// It takes none, because of its `last_error`.
    Failed,
    /// The operator switched it off.
    Disabled,
    /// Its file was deleted.
    Removed,
    /// Its file is on its way.
    Loading,
}

/// One plugin, for the admin listener.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PluginStatus {
    pub name: String,
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The types and prefixes (with a `*`) of its newest manifest.
    pub types: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<&'static str>,
    /// Unix seconds of the last change of state or version.
    pub since: f64,
    /// Of the newest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LoadFailure>,
    /// The name of the file.
    pub source: String,
}
