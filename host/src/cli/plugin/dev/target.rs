//! Where the component goes: to a running host through its admin listener, into a folder that one watches, or
//! to a host that is started here.
//!
//! A host elsewhere is only ever changed when it was named: what an author saves must not end up in a router
//! that happens to run on this machine.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::time::timeout;

use super::{DevArgs, Failed, log::Log};
use crate::{
    cli::{
        admin_client::{AdminClient, URL_VARIABLE},
        local_host::{LocalHost, Setup, keep_logs},
        plugin::{
            build::{Built, put_in_place},
            check::misfit_as_text,
            deploy,
            test::{settings_of, stem},
        },
    },
    config::{Config, check, raw::Sources},
    plugin::{CheckedPlugin, status::State},
    telemetry,
};

/// For a component that was checked to serve: it is compiled already, and nobody is before it.
const SWAP_PATIENCE: Duration = Duration::from_secs(60);

/// For a user of the host that is started here.
const USER: &str = "alice";

pub(super) enum Target {
    Admin { client: AdminClient, config: Option<PathBuf> },
    Folder { path: PathBuf, config: Option<PathBuf> },
    Here(Box<LocalHost>),
}

impl Target {
    pub async fn find(args: &DevArgs) -> anyhow::Result<Self> {
        let config = args.admin.config.clone().or_else(|| settings_of(&args.dir));
        if let Some(path) = &args.plugin_dir {
            if !path.is_dir() {
                bail!("{} is no folder: name the `server.plugin_dir` of a host", path.display());
            }
            return Ok(Self::Folder { path: path.clone(), config });
        }
        if args.admin.admin.is_some() || std::env::var_os(URL_VARIABLE).is_some_and(|url| !url.is_empty()) {
            return Ok(Self::Admin { client: AdminClient::new(&args.admin)?, config });
        }
        keep_logs()?;
        let plugins = args.beside.iter().map(|file| Ok((stem(file)?, file.clone())));
        let plugins = plugins.collect::<anyhow::Result<Vec<_>>>()?;
        let setup = Setup { config: config.as_deref(), plugins: &plugins, compiled: None, listen: args.listen };
        Ok(Self::Here(Box::new(LocalHost::start(&setup).await?)))
    }

    /// What is said before the first round.
    pub fn greeting(&self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Admin { .. } => "each saved change is deployed to the host; Ctrl-C ends".to_owned(),
            Self::Folder { path, .. } => {
                format!("each saved change is put into {}; Ctrl-C ends", path.display())
            }
            Self::Here(host) => {
                let token = host.token(USER, serde_json::Map::new())?;
                format!(
                    "a host of its own listens at {url}; Ctrl-C ends it. To talk to it, in another terminal:\n\n  \
                     export SWITCHBOARD_URL={url} SWITCHBOARD_TOKEN={token}\n  switchboard connect\n",
                    url = host.url()
                )
            }
        })
    }

    /// What can be typed there.
    pub fn suggestion(&self, checked: &CheckedPlugin) -> String {
        let types = checked.types.iter().map(|name| format!("  {name} {{}}\n"));
        match (self, checked.types.is_empty()) {
            (Self::Here(_), false) => {
                format!("it handles, as typed into `switchboard connect`:\n{}", types.collect::<String>())
            }
            _ => String::new(),
        }
    }

    /// With which a component is checked before it goes there.
    pub fn config(&self) -> anyhow::Result<Arc<Config>> {
        match self {
            Self::Here(host) => Ok(host.config()),
            Self::Admin { config, .. } | Self::Folder { config, .. } => {
                let sources = Sources { file: config.clone(), ..Sources::from_environment() };
                Ok(Arc::new(check::load(&sources).context("the configuration is wrong")?.config))
            }
        }
    }

    /// Returns when it serves, as far as that can be known.
    pub async fn deploy(&self, built: &Built, checked: &CheckedPlugin) -> Result<(), Failed> {
        let bytes = std::fs::read(&built.path).map_err(|fault| Failed::Other(fault.into()))?;
        let file = format!("{}.wasm", checked.plugin);
        match self {
            Self::Admin { client, .. } => {
                // All users at once: there is one, and they want to see what they have written.
                let query = [("canary", "0".to_owned()), ("why", "plugin dev".to_owned())];
                deploy::put(client, &checked.plugin, bytes, &query).await.map(drop).map_err(Failed::Other)
            }
            Self::Folder { path, .. } => put_in_place(&bytes, &path.join(file)).map_err(Failed::Other),
            Self::Here(host) => {
                let before = host.status(&checked.plugin).and_then(|status| status.last_error);
                let mut changes = host.changes();
                put_in_place(&bytes, &host.plugin_dir().join(file)).map_err(Failed::Other)?;
                let served = async {
                    loop {
                        let Some(status) = host.status(&checked.plugin) else {
                            changes.changed().await.map_err(|fault| Failed::Other(fault.into()))?;
                            continue;
                        };
                        match &status.last_error {
                            Some(misfit) if status.last_error != before => {
                                return Err(Failed::Unfit(misfit_as_text(&built.place(), misfit)));
                            }
                            None if status.state == State::Disabled => {
                                return Err(Failed::Other(switched_off(&checked.plugin)));
                            }
                            None if status.digest.as_deref() == Some(checked.digest.as_str()) => return Ok(()),
                            _ => {}
                        }
                        changes.changed().await.map_err(|fault| Failed::Other(fault.into()))?;
                    }
                };
                timeout(SWAP_PATIENCE, served)
                    .await
                    .unwrap_or_else(|_| Err(Failed::Other(still_not(host, &checked.plugin))))
            }
        }
    }

    /// The log of the plugin, from here on.
    pub async fn log(&self, plugin: &str) -> Log {
        match self {
            Self::Here(_) => Log::Here(telemetry::tracing::recent().follow(plugin).next),
            Self::Folder { .. } => Log::Silent,
            Self::Admin { client, .. } => {
                let query = [("follow", "true".to_owned()), ("lines", "0".to_owned())];
                let answer = async { client.send(client.get_with(&["plugins", plugin, "logs"], &query)?).await };
                match answer.await {
                    Ok(answer) => Log::there(answer),
                    Err(fault) => {
                        eprintln!("the log of {plugin} is not shown: {fault:#}");
                        Log::Silent
                    }
                }
            }
        }
    }

    pub async fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Here(host) => host.stop().await,
            Self::Admin { .. } | Self::Folder { .. } => Ok(()),
        }
    }
}

fn switched_off(plugin: &str) -> anyhow::Error {
    anyhow::anyhow!("{plugin} is switched off in the settings: set `enabled = true` in [plugins.{plugin}]")
}

/// The same failure as before looks as if nothing had happened.
fn still_not(host: &LocalHost, plugin: &str) -> anyhow::Error {
    match host.status(plugin).and_then(|status| status.last_error) {
        Some(misfit) => anyhow::anyhow!("{}", misfit_as_text(plugin, &misfit)),
        None => anyhow::anyhow!("the host did not take it in within {} s", SWAP_PATIENCE.as_secs()),
    }
}
