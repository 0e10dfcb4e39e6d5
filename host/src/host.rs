//! The composition root: builds every part in the order of what depends on what, and takes them down.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, sync::watch, time::MissedTickBehavior};

use crate::{
    admin::{self, RevocationDesk},
    admission::Admission,
    auth::{Authenticator, operator::Operators, revocation::Revocations},
    config::{Config, LiveConfig, check::Checked, raw::Sources, reload},
    dispatch::{Dispatcher, PRESENCE_WINDOW, Parts},
    plugin::{PluginStatus, Plugins, effects::ToolError},
    session::{Order, Sessions, detached::Detached},
    shutdown::Shutdown,
    storage::Store,
    telemetry::{self, Metrics, metrics::Outcome},
    tools::Toolbox,
    transport::{self, Edge, listener},
};

mod desk;

pub(crate) use crate::transport::Service;

/// Connections that are asked to leave at one time, and the pause before the next: fifty thousand in a
/// second and a half.
const LEAVING_AT_ONCE: usize = 500;
const BETWEEN_BATCHES: Duration = Duration::from_millis(15);

/// How often topics that nobody uses any more are looked for.
const REAP_INTERVAL: Duration = Duration::from_secs(60);

/// A host that serves.
pub(crate) struct Host {
    config: LiveConfig,
    plugins: Arc<Plugins>,
    sessions: Arc<Sessions>,
    dispatcher: Arc<Dispatcher>,
    store: Arc<Store>,
    shutdown: Shutdown,
    address: SocketAddr,
    admin_address: SocketAddr,
}

impl Host {
    /// Returns when every plugin was brought to traffic or failed, and both listeners accept.
    pub async fn start(sources: Sources, checked: Checked, service: Service) -> anyhow::Result<Self> {
        let digest = checked.digest;
        let config = LiveConfig::from_checked(checked);
        let now = config.load();
        prepare_data_dir(&now.server.data_dir)?;
        let metrics = Metrics::new();
        // First of all what can only fail for one reason, before minutes of other work.
        let revocations = Revocations::open(&now.server.data_dir, metrics.clone())?;
        let operators = Operators::open(&now.server.data_dir)?;
        let store = Arc::new(Store::open(&now.server.data_dir)?);
        let listener = bind(now.server.listen, "--listen").await?;
        let admin_listener = bind(now.server.admin_listen, "--admin-listen").await?;
        let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);
        if !admin_address.ip().is_loopback() {
            tracing::warn!(%admin_address, "operators are listened to beyond this machine, and without TLS: their tokens can be read on the way");
        }

        let shutdown = Shutdown::default();
        let Shutdown { tasks, stop, .. } = &shutdown;
        let auth = Authenticator::start(config.clone(), metrics.clone(), revocations.clone(), tasks, stop.clone())
            .context("the keys that verify tokens cannot be used")?;
        let admission = Admission::new(config.clone(), metrics.clone());
        let plugins = Plugins::start(config.clone(), metrics.clone(), tasks, stop.clone()).await?;
        let sessions = Arc::new(Sessions::new(Arc::new(Detached::new(now.sessions.max_detached_bytes))));
        let dispatcher = Dispatcher::new(Parts {
            config: config.clone(),
            metrics: metrics.clone(),
            auth: auth.clone(),
            plugins: plugins.clone(),
            sessions: sessions.clone(),
            toolbox: Toolbox::new(config.clone(), metrics.clone(), tasks.clone()),
            connections: shutdown.connections.clone(),
            tasks: tasks.clone(),
        });
        watch_config(sources, digest, &config, &metrics, &shutdown);
        reap_now_and_then(dispatcher.clone(), &config, &shutdown);
        restore(&dispatcher, &store).await?;
        let (detached, end) = (dispatcher.clone(), stop.clone());
        tasks.spawn(async move { detached.look_after_detached(end).await });

        let (teller, end) = (dispatcher.clone(), stop.clone());
        tasks.spawn(async move { teller.tell_changes(end).await });

