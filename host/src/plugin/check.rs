//! `switchboard plugin check`: the way of one file to readiness, by the same code that the host loads
//! it with, and nothing of it kept.

use std::{path::Path, sync::Arc};

use serde::Serialize;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    PluginSetupError,
    aot_cache::AotCache,
    artifact::Captured,
    capability::SharedCapabilities,
    compile::Compiler,
    directory_file::{plugin_name, read_any},
    engine::Sandbox,
    loader::Loader,
    seals::Seals,
    status::{LoadFailure, Stage},
    validate::validate,
};
use crate::{
    config::{Config, LiveConfig},
    telemetry::Metrics,
};

/// What a file that would be served is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct CheckedPlugin {
    /// The stem of the file.
    pub plugin: String,
    /// What it calls itself.
    pub name: String,
    pub version: String,
    pub digest: String,
    pub bytes: usize,
    pub imports: Vec<&'static str>,
    /// Types and prefixes (with a `*`).
    pub types: Vec<String>,
    pub tools: bool,
    /// What it asks for.
    pub isolation: &'static str,
}

/// Why a file would not be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckFault {
    #[error(transparent)]
    Setup(#[from] PluginSetupError),
    #[error(transparent)]
    Unfit(#[from] LoadFailure),
}

/// Takes a file through every stage but the comparison with other plugins.
pub(crate) async fn check_file(config: &Config, path: &Path) -> Result<CheckedPlugin, CheckFault> {
    let unfit = |reason: String| LoadFailure::new(Stage::Capture, reason);
    let file = path.file_name().unwrap_or_default();
    let stem = plugin_name(file).map_err(|ignored| unfit(ignored.in_words()))?.to_owned();
    let bytes = read_any(path).map_err(unfit)?;
    let size = bytes.len();
    let captured = Captured::new(Arc::from(stem.as_str()), bytes);
    let validated = validate(captured).map_err(|fault| LoadFailure::new(Stage::Validate, fault))?;

    let sandbox = Sandbox::new(config)?;
    let compiler = Compiler::new(sandbox.clone(), AotCache::open(&config.server.data_dir));
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let _stops = stop.clone().drop_guard();
    let shared =
        SharedCapabilities::start(LiveConfig::new(config.clone()), None, Seals::random(), Metrics::new(), &tasks, stop)
            .map_err(PluginSetupError::State)?;
    let loader = Loader { sandbox, compiler, shared };
    let compiled = loader.compile(validated).await?;
    loader.ready(&compiled, config.plugin(&stem), None).await?;

    let manifest = compiled.manifest;
    Ok(CheckedPlugin {
        plugin: stem,
        name: manifest.name,
        version: manifest.version.to_string(),
        digest: compiled.digest,
        bytes: size,
        imports: compiled.imports,
        types: manifest.handles.iter().map(|handled| handled.pattern.to_string()).collect(),
        tools: manifest.tools,
        isolation: manifest.isolation.as_str(),
    })
}
