//! The way of one artefact: validated, compiled, asked for its manifest, linked with what is granted,
//! its settings accepted, its self-test passed. Each failure names its stage.
//!
//! The first half depends on the bytes alone, the second on config as well, and is what a change of
//! config repeats. Nothing here knows other plugins, or what is serving.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    artifact::{Compiled, Validated},
    bindings::{self, Exports},
    capability::SharedCapabilities,
    compile::Compiler,
    engine::Sandbox,
    instance,
    manifest::{Lifecycle, Manifest},
    status::{LoadFailure, Stage},
    version::PluginVersion,
};
use crate::config::{Grants, PluginConfig};

/// What every load needs.
pub(crate) struct Loader {
    pub sandbox: Arc<Sandbox>,
    pub compiler: Compiler,
    pub shared: Arc<SharedCapabilities>,
}

impl Loader {
    /// From bytes to machine code and a manifest.
    pub async fn compile(&self, validated: Validated) -> Result<Compiled, LoadFailure> {
        let component =
            self.compiler.compile(&validated).await.map_err(|fault| LoadFailure::new(Stage::Compile, fault))?;
        let manifest = instance::manifest_of(&self.sandbox, &component)
            .await
            .map_err(|failure| LoadFailure::new(Stage::Manifest, failure))?;
        let manifest = Manifest::parse(&manifest)
            .map_err(|fault| LoadFailure::new(Stage::Manifest, format!("the manifest is not valid: {fault}")))?;
        let Validated { captured, imports } = validated;
        Ok(Compiled { name: captured.name, digest: captured.digest, imports, component, manifest })
    }

    /// From machine code and config to a version that can take traffic.
    pub async fn ready(&self, compiled: &Compiled, config: &PluginConfig) -> Result<Arc<PluginVersion>, LoadFailure> {
        check_grants(compiled, &config.grants)?;
        let settings_json = check_settings(compiled, config)?;
        let pre = bindings::link(&self.sandbox, &config.grants)
            .and_then(|linker| linker.instantiate_pre(&compiled.component))
            .map_err(|fault| LoadFailure::new(Stage::Link, format!("{fault:#}")))?;
        let exports = Exports::probe(&pre).map_err(|fault| LoadFailure::new(Stage::Link, fault))?;
        check_promises(&compiled.manifest, &exports)?;
        let version = Arc::new(PluginVersion {
            name: compiled.name.clone(),
            version: compiled.manifest.version.to_string().into(),
            digest: compiled.digest.clone(),
            manifest: compiled.manifest.clone(),
            isolation: config.isolation.unwrap_or(compiled.manifest.isolation),
            limits: config.limits.clone(),
            grants: config.grants.clone(),
            settings_json,
            pre,
            exports,
            sandbox: self.sandbox.clone(),
            shared: self.shared.clone(),
            slots: Arc::new(Semaphore::new(config.limits.max_concurrent_calls)),
            interrupted: CancellationToken::new(),
            in_flight: TaskTracker::new(),
        });
        version.self_test().await.map_err(|failure| LoadFailure::new(Stage::SelfTest, failure))?;
        Ok(version)
    }
}

/// Imports that are not granted, by name.
pub(crate) fn missing_grants(compiled: &Compiled, grants: &Grants) -> Vec<&'static str> {
    let granted = |import: &&'static str| grants.interfaces.iter().any(|granted| granted == import);
    compiled.imports.iter().copied().filter(|import| !granted(import)).collect()
}

fn check_grants(compiled: &Compiled, grants: &Grants) -> Result<(), LoadFailure> {
    let missing = missing_grants(compiled, grants);
    if missing.is_empty() {
        return Ok(());
    }
    let quoted = |mark: char| {
        let names: Vec<String> = missing.iter().map(|name| format!("{mark}{name}{mark}")).collect();
        names.join(", ")
    };
    let reason = format!(
        "it imports {}, which it is not granted: add {} to `interfaces` in [plugins.{}.grants]",
        quoted('`'),
        quoted('"'),
        compiled.name
    );
    Err(LoadFailure::new(Stage::Grants, reason))
}

/// Whether it has what its manifest says that it has. Otherwise each connection, or each look for tools, would be
/// a call that fails.
fn check_promises(manifest: &Manifest, exports: &Exports) -> Result<(), LoadFailure> {
    let broken = |member: &str, what: &str, interface: &str| {
        let reason = format!(
            "the manifest is not valid: `{member}` {what}, but the component exports no `switchboard:plugin/{interface}@0.1.0`"
        );
        Err(LoadFailure::new(Stage::Manifest, reason))
    };
    if manifest.tools && exports.tools.is_none() {
        return broken("tools", "is true", "tools");
    }
    if manifest.lifecycle != Lifecycle::default() && exports.lifecycle.is_none() {
        return broken("lifecycle", "names events", "lifecycle");
    }
    Ok(())
}

fn check_settings(compiled: &Compiled, config: &PluginConfig) -> Result<Arc<str>, LoadFailure> {
    let settings = Value::Object(config.settings.as_ref().clone());
    if let Some(schema) = &compiled.manifest.settings {
        schema.check(&settings).map_err(|fault| {
            let reason = format!("[plugins.{}.settings] does not fit what the plugin accepts: {fault}", compiled.name);
            LoadFailure::new(Stage::Settings, reason)
        })?;
    }
    Ok(settings.to_string().into())
}
