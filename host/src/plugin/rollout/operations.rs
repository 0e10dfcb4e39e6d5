//! What operators can do to plugins, as the admin listener and the command line call it.

use std::{sync::Arc, time::Instant};

use tokio::{sync::oneshot, task::spawn_blocking};

use super::{
    super::{
        Plugins,
        artifact::Captured,
        directory_file::{MAX_FILE_BYTES, MAX_NAME_BYTES, is_plugin_name},
        operation::{Deployment, Done, OperationError, Order, VersionSummary},
        status::{LoadFailure, Stage},
        validate::validate,
    },
    audit::AuditEvent,
    command::{Command, Request},
    lineage,
};

impl Plugins {
    /// Brings a component to traffic, through the same stages as a file. Returns when it serves.
    pub async fn deploy(&self, deployment: Deployment, order: Order) -> Result<Done, OperationError> {
        let (name, by) = (deployment.plugin.clone(), order.by.clone());
        let deployed = self.deploy_unheard(deployment, order).await;
        // Among the plugin's lines, as what is wrong with a file is. A name that somebody made up has none.
        if let Err(problem) = &deployed
            && let Some(status) = self.statuses().into_iter().find(|status| status.name == name)
        {
            let serving = status.version.as_deref().unwrap_or("nothing");
            tracing::warn!(plugin = %name, by, %problem, serving, "a deployment was refused");
        }
        deployed
    }

    async fn deploy_unheard(&self, deployment: Deployment, order: Order) -> Result<Done, OperationError> {
        let began = Instant::now();
        let Deployment { plugin, component, canary_percent: percent } = deployment;
        if !is_plugin_name(&plugin) {
            let problem = format!("the name of a plugin is 1 to {MAX_NAME_BYTES} characters of a-z 0-9 _ -");
            return Err(OperationError::Invalid(problem));
        }
        if component.len() as u64 > MAX_FILE_BYTES {
            let problem = format!("it has {} bytes, and {MAX_FILE_BYTES} are allowed", component.len());
            return Err(LoadFailure::new(Stage::Capture, problem).into());
        }
        if percent.is_some_and(|percent| percent > 99) {
            return Err(OperationError::Invalid("the share of a canary is 0 to 99 per cent of users".to_owned()));
        }
        let name: Arc<str> = plugin.into();
        let captured = name.clone();
        let validated = spawn_blocking(move || validate(Captured::new(captured, component))).await;
        let validated = match validated {
            Ok(validated) => validated.map_err(|fault| LoadFailure::new(Stage::Validate, fault)),
            Err(crash) => Err(LoadFailure::new(Stage::Validate, crash)),
        };
        let validated = match validated {
            Ok(validated) => validated,
            Err(failure) => return Err(self.refused("deploy", &name, &order, failure)),
        };
        self.ask(name, Command::Deploy { validated, percent }, order, began).await
    }

    /// Gives the canary to everybody.
    pub async fn promote(&self, plugin: &str, order: Order) -> Result<Done, OperationError> {
        self.ask(plugin.into(), Command::Promote, order, Instant::now()).await
    }

    /// Goes back to a version; if none is named, from the canary to the active one, or else from the active one
    /// to the one before it.
    pub async fn rollback(&self, plugin: &str, to: Option<String>, order: Order) -> Result<Done, OperationError> {
        self.ask(plugin.into(), Command::Rollback { to }, order, Instant::now()).await
    }

    /// Gives one session a version, whatever its user has otherwise, until the session or the process ends.
    pub async fn pin(
        &self,
        plugin: &str,
        session_id: &str,
        version: &str,
        order: Order,
    ) -> Result<Done, OperationError> {
        let command = Command::Pin { session_id: session_id.to_owned(), version: version.to_owned() };
        self.ask(plugin.into(), command, order, Instant::now()).await
    }

    pub async fn unpin(&self, plugin: &str, session_id: &str, order: Order) -> Result<Done, OperationError> {
        let command = Command::Unpin { session_id: session_id.to_owned() };
        self.ask(plugin.into(), command, order, Instant::now()).await
    }

    /// The operator's switch, which survives a restart. The config's `enabled = false` is stronger.
    pub async fn set_enabled(&self, plugin: &str, enabled: bool, order: Order) -> Result<Done, OperationError> {
        let command = if enabled { Command::Enable } else { Command::Disable };
        self.ask(plugin.into(), command, order, Instant::now()).await
    }

    /// Unloads a plugin that has no file, and forgets its versions.
    pub async fn remove(&self, plugin: &str, order: Order) -> Result<Done, OperationError> {
        self.ask(plugin.into(), Command::Remove, order, Instant::now()).await
    }

    /// The versions that a plugin can have, the newest first.
    pub fn versions(&self, plugin: &str) -> Result<Vec<VersionSummary>, OperationError> {
        let versions = self.published.versions.load();
        versions.get(plugin).cloned().ok_or_else(|| OperationError::UnknownPlugin(plugin.to_owned()))
    }

    /// The component of a version, byte for byte as it was deployed.
    pub async fn component(&self, plugin: &str, version: &str) -> Result<Vec<u8>, OperationError> {
        let digest = lineage::find(plugin, &self.versions(plugin)?, version)?;
        let store = self.store.clone();
        match spawn_blocking(move || store.read(&digest)).await {
            Ok(component) => component.map_err(|fault| OperationError::NotNow(fault.to_string())),
            Err(crash) => Err(OperationError::NotNow(crash.to_string())),
        }
    }

    /// The newest events, the newest first.
    #[cfg(test)]
    pub fn audit(&self) -> Vec<AuditEvent> {
        self.published.audit.newest()
    }

    async fn ask(
        &self,
        plugin: Arc<str>,
        command: Command,
        order: Order,
        began: Instant,
    ) -> Result<Done, OperationError> {
        let (answer, answered) = oneshot::channel();
        let request = Request { plugin, command, order, began, answer };
        // The supervisor ends with the host alone, and lets go of whoever waits then.
        self.requests.send(request).await.map_err(|_| OperationError::Stopping)?;
        answered.await.unwrap_or(Err(OperationError::Stopping))
    }

    /// An attempt that did not get as far as the supervisor is one to be told of, too.
    fn refused(&self, operation: &'static str, plugin: &str, order: &Order, failure: LoadFailure) -> OperationError {
        let mut event = AuditEvent::new(operation, plugin, order);
        event.outcome = "unfit";
        event.problem = Some(failure.to_string());
        self.published.audit.record(event);
        failure.into()
    }
}
