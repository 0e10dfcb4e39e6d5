//! A host within this process, for a command that needs one: free ports, folders that vanish with it, and the
//! plugins that it is given.
//!
//! It is the host that `serve` starts, with the author's settings. What differs is laid over these as the
//! environment is, so that it stays when a settings file is saved: tokens are verified with a key of its
//! own, and messages may come as fast as a file can be read.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    auth::{
        keys::generated_key,
        signing::{TokenRequest, sign},
    },
    config::{Config, LogFormat, LoggingConfig, check, environment::variable, rate::MAX_RATE, raw::Sources},
    host::{Host, Service},
    plugin::PluginStatus,
    telemetry,
};

/// Longer than anybody talks to such a host.
const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a host is started with.
pub(crate) struct Setup<'a> {
    /// The author's settings; the defaults if the file is not there.
    pub config: Option<&'a Path>,
    /// Plugins by their names.
    pub plugins: &'a [(String, PathBuf)],
    /// Holds what an earlier host has compiled.
    pub compiled: Option<&'a Path>,
    /// Where clients connect; without it, on a free port.
    pub listen: Option<SocketAddr>,
}

pub(crate) struct LocalHost {
    host: Host,
    folder: TempDir,
}

impl LocalHost {
    /// Returns when every plugin serves, or is known not to.
    pub async fn start(setup: &Setup<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("switchboard-").tempdir().context("no folder for a host")?;
        let plugin_dir = plugin_dir(folder.path());
        fs::create_dir_all(&plugin_dir)?;
        for (name, component) in setup.plugins {
            let place = plugin_dir.join(format!("{name}.wasm"));
            fs::copy(component, place).with_context(|| format!("{} cannot be read", component.display()))?;
        }
        let data_dir = data_dir(folder.path());
        if let Some(compiled) = setup.compiled {
            take_over(compiled, &data_dir.join(CACHE))?;
        }
        let sources = sources(setup, &data_dir, &plugin_dir);
        let checked = check::load(&sources).context("the configuration is wrong")?;
        let host = Host::start(sources, checked, Service::Route).await?;
        Ok(Self { host, folder })
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.host.address())
    }

    pub fn config(&self) -> Arc<Config> {
        self.host.config()
    }

    pub fn status(&self, plugin: &str) -> Option<PluginStatus> {
        self.host.plugin_statuses().into_iter().find(|status| status.name == plugin)
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.host.plugin_changes()
    }

    /// Where components are put, by renaming.
    pub fn plugin_dir(&self) -> PathBuf {
        plugin_dir(self.folder.path())
    }

    /// What was compiled here.
    pub fn compiled(&self) -> PathBuf {
        data_dir(self.folder.path()).join(CACHE)
    }

    /// A token with these claims, or others of the same meaning: `sub`, `scope` and `tenant` have their own
    /// places in it.
    pub fn token(&self, subject: &str, mut claims: Map<String, Value>) -> anyhow::Result<String> {
        let mut text = |name: &str| claims.remove(name).and_then(|value| value.as_str().map(str::to_owned));
        let request = TokenRequest {
            subject: text("sub").unwrap_or_else(|| subject.to_owned()),
            scopes: text("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            tenant: text("tenant"),
            lifetime: TOKEN_LIFETIME,
            claims,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        Ok(sign(&generated_key(&data_dir(self.folder.path()))?, &request, now.as_secs())?)
    }

    /// The result of a tool, or why there is none.
    pub async fn call_tool(&self, session_id: &str, name: &str, arguments: String) -> Result<String, String> {
        match self.host.call_tool(session_id, name, arguments).await {
            Some(result) => result.map_err(|fault| fault.to_string()),
            None => Err("the session is gone".to_owned()),
        }
    }

    /// Ends at once: whoever is still connected has nothing to lose.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.host.abandon();
        self.host.leave().await
    }
}

/// Keeps what plugins write, and what the host writes about them, out of the terminal and in memory, from
/// where a command shows what its user wants to see.
pub(crate) fn keep_logs() -> anyhow::Result<()> {
    let logging = LoggingConfig { format: LogFormat::Text, filter: "off".to_owned() };
    telemetry::tracing::init(&logging).context("logging cannot be set up")
}

/// The folder of compiled plugins, in a data folder.
const CACHE: &str = "cache";

fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn plugin_dir(folder: &Path) -> PathBuf {
    folder.join("plugins")
}

fn sources(setup: &Setup<'_>, data_dir: &Path, plugin_dir: &Path) -> Sources {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut sources = Sources {
        file: setup.config.map(Path::to_owned),
        listen: setup.listen.or(Some(any_port)),
        admin_listen: Some(any_port),
        data_dir: Some(data_dir.to_owned()),
        plugin_dir: Some(plugin_dir.to_owned()),
        ..Sources::from_environment()
    };
    let off = MAX_RATE.to_string();
    let own = [
        ("auth.keys", "generated"),
        ("auth.algorithms", "HS256"),
        ("auth.issuers", ""),
        ("auth.audiences", ""),
        ("auth.tenant_claim", "tenant"),
        ("limits.connection_messages_per_second", off.as_str()),
        ("limits.connection_message_burst", off.as_str()),
        ("limits.user_messages_per_second", off.as_str()),
        ("limits.user_message_burst", off.as_str()),
        ("limits.message_type_rates", ""),
    ];
    sources.environment.extend(own.map(|(setting, value)| (variable(setting), value.to_owned())));
    sources
}

/// Copies what is there, so that it is not compiled again. What cannot be copied is.
fn take_over(compiled: &Path, cache: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(compiled) else { return Ok(()) };
    let mut private = fs::DirBuilder::new();
    private.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
    private.create(cache)?;
    for entry in entries.flatten() {
        let _ = fs::copy(entry.path(), cache.join(entry.file_name()));
    }
    Ok(())
}
