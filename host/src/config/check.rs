//! Stand-in.
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{raw::Sources, *};

#[derive(Debug)]
pub(crate) struct Checked {
    pub config: Config,
    pub warnings: Vec<String>,
    pub digest: Option<FileDigest>,
}

pub(crate) type FileDigest = [u8; 32];

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Faults(String);

pub(crate) fn load(sources: &Sources) -> Result<Checked, Faults> {
    let data_dir = sources.data_dir.clone().unwrap_or_else(|| "data".into());
    let mut config = defaults(data_dir);
    if let Some(listen) = sources.listen {
        config.server.listen = listen;
    }
    if let Some(listen) = sources.admin_listen {
        config.server.admin_listen = listen;
    }
    Ok(Checked { config, warnings: vec![], digest: None })
}

fn defaults(data_dir: PathBuf) -> Config {
    Config {
        server: ServerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            plugin_dir: data_dir.join("plugins"),
            data_dir,
            drain_timeout: Duration::from_secs(10),
            reconnect_window: Duration::from_secs(5),
        },
        auth: AuthConfig {
            keys: vec![KeySource::Generated],
            algorithms: vec![jsonwebtoken::Algorithm::HS256],
            issuers: vec![],
            audiences: vec![],
            leeway: Duration::from_secs(30),
            tenant_claim: "tenant".into(),
            plugin_claims: vec![],
            token_in_query: false,
            ticket_lifetime: Duration::from_secs(30),
            expiry_notice: Duration::from_secs(60),
            expiry_grace: Duration::from_secs(30),
            key_refresh: Duration::from_secs(300),
        },
        origins: OriginConfig { allow: vec![OriginPattern::parse("http://localhost:*").unwrap()], allow_missing: true },
        limits: LimitConfig {
            max_connections: 10_000,
            max_connections_per_user: 5,
            on_user_limit: OnUserLimit::EvictOldest,
            handshakes_per_second: 50,
            handshake_burst: 100,
            max_message_bytes: 64 << 10,
            max_frame_bytes: 1 << 20,
            max_json_depth: 64,
            max_in_flight: 64,
            max_outbound_bytes: 1 << 20,
            max_subscriptions: 100,
            topic_history: 100,
            max_plugin_calls: 1000,
        },
        heartbeat: HeartbeatConfig { interval: Duration::from_secs(25), grace: Duration::from_secs(60) },
        logging: LoggingConfig { format: LogFormat::Text, filter: "info".into() },
        plugin_defaults: PluginConfig {
            enabled: true,
            required: false,
            limits: PluginLimits {
                max_memory_bytes: 64 << 20,
                max_table_elements: 10_000,
                deadline: Duration::from_secs(5),
                cpu_time: Duration::from_secs(1),
                max_concurrent_calls: 100,
                max_wait: Duration::from_millis(500),
                max_emissions: 1000,
                max_emitted_bytes: 1 << 20,
                max_log_lines: 100,
                max_hostcall_bytes: 1 << 20,
                max_state_bytes: 1 << 20,
                max_call_depth: 4,
            },
            grants: Grants { interfaces: vec![], tools: vec![], send_to_others: false, topics: vec![] },
            settings: Arc::new(serde_json::Map::new()),
        },
        plugins: BTreeMap::new(),
        type_owners: BTreeMap::new(),
    }
}

#[cfg(test)]
impl Config {
    pub fn for_tests(data_dir: &std::path::Path) -> Self {
        defaults(data_dir.to_owned())
    }
}
