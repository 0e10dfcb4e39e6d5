//! Stand-in: one built-in "plugin" that echoes what it is sent.
use std::{sync::Arc, time::Duration};

use switchboard_protocol::MessageType;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{effects::CallContext, failure::CallFailure};
use crate::{config::LiveConfig, telemetry::Metrics};

#[derive(Debug, thiserror::Error)]
#[error("set-up")]
pub(crate) struct PluginSetupError;

pub(crate) struct Plugins {
    registry: Arc<Registry>,
    changes: watch::Sender<u64>,
}

impl Plugins {
    pub async fn start(
        _config: LiveConfig,
        _metrics: Arc<Metrics>,
        _tasks: &TaskTracker,
        _stop: CancellationToken,
    ) -> Result<Arc<Self>, PluginSetupError> {
        let version = Arc::new(PluginVersion {
            name: "echo".into(),
            version: "0.0.0".into(),
            digest: String::new(),
            manifest: Manifest { lifecycle: Lifecycle::default(), handles: vec![] },
        });
        let handled = |ordering| {
            Arc::new(Handled {
                pattern: Pattern("echo".into()),
                schema: None,
                ordering,
                emits: vec![],
                description: None,
            })
        };
        let registry =
            Registry { version, serial: handled(Ordering::Serial), concurrent: handled(Ordering::Concurrent) };
        Ok(Arc::new(Self { registry: Arc::new(registry), changes: watch::channel(0).0 }))
    }
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.clone()
    }
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
    pub fn readiness(&self) -> Result<(), String> {
        Ok(())
    }
    pub fn forget_session(&self, _session_id: &str) {}
    pub fn statuses(&self) -> Vec<PluginStatus> {
        vec![]
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Serving,
    Failed,
}

#[derive(serde::Serialize)]
pub(crate) struct LoadFailure {
    pub reason: String,
}

#[derive(serde::Serialize)]
pub(crate) struct PluginStatus {
    pub name: String,
    pub state: State,
    pub version: Option<String>,
    pub types: Vec<String>,
    pub last_error: Option<LoadFailure>,
}

pub(crate) struct Registry {
    version: Arc<PluginVersion>,
    serial: Arc<Handled>,
    concurrent: Arc<Handled>,
}

pub(crate) enum Route {
    Handler(Handler),
    Disabled { plugin: Arc<str> },
    Unavailable { plugin: Arc<str>, reason: Arc<str>, retry_after: Duration },
    Unknown { nearest: Vec<String> },
}

pub(crate) struct Handler {
    pub version: Arc<PluginVersion>,
    pub handled: Arc<Handled>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ordering {
    Serial,
    Concurrent,
}

#[derive(Debug)]
pub(crate) struct Handled {
    pub pattern: Pattern,
    pub schema: Option<Schema>,
    pub ordering: Ordering,
    pub emits: Vec<MessageType>,
    pub description: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Pattern(String);

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug)]
pub(crate) struct Schema(serde_json::Value);

impl Schema {
    pub fn document(&self) -> &serde_json::Value {
        &self.0
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub(crate) struct SchemaFault {
    pub path: String,
    pub problem: String,
}

impl Handled {
    pub fn check_payload(&self, _payload: &str) -> Result<(), SchemaFault> {
        Ok(())
    }
}

impl Registry {
    pub fn route(&self, message_type: &MessageType) -> Route {
        let handled = match message_type.as_str() {
            "echo" => &self.serial,
            "slow" | "jsonrpc" | "fail" => &self.concurrent,
            _ => return Route::Unknown { nearest: vec!["echo".into()] },
        };
        Route::Handler(Handler { version: self.version.clone(), handled: handled.clone() })
    }
    pub fn handlers(&self) -> Vec<&Handler> {
        vec![]
    }
    pub fn versions(&self) -> impl Iterator<Item = &Arc<PluginVersion>> {
        std::iter::once(&self.version)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    pub connect: bool,
    pub disconnect: bool,
    pub topics: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Manifest {
    pub lifecycle: Lifecycle,
    pub handles: Vec<Arc<Handled>>,
}

#[derive(Debug)]
pub(crate) struct PluginVersion {
    pub name: Arc<str>,
    pub version: Arc<str>,
    pub digest: String,
    pub manifest: Manifest,
}

#[derive(Debug, Clone)]
pub(crate) struct GuestMessage {
    pub message_type: MessageType,
    pub payload: String,
    pub id: Option<String>,
    pub correlation_id: Option<String>,
    pub timestamp: f64,
}

impl PluginVersion {
    pub async fn handle(
        self: &Arc<Self>,
        _context: CallContext,
        message: GuestMessage,
    ) -> Result<Option<GuestMessage>, CallFailure> {
        match message.message_type.as_str() {
            "slow" => tokio::time::sleep(Duration::from_secs(1)).await,
            "fail" => return Err(CallFailure::TimedOut { limit: Duration::from_secs(1) }),
            _ => {}
        }
        Ok(Some(message))
    }
    pub async fn on_connect(self: &Arc<Self>, _context: CallContext) -> Result<(), CallFailure> {
        Ok(())
    }
    pub async fn on_disconnect(self: &Arc<Self>, _context: CallContext, _reason: &str) -> Result<(), CallFailure> {
        Ok(())
    }
    pub async fn on_event(
        self: &Arc<Self>,
        _context: CallContext,
        _topic: &str,
        _message: GuestMessage,
    ) -> Result<(), CallFailure> {
        Ok(())
    }
}
