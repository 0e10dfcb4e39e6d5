//! The running configuration as an immutable snapshot.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::Config;

/// Shares the configuration and tells who listens that it changed.
#[derive(Clone)]
pub(crate) struct LiveConfig {
    current: Arc<ArcSwap<Config>>,
    generation: Arc<watch::Sender<u64>>,
}

impl LiveConfig {
    pub fn new(config: Config) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(config)), generation: Arc::new(watch::Sender::new(0)) }
    }

    pub fn load(&self) -> Arc<Config> {
        self.current.load_full()
    }

    pub fn publish(&self, config: Config) {
        self.current.store(Arc::new(config));
        self.generation.send_modify(|generation| *generation += 1);
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }
}

#[cfg(test)]
impl Config {
    pub fn for_tests(data_dir: &std::path::Path) -> Self {
        use std::{net::SocketAddr, time::Duration};

        use super::*;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            server: ServerConfig {
                listen: any,
                admin_listen: any,
                data_dir: data_dir.to_owned(),
                plugin_dir: data_dir.join("plugins"),
                drain_timeout: Duration::from_secs(5),
                reconnect_window: Duration::from_secs(1),
            },
            auth: AuthConfig {
                keys: vec![KeySource::Generated],
                algorithms: vec![jsonwebtoken::Algorithm::HS256],
                issuers: vec![],
                audiences: vec![],
                leeway: Duration::from_secs(5),
                tenant_claim: "tenant".to_owned(),
                plugin_claims: vec![],
                token_in_query: false,
                ticket_lifetime: Duration::from_secs(30),
                expiry_notice: Duration::from_secs(60),
                expiry_grace: Duration::from_secs(10),
                key_refresh: Duration::from_secs(300),
            },
            origins: OriginConfig { allow: vec![], allow_missing: true },
            limits: LimitConfig {
                max_connections: 1000,
                max_connections_per_user: 10,
                on_user_limit: OnUserLimit::EvictOldest,
                handshakes_per_second: 50,
                handshake_burst: 100,
                max_message_bytes: 65536,
                max_frame_bytes: 262_144,
                max_json_depth: 32,
                max_in_flight: 16,
                max_outbound_bytes: 262_144,
                max_subscriptions: 100,
                topic_history: 100,
                max_plugin_calls: 256,
            },
            heartbeat: HeartbeatConfig { interval: Duration::from_secs(25), grace: Duration::from_secs(60) },
            logging: LoggingConfig { format: LogFormat::Text, filter: "info".to_owned() },
            plugin_defaults: PluginConfig {
                enabled: true,
                required: false,
                limits: PluginLimits {
                    max_memory_bytes: 0,
                    max_table_elements: 0,
                    deadline: Duration::ZERO,
                    cpu_time: Duration::ZERO,
                    max_concurrent_calls: 0,
                    max_wait: Duration::ZERO,
                    max_emissions: 0,
                    max_emitted_bytes: 0,
                    max_log_lines: 0,
                    max_hostcall_bytes: 0,
                    max_state_bytes: 0,
                    max_call_depth: 0,
                },
                grants: Grants { interfaces: vec![], tools: vec![], send_to_others: false, topics: vec![] },
                settings: Default::default(),
            },
            plugins: BTreeMap::new(),
            type_owners: BTreeMap::new(),
        }
    }
}
