//! What running code may rely on: settings that were read, checked and completed with defaults.
//!
//! The types here are the proof that a check took place: they are only made by `check`, from the raw
//! file, and hold nothing that is out of bounds. A running host shares them through [`LiveConfig`],
//! which hands out immutable snapshots; work in flight keeps the one that it started with.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use switchboard_protocol::MessageType;

pub(crate) mod check;
pub(crate) mod convert;
pub(crate) mod document;
pub(crate) mod effective;
pub(crate) mod environment;
pub(crate) mod fault;
pub(crate) mod host_pattern;
pub(crate) mod item_rule;
pub(crate) mod live;
pub(crate) mod mcp;
pub(crate) mod network;
pub(crate) mod origin_pattern;
pub(crate) mod place;
pub(crate) mod rate;
pub(crate) mod raw;
pub(crate) mod reader;
pub(crate) mod reload;
pub(crate) mod secret;
pub(crate) mod setting;
pub(crate) mod settings;
pub(crate) mod topic_rule;
pub(crate) mod units;

pub(crate) use host_pattern::HostPattern;
pub(crate) use live::LiveConfig;
pub(crate) use network::Network;
pub(crate) use origin_pattern::OriginPattern;
pub(crate) use rate::Rate;
pub(crate) use secret::{Secret, SecretFault, SecretSource};

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub server: ServerConfig,
    pub auth: AuthConfig,
    pub origins: OriginConfig,
    pub limits: LimitConfig,
    pub sessions: SessionConfig,
    pub topics: TopicConfig,
    pub tools: ToolConfig,
    pub resources: ResourceConfig,
    pub prompts: PromptConfig,
    pub state: StateConfig,
    pub heartbeat: HeartbeatConfig,
    pub mcp: McpConfig,
    pub logging: LoggingConfig,
    /// What a plugin is given that has no section of its own, or leaves something out there.
    pub plugin_defaults: PluginConfig,
    /// By name: the stem of the file in the plugin directory.
    pub plugins: BTreeMap<String, PluginConfig>,
    /// Message types that two plugins claim, and which of them has it.
    pub type_owners: BTreeMap<String, String>,
}

impl Config {
    /// The section of a plugin, or the defaults.
    pub fn plugin(&self, name: &str) -> &PluginConfig {
        self.plugins.get(name).unwrap_or(&self.plugin_defaults)
    }

    /// The defaults, with everything of the machine replaced: free ports, and folders below `data_dir`.
    #[cfg(test)]
    pub fn for_tests(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let sources = raw::Sources {
            listen: Some(any_port),
            admin_listen: Some(any_port),
            plugin_dir: Some(data_dir.join("plugins")),
            data_dir: Some(data_dir),
            ..raw::Sources::default()
        };
        check::check(&sources, None).expect("the defaults have no faults").config
    }
}

/// Fixed for the life of the process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerConfig {
    /// For clients.
    pub listen: SocketAddr,
    /// For operators: metrics and health.
    pub admin_listen: SocketAddr,
    /// Keys, caches, state. Private to the process's user.
    pub data_dir: PathBuf,
    /// Where components are dropped.
    pub plugin_dir: PathBuf,
    /// How long handlers and queues may take to finish after SIGTERM.
    pub drain_timeout: Duration,
    /// Over how long clients are asked to spread their return.
    pub reconnect_window: Duration,
    /// Whether messages are compressed for those who offer it.
    pub compression: bool,
    /// Shorter ones are not.
    pub compression_min_bytes: usize,
    /// What `seals` are made with. Never empty.
    pub seal_keys: Vec<SealKey>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AuthConfig {
    /// Where verification keys come from. Never empty: without any, it is the key in the data folder.
    pub keys: Vec<KeySource>,
    /// Names as in RFC 7518, section 3.1, and RFC 8037: `HS256`, `RS256`, `PS256`, `ES256`, `EdDSA` ...
    pub algorithms: Vec<jsonwebtoken::Algorithm>,
    /// Any of these `iss`; empty: not checked.
    pub issuers: Vec<String>,
    /// Any of these `aud`; empty: not checked.
    pub audiences: Vec<String>,
    /// Tolerance for clocks that differ.
    pub leeway: Duration,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// Claims, beside `sub`, tenant and scopes, that plugins may see.
    pub plugin_claims: Vec<String>,
    /// Whether `?token=` is accepted. It ends in the access logs of proxies.
    pub token_in_query: bool,
    /// How long a ticket is good for.
    pub ticket_lifetime: Duration,
    /// How long before `exp` the client is told.
    pub expiry_notice: Duration,
    /// How long after `exp` the socket is closed.
    pub expiry_grace: Duration,
    /// How often key files and JWKS are looked at again.
    pub key_refresh: Duration,
}

