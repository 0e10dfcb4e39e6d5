//! The way of one artefact: validated, compiled, asked for its manifest, linked with what is granted,
//! its settings accepted, its self-test passed. Each failure names its stage.
//!
//! The first half depends on the bytes alone, the second on config as well, and is what a change of
//! config repeats. Nothing here knows other plugins, or what is serving.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    artifact::{Compiled, Validated},
    bindings::{self, Exports},
    capability::SharedCapabilities,
    compile::Compiler,
    egress::Egress,
    engine::Sandbox,
    health::VersionHealth,
    instance,
    instances::ready::{FirstInstance, Ready},
    manifest::{Lifecycle, Manifest},
    status::{LoadFailure, Stage},
    version::PluginVersion,
};
use crate::{
    config::{Grants, HandoverRule, Isolation, PluginConfig, setting::HTTP},
    telemetry::metrics::PluginVersionLabel,
};

mod advice;

/// What every load needs.
pub(crate) struct Loader {
    pub sandbox: Arc<Sandbox>,
    pub compiler: Compiler,
    pub shared: Arc<SharedCapabilities>,
}

impl Loader {
    /// From bytes to machine code and a manifest.
    pub async fn compile(&self, validated: Validated) -> Result<Compiled, LoadFailure> {
        let component = self.compiler.compile(&validated).await.map_err(advice::of_compiling)?;
        let manifest = instance::manifest_of(&self.sandbox, &component, &validated.captured.name)
            .await
            .map_err(|failure| advice::of_manifest(&failure))?;
        let manifest = Manifest::parse(&manifest)
            .map_err(|fault| LoadFailure::new(Stage::Manifest, format!("the manifest is not valid: {fault}")))?;
        let Validated { captured, imports } = validated;
        Ok(Compiled { name: captured.name, digest: captured.digest, imports, component, manifest })
    }

    /// From machine code and config to a version that can take traffic.
    pub async fn ready(
        &self,
        compiled: &Compiled,
        config: &PluginConfig,
        serving: Option<&Arc<PluginVersion>>,
    ) -> Result<(Arc<PluginVersion>, FirstInstance), LoadFailure> {
        check_grants(compiled, &config.grants)?;
        let settings_json = check_settings(compiled, config)?;
        let egress = Egress::prepare(&compiled.name, config, &self.shared.metrics).await?;
        let pre = bindings::link(&self.sandbox, &config.grants)
            .and_then(|linker| linker.instantiate_pre(&compiled.component))
            .map_err(|fault| advice::of_linking(format!("{fault:#}")))?;
        let exports = Exports::probe(&pre).map_err(advice::of_linking)?;
        check_promises(&compiled.manifest, &exports)?;
        let label =
            PluginVersionLabel { plugin: compiled.name.clone(), version: compiled.manifest.version.to_string().into() };
        let health = VersionHealth::new(label, config, self.shared.metrics.clone(), Instant::now());
        let version = Arc::new(PluginVersion {
            name: compiled.name.clone(),
            version: compiled.manifest.version.to_string().into(),
            digest: compiled.digest.clone(),
            manifest: compiled.manifest.clone(),
            isolation: config.isolation.unwrap_or(compiled.manifest.isolation),
            limits: config.limits.clone(),
            instances: config.instances.clone(),
            grants: config.grants.clone(),
            egress,
            settings_json,
            pre,
            exports,
            sandbox: self.sandbox.clone(),
            shared: self.shared.clone(),
            ready: Ready::default(),
            slots: Arc::new(Semaphore::new(config.limits.max_concurrent_calls)),
            interrupted: CancellationToken::new(),
            in_flight: TaskTracker::new(),
            health,
            call_metrics: OnceLock::new(),
        });
        let first =
            version.start_ahead().await.map_err(|failure| advice::of_call(Stage::Start, &compiled.name, &failure))?;
        version.self_test().await.map_err(|failure| advice::of_call(Stage::SelfTest, &compiled.name, &failure))?;
        if let Some(serving) = serving {
            check_handover(&version, serving).await?;
        }
        Ok((version, FirstInstance(first)))
    }
}

/// Whether sessions would lose what their instances know.
async fn check_handover(version: &Arc<PluginVersion>, serving: &Arc<PluginVersion>) -> Result<(), LoadFailure> {
    if [version, serving].iter().any(|version| version.isolation != Isolation::Session) {
        return Ok(());
    }
    let Err(reason) = version.can_take_over_from(serving).await else { return Ok(()) };
    if version.instances.handover == HandoverRule::BestEffort {
        tracing::warn!(plugin = %version.name, version = %version.version, %reason, "sessions of this plugin will start anew");
        return Ok(());
    }
    let help = format!(
        "mend `import-state`, or let its sessions start anew with `handover = \"best_effort\"` in [plugins.{}.instances]",
        version.name
    );
    Err(LoadFailure::new(Stage::Handover, format!("{reason}; {help}")))
}

/// Imports that are not granted, by name.
pub(crate) fn missing_grants(compiled: &Compiled, grants: &Grants) -> Vec<&'static str> {
    compiled.imports.iter().copied().filter(|import| !grants.allows(import)).collect()
}

fn check_grants(compiled: &Compiled, grants: &Grants) -> Result<(), LoadFailure> {
    let missing = missing_grants(compiled, grants);
    if missing.is_empty() {
        return Ok(());
    }
    let quoted = |names: &[&str], mark: char| {
        names.iter().map(|name| format!("{mark}{name}{mark}")).collect::<Vec<_>>().join(", ")
    };
    let mut help = Vec::new();
    let listed: Vec<&str> = missing.iter().copied().filter(|name| *name != HTTP).collect();
    if !listed.is_empty() {
        help.push(format!("add {} to `interfaces`", quoted(&listed, '"')));
    }
    if missing.contains(&HTTP) {
        help.push("name the servers that it may send requests to, such as `hosts = [\"api.example.com\"]`,".to_owned());
    }
    // What a toolchain links is not always what a program uses.
    let without = match missing.contains(&HTTP) && compiled.imports.contains(&"wasi") {
        true => "; or, if it sends none, build it without (for JavaScript: `--disable http --disable fetch-event`)",
        false => "",
    };
    let reason = format!(
        "it imports {}, which it is not granted: {} in [plugins.{}.grants]{without}",
        quoted(&missing, '`'),
        help.join(" and "),
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
            let reason = format!(
                "[plugins.{}.settings] does not fit what the plugin accepts: {fault}; correct it there",
                compiled.name
            );
            LoadFailure::new(Stage::Settings, reason)
        })?;
    }
    Ok(settings.to_string().into())
}