        let revoker = dispatcher.clone();
        let edge = Arc::new(Edge {
            service,
            config: config.clone(),
            metrics: metrics.clone(),
            auth,
            admission,
            plugins: plugins.clone(),
            dispatcher: dispatcher.clone(),
            shutdown: shutdown.clone(),
            mcp: transport::mcp::Mcp::default(),
        });
        tasks.spawn(transport::mcp::look_after_sessions(edge.clone()));
        let (readiness, listed) = (edge.clone(), sessions.clone());
        let admin = admin::router(admin::Parts {
            config: config.clone(),
            metrics: metrics.clone(),
            desk: Arc::new(desk::Desk { plugins: plugins.clone(), sessions: sessions.clone() }),
            readiness: Arc::new(move || readiness.readiness()),
            sessions: Arc::new(move |user| desk::sessions(&listed, user)),
            operators,
            recent: telemetry::tracing::recent(),
            tasks: tasks.clone(),
            draining: shutdown.draining.clone(),
            revocations: RevocationDesk {
                revocations,
                end_sessions: Arc::new(move || revoker.end_revoked()),
                tasks: tasks.clone(),
            },
        });
        let clients = transport::http::router(edge);
        let (to_clients, to_operators) = (listener::CLIENT_LIMIT, listener::OPERATOR_LIMIT);
        tasks.spawn(listener::accept(listener, clients, to_clients, metrics.clone(), shutdown.clone()));
        tasks.spawn(listener::accept(admin_listener, admin, to_operators, metrics, shutdown.clone()));
        tracing::info!(%address, %admin_address, "listening");
        Ok(Self { config, plugins, sessions, dispatcher, store, shutdown, address, admin_address })
    }

    /// Says goodbye to every client, and returns when all work has ended or its time is over, and sessions
    /// are saved.
    pub async fn leave(&self) -> anyhow::Result<()> {
        let limit = self.config.load().server.drain_timeout;
        let finished = self.shutdown.drain(limit, self.ask_to_leave(), || self.abandon()).await;
        let (dispatcher, store, plugins) = (self.dispatcher.clone(), self.store.clone(), self.plugins.clone());
        let saving = tokio::task::spawn_blocking(move || (plugins.close_state(), dispatcher.save(&store)));
        let (state, sessions) = saving.await?;
        // Each is saved whatever becomes of the other.
        let sessions =
            sessions.with_context(|| format!("{} sessions are lost: they could not be saved", self.sessions.len()))?;
        state.context("the last changes of what plugins remember are lost: they could not be written")?;
        tracing::info!(finished, sessions, "left; sessions wait for the next start");
        Ok(())
    }

    /// Gives up what is under way, so that leaving takes no longer.
    pub fn abandon(&self) {
        for session in self.sessions.all() {
            session.handlers.abandon();
            if let Some(connection) = session.connection() {
                connection.order(Order::Abandon);
            }
        }
    }

    /// Sessions that are lost if the process ends now.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// In batches, so that the goodbyes of many clients do not keep those waiting whose handlers finish.
    async fn ask_to_leave(&self) {
        for batch in self.sessions.all().chunks(LEAVING_AT_ONCE) {
            // Also of those whose clients are away: they get it when they come back.
            batch.iter().for_each(|session| self.dispatcher.finish_requests(session));
            for connection in batch.iter().filter_map(|session| session.connection()) {
                connection.order(Order::Leave);
            }
            tokio::time::sleep(BETWEEN_BATCHES).await;
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    pub fn config(&self) -> Arc<Config> {
        self.config.load()
    }

    /// Calls a tool on behalf of a session. `None` if there is no such session.
    pub async fn call_tool(
        &self,
        session_id: &str,
        name: &str,
        arguments: String,
    ) -> Option<Result<String, ToolError>> {
        self.dispatcher.call_tool(session_id, name, arguments).await
    }

    /// Rises whenever something is different in [`Self::plugin_statuses`].
    pub fn plugin_changes(&self) -> watch::Receiver<u64> {
        self.plugins.changes()
    }

    pub fn plugin_statuses(&self) -> Vec<PluginStatus> {
        self.plugins.statuses()
    }
}

/// Takes what the last process left, as late as possible: whatever fails after this loses it.
async fn restore(dispatcher: &Arc<Dispatcher>, store: &Arc<Store>) -> anyhow::Result<()> {
    let (dispatcher, store) = (dispatcher.clone(), store.clone());
    let restored = tokio::task::spawn_blocking(move || {
        if let Some(tables) = store.take()? {
            dispatcher.restore(tables);
        }
        Ok::<_, anyhow::Error>(())
    });
    restored.await?
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another address with {flag}, or end what uses it"))
}

/// Keys live here: the folder is made private when it is made, and has to be writable.
fn prepare_data_dir(folder: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let help = || format!("the data folder {} cannot be used: choose another with --data-dir", folder.display());
    builder.create(folder).with_context(help)?;
    tempfile::tempfile_in(folder).with_context(help)?;
    Ok(())
}

/// Applies the settings file as it is saved.
fn watch_config(
    sources: Sources,
    digest: Option<crate::config::check::FileDigest>,
    config: &LiveConfig,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) {
    let (metrics, live) = (metrics.clone(), config.clone());
    let report = move |reloaded: reload::Reloaded| {
        metrics.config_reloads.get_or_create(&Outcome { outcome: reloaded.as_str() }).inc();
        if let Err(error) = telemetry::tracing::apply(&live.load().logging) {
            tracing::warn!(%error, "the logging settings are not applied");
        }
    };
    reload::watch(sources, digest, config.clone(), report, &shutdown.tasks, shutdown.stop.clone());
}

/// What topics need done beside what callers do: at intervals, and when their rules may have changed.
fn reap_now_and_then(dispatcher: Arc<Dispatcher>, config: &LiveConfig, shutdown: &Shutdown) {
    let (stop, mut changes) = (shutdown.stop.clone(), config.subscribe());
    shutdown.tasks.spawn(async move {
        let mut interval = tokio::time::interval(REAP_INTERVAL);
        let mut presence = tokio::time::interval(PRESENCE_WINDOW);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        presence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = interval.tick() => dispatcher.reap(),
                Ok(()) = changes.changed() => dispatcher.reap(),
                _ = presence.tick() => dispatcher.tell_presence(),
            }
        }
    });
}