/// A secret that plugins' sealed texts are encrypted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SealKey {
    /// The random key that `serve` makes in the data folder at its first start.
    Generated,
    /// One that several hosts can have.
    Secret(SecretSource),
}

/// Where verification keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// The random key that `serve` makes in the data folder at its first start (HS256).
    Generated,
    /// A PEM public key, a raw secret (for HS*), or a JWKS (RFC 7517), told apart by content.
    File(PathBuf),
    /// The same in an environment variable.
    Environment(String),
    /// A JWKS by URL.
    JwksUrl(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OriginConfig {
    /// `http://localhost:*`, `https://*.example.com`, `https://app.example.com` ...
    pub allow: Vec<OriginPattern>,
    /// Whether a request without an Origin header (not a browser) is let in.
    pub allow_missing: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LimitConfig {
    /// Connections in all.
    pub max_connections: usize,
    /// Connections of one user.
    pub max_connections_per_user: usize,
    /// What happens when a user has that many.
    pub on_user_limit: OnUserLimit,
    /// Handshakes from one address: a sustained rate per second ...
    pub handshakes_per_second: u32,
    /// ... and a burst.
    pub handshake_burst: u32,
    /// Messages on one connection: a sustained rate per second ...
    pub connection_messages_per_second: u32,
    /// ... and a burst.
    pub connection_message_burst: u32,
    /// Messages of one user, on all connections together.
    pub user_messages_per_second: u32,
    pub user_message_burst: u32,
    /// Messages of one type and one user, where the type has a rate of its own.
    pub message_type_rates: BTreeMap<MessageType, Rate>,
    /// A larger message gets an error; the connection goes on.
    pub max_message_bytes: usize,
    /// A larger frame closes the connection with 1009, before it is read whole.
    pub max_frame_bytes: usize,
    /// Levels of nested arrays and objects in a message.
    pub max_json_depth: u32,
    /// Messages of one session whose handlers have not finished; beyond it, they are not read.
    pub max_in_flight: usize,
    /// Bytes that wait to be written to one client; more, and it is closed as a slow consumer.
    pub max_outbound_bytes: usize,
    /// Subscriptions of one session.
    pub max_subscriptions: usize,
    /// Publications kept for each topic.
    pub topic_history: usize,
    /// Instances that wait for their next call, in all.
    pub max_kept_instances: usize,
    /// Their linear memory, and what they left behind.
    pub max_kept_instance_bytes: usize,
    /// Calls into plugins at one time, in all.
    pub max_plugin_calls: usize,
}

impl LimitConfig {
    /// Of messages on one connection.
    pub fn connection_rate(&self) -> Rate {
        Rate::per_second(self.connection_messages_per_second, self.connection_message_burst)
    }

    /// Of messages of one user.
    pub fn user_rate(&self) -> Rate {
        Rate::per_second(self.user_messages_per_second, self.user_message_burst)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TopicConfig {
    /// The first that fits decides.
    pub rules: Arc<topic_rule::TopicRules>,
    /// What holds where no rule fits.
    pub default: topic_rule::Effect,
    /// An older publication is not kept.
    pub history_ttl: Duration,
    /// Topics that exist because of one user.
    pub max_per_user: usize,
}

/// Who may call which tools, and how often.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ToolConfig {
    /// The first that fits decides.
    pub rules: Arc<item_rule::ItemRules>,
}

/// Who may read which resources, and how often.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResourceConfig {
    /// The first that fits decides.
    pub rules: Arc<item_rule::ItemRules>,
}

/// Who may get which prompts, and how often.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PromptConfig {
    /// The first that fits decides.
    pub rules: Arc<item_rule::ItemRules>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnUserLimit {
    /// The oldest connection gives way.
    EvictOldest,
    /// The new one is refused.
    Refuse,
}

/// What outlives a socket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionConfig {
    /// How long a session outlives its socket, and how old a kept frame may be.
    pub resume_window: Duration,
    /// Frames of one session that are kept, and that may be written without a receipt.
    pub max_unconfirmed_frames: usize,
    /// Their bytes.
    pub max_unconfirmed_bytes: usize,
    /// Memory of all detached sessions.
    pub max_detached_bytes: usize,
    /// Detached sessions of one user.
    pub max_detached_per_user: usize,
    /// How long a handled message is remembered by its id.
    pub idempotency_window: Duration,
    /// Handled messages of one user that are remembered.
    pub idempotency_ids_per_user: usize,
    /// Memory of all that are remembered, with their answers.
    pub idempotency_bytes: usize,
}

/// What plugins remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateConfig {
    /// How long a change may be in memory alone.
    pub flush_interval: Duration,
    /// Bytes of all users and plugins, on disk.
    pub max_bytes: usize,
    /// Bytes of these that are in memory.
    pub cache_bytes: usize,
    /// Bytes of all sessions, in memory.
    pub max_connection_bytes: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeartbeatConfig {
    /// An idle socket hears something this often.
    pub interval: Duration,
    /// Silence for this long closes it. Longer than the interval.
    pub grace: Duration,
}

/// The Model Context Protocol over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct McpConfig {
    /// The endpoint's address as clients know it; `None`: whatever they asked.
    pub resource: Option<mcp::ResourceAddress>,
    /// Where clients get tokens; empty: the issuers that are addresses.
    pub authorization_servers: Vec<String>,
    /// What clients are told to ask for.
    pub scopes_supported: Vec<String>,
    /// Names of this server beside its own.
    pub allowed_hosts: Vec<mcp::HostName>,
    /// How long a session is kept that nobody uses.
    pub session_idle: Duration,
    /// Sessions of one user.
    pub max_sessions_per_user: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoggingConfig {
    pub format: LogFormat,
    /// In the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PluginConfig {
    pub enabled: bool,
    /// Whether the host is unready without it.
    pub required: bool,
    /// That can be rolled back to, the ones in use among them.
    pub kept_versions: usize,
    /// What the operator decides; `None`: what the plugin asks for.
    pub isolation: Option<Isolation>,
    pub limits: PluginLimits,
    pub instances: InstanceConfig,
    pub health: HealthConfig,
    pub canary: CanaryConfig,
    pub grants: Grants,
    /// Credentials for its outbound requests, by the operator's names for them.
    pub secrets: BTreeMap<String, Secret>,
    /// A JSON object, checked against the plugin's own schema when it loads.
    pub settings: Arc<serde_json::Map<String, serde_json::Value>>,
}

/// How long an instance of a plugin lives, and who meets whom in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Isolation {
    /// A fresh one for every call.
    Message,
    /// One for each session, its calls one after the other.
    Session,
    /// Any call in any instance that is free.
    Shared,
}

