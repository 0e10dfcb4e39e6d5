//! What operators see of a plugin, and of the attempts to bring its file to traffic.

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Config;

/// How far a file came before it failed. Also the `outcome` label of `switchboard_plugin_loads`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
    /// Credentials for its outbound requests.
    Secrets,
    /// Its first instance, with everything that it imports.
    Start,
    SelfTest,
    /// What the sessions of the serving version would leave, against what it can take over.
    Handover,
    /// Its message types against those of other plugins.
    Claims,
    /// It was still on its way when somebody chose another version.
    Superseded,
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
            Self::Secrets => "secrets",
            Self::Start => "start",
            Self::SelfTest => "self_test",
            Self::Handover => "handover",
            Self::Claims => "claims",
            Self::Superseded => "superseded",
        }
    }
}

/// Why a file did not come to traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error, ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PluginState)]
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
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct PluginStatus {
    pub name: String,
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The types and prefixes (with a `*`) of its newest manifest.
    pub types: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<&'static str>,
    /// Unix seconds of the last change of state or version.
    pub since: f64,
    /// Of the newest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LoadFailure>,
    /// Whether it was switched off by `disable`, and not (or not only) in the config.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled_by_operator: bool,
    /// The version that a share of users has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStatus>,
    /// The name of the file; empty if it was deployed without one.
    pub source: String,
}

/// A version on trial.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct CanaryStatus {
    pub digest: String,
    pub version: String,
    /// Share of users.
    pub percent: u32,
    /// Unix seconds of the beginning of the trial.
    pub since: f64,
    /// Whether those users are served by it. If not, they have the active version.
    pub serving: bool,
    /// Why it does not serve, or not with the newest config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LoadFailure>,
}

/// Whether every plugin that is required is serving. One that is switched off is not missed.
pub(crate) fn readiness(config: &Config, statuses: &[PluginStatus]) -> Result<(), String> {
    let configured = config.plugins.keys().map(String::as_str);
    let known = statuses.iter().filter(|status| status.state != State::Removed).map(|status| status.name.as_str());
    for name in configured.chain(known) {
        let wanted = config.plugin(name);
        let status = statuses.iter().find(|status| status.name == name);
        if wanted.required && wanted.enabled && status.is_none_or(|status| !status.disabled_by_operator) {
            check_serving(name, status)?;
        }
    }
    Ok(())
}

fn check_serving(name: &str, status: Option<&PluginStatus>) -> Result<(), String> {
    match status {
        Some(PluginStatus { state: State::Serving, .. }) => Ok(()),
        Some(PluginStatus { last_error: Some(failure), .. }) => {
            Err(format!("the plugin `{name}` is required and does not load: {failure}"))
        }
        Some(PluginStatus { state: State::Loading | State::Disabled, .. }) => {
            Err(format!("the plugin `{name}` is required and is being loaded"))
        }
        _ => Err(format!("the plugin `{name}` is required, and there is no file {name}.wasm in the plugin directory")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn status(name: &str, state: State, last_error: Option<LoadFailure>) -> PluginStatus {
        PluginStatus {
            name: name.to_owned(),
            state,
            version: None,
            digest: None,
            description: None,
            types: Vec::new(),
            isolation: None,
            since: 0.0,
            last_error,
            disabled_by_operator: false,
            canary: None,
            source: String::new(),
        }
    }

    fn check(change: impl Fn(&mut crate::config::PluginConfig), statuses: &[PluginStatus], expected: Option<&str>) {
        let mut config = Config::for_tests(Path::new("/nowhere"));
        let mut section = config.plugin_defaults.clone();
        change(&mut section);
        config.plugins.insert("system".to_owned(), section);
        let found = readiness(&config, statuses).err();
        assert_eq!(
            found.as_deref().map(|reason| reason.contains(expected.unwrap_or("?"))),
            expected.map(|_| true),
            "{found:?}"
        );
    }

    #[test]
    fn only_a_required_plugin_that_does_not_serve_makes_the_host_unready() {
        let failure = || Some(LoadFailure::new(Stage::Link, "odd"));
        let serving = [status("system", State::Serving, failure())];
        let failed = [status("system", State::Failed, failure())];
        check(|section| section.required = false, &[], None);
        check(|section| section.required = true, &serving, None);
        check(|section| section.required = true, &failed, Some("does not load: link: odd"));
        check(|section| section.required = true, &[], Some("no file system.wasm"));
        check(|section| (section.required, section.enabled) = (true, false), &[], None);
        let off = [PluginStatus { disabled_by_operator: true, ..status("system", State::Disabled, None) }];
        check(|section| section.required = true, &off, None);
    }
}