impl Isolation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Session => "session",
            Self::Shared => "shared",
        }
    }
}

/// How long instances live that outlive a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceConfig {
    /// Kept ready before they are needed.
    pub warm: usize,
    /// Calls after which one is replaced.
    pub max_calls: u32,
    /// Age after which one is replaced.
    pub max_age: Duration,
    /// How long that of a session waits for the next call.
    pub max_idle: Duration,
    pub handover: HandoverRule,
    /// Linear memory beyond which one is replaced.
    pub recycle_memory_bytes: usize,
}

/// What a new version has to be able to take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandoverRule {
    /// What the serving version exports; otherwise it does not serve.
    Required,
    /// Nothing: sessions start anew if they have to.
    BestEffort,
}

/// When a version, or a message, is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthConfig {
    /// Failures in a row that open the circuit, as `plugin/health/circuit.rs` counts them; 0: never.
    pub failures_to_open: u32,
    /// How long it stays open at first ...
    pub backoff_min: Duration,
    /// ... and at most.
    pub backoff_max: Duration,
    /// A version whose circuit opens so soon after it took over is rolled back; zero: never.
    pub rollback_window: Duration,
    /// Crashes over the same message that make it poison; 0: never.
    pub poison_crashes: u32,
    /// For how long.
    pub poison_time: Duration,
}

/// How a new version is tried on some users first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CanaryConfig {
    /// Share of users if nobody says otherwise; 0: all at once.
    pub percent: u32,
    /// Calls before it is judged.
    pub min_calls: u32,
    /// The stretch of time whose calls are compared.
    pub window: Duration,
    /// Percentage points.
    pub error_margin: u32,
    /// Per cent.
    pub latency_margin: u32,
    /// When it is promoted by itself; zero: never.
    pub promote_after: Duration,
}

/// Bounds on one call, each enforced by the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginLimits {
    /// Linear memory of an instance.
    pub max_memory_bytes: usize,
    /// Elements of an instance's tables.
    pub max_table_elements: usize,
    /// Wall clock for one whole call.
    pub deadline: Duration,
    /// Time spent in Wasm code during one call.
    pub cpu_time: Duration,
    /// Calls at one time.
    pub max_concurrent_calls: usize,
    /// How long a call may wait for its turn before `PLUGIN_BUSY`.
    pub max_wait: Duration,
    /// Messages sent and publications made in one call.
    pub max_emissions: u32,
    /// Their bytes.
    pub max_emitted_bytes: usize,
    /// Log lines in one call; more are counted and dropped.
    pub max_log_lines: u32,
    /// Bytes that one host call may move out of the guest.
    pub max_hostcall_bytes: usize,
    /// Bytes of state per scope and owner.
    pub max_state_bytes: usize,
    /// Calls within calls through the toolbox.
    pub max_call_depth: u32,
    /// Requests to other servers in one call.
    pub max_outbound_requests: u32,
    /// Requests to other servers at one time.
    pub max_concurrent_outbound_requests: usize,
    /// Bytes of the body of one.
    pub max_outbound_request_bytes: usize,
    /// Bytes of its answer.
    pub max_outbound_response_bytes: usize,
}

/// What a plugin may import and reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grants {
    /// Names of interfaces of `switchboard:plugin`: `messages`, `topics` ...
    pub interfaces: Vec<String>,
    /// Names of tools, `*` for all.
    pub tools: Vec<String>,
    /// Whether it may send to connections and users other than the caller's.
    pub send_to_others: bool,
    /// Patterns of topics, `**` for all.
    pub topics: Vec<String>,
    /// Servers that it may send requests to.
    pub hosts: Vec<HostPattern>,
    /// Networks beside the public internet that these may be in.
    pub networks: Vec<Network>,
}

impl Grants {
    /// Whether an interface of the contract may be imported. To name hosts is to grant `http`: a list of
    /// interfaces would have to repeat all the others.
    pub fn allows(&self, interface: &str) -> bool {
        let listed = self.interfaces.iter().any(|granted| granted == interface);
        listed || (interface == setting::HTTP && !self.hosts.is_empty())
    }
}
