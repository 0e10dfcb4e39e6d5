//! The one table that names every setting: path, kind, bounds, default and a sentence.
//!
//! Unknown names, environment variables, `config show` and docs/configuration.md all come from here.
//! Each section's macro also makes the function that reads it into its checked type, so that a field
//! without a row, or a row without a field, does not compile.

use std::time::Duration;

use super::{
    AuthConfig, CanaryConfig, Grants, HealthConfig, HeartbeatConfig, InstanceConfig, LimitConfig, LoggingConfig,
    McpConfig, PluginLimits, PromptConfig, ResourceConfig, ServerConfig, SessionConfig, StateConfig, ToolConfig,
    TopicConfig,
    rate::MAX_RATE,
    reader::Reader,
    setting::{ENVIRONMENTS, Element, Kind, Setting},
};

/// As many as the pool of instances has places for, whatever is configured: those for nested calls and
/// for loading come on top, and each reserves 4 GiB of the 128 TiB of addresses that a process has.
pub(crate) const MAX_CALLS: u64 = 2_730;

/// Instances that wait, for which the pool has places beside those for calls.
pub(crate) const MAX_KEPT: u64 = 2_048;

/// A table in the pool is no larger. A large C# program has ten thousand.
pub(crate) const MAX_TABLE_ELEMENTS: u64 = 100_000;

/// The pool has places for no deeper calls.
pub(crate) const MAX_CALL_DEPTH: u64 = 8;

/// The JSON parser itself gives up at 128 levels.
const MAX_JSON_DEPTH: u64 = 100;

/// More than any one machine has descriptors for.
const MANY: u64 = 1_000_000;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn time(min_millis: u64, max_secs: u64) -> Kind {
    Kind::Time { min: Duration::from_millis(min_millis), max: Duration::from_secs(max_secs) }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}

/// Never zero: what may not be sent at all is switched off, not limited.
const RATE: Kind = count(1, MAX_RATE as u64);

const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Bytes { min, max }
}

const fn list(of: Element) -> Kind {
    Kind::List { of, may_be_empty: true }
}

const fn some(of: Element) -> Kind {
    Kind::List { of, may_be_empty: false }
}

/// A group of settings under one heading.
#[derive(Debug)]
pub(crate) struct Section {
    pub path: &'static str,
    pub sentence: &'static str,
    pub settings: &'static [Setting],
}

macro_rules! is_fixed {
    () => {
        false
    };
    (fixed) => {
        true
    };
}

/// Rows alone, for sections that are put together by hand.
macro_rules! rows {
    ($($name:ident $($fixed:ident)?: $kind:expr, $default:literal, $sentence:literal;)+) => {
        &[$(Setting { name: stringify!($name), kind: $kind, default: $default, sentence: $sentence, fixed: is_fixed!($($fixed)?) },)+]
    };
}

/// Rows, and the function that reads them into a checked type.
macro_rules! section {
    ($table:ident, $read:ident -> $type:ident; $($name:ident $($fixed:ident)?: $kind:expr, $default:literal, $sentence:literal;)+) => {
        const $table: &[Setting] = rows! { $($name $($fixed)?: $kind, $default, $sentence;)+ };

        /// `None` if anything was wrong; all of it is with the reader then.
        pub(crate) fn $read(reader: &mut Reader<'_>, section: &str) -> Option<$type> {
            $(let $name = reader.read(section, stringify!($name));)+
            Some($type { $($name: $name?,)+ })
        }
    };
}

section! { SERVER, server -> ServerConfig;
    listen fixed: Kind::Address, r#""127.0.0.1:8080""#, "Where clients connect. Only this machine, until you decide otherwise.";
    admin_listen fixed: Kind::Address, r#""127.0.0.1:9090""#, "Where operators ask: metrics, health, plugins, revocation. All but the first two take a token (see docs/operations.md), but there is no TLS: beyond this machine, put a proxy with TLS or a private network in front.";
    data_dir fixed: Kind::Folder, r#"".switchboard""#, "Keys, caches and state; private to the user that runs the process.";
    plugin_dir fixed: Kind::Folder, r#""plugins""#, "Where components (`NAME.wasm`) are dropped. The folder is watched.";
    drain_timeout fixed: time(0, 3_600), r#""20s""#, "How long handlers and queues may take to finish after SIGTERM. Less than the 30 seconds after which Kubernetes kills.";
    reconnect_window fixed: time(0, 600), r#""10s""#, "Over how long clients are asked to spread their return, so that they do not all come at once.";
    compression: Kind::Switch, "false", "Whether messages are compressed for WebSocket clients that offer it (permessage-deflate, RFC 7692). It saves traffic and costs CPU. Leave it off where one message holds a secret beside what a stranger can choose: its length tells about both (docs/protocol.md). Of connections opened from then on.";
    compression_min_bytes: bytes(0, MIB), r#""512B""#, "Shorter messages are sent as they are, and so is what does not become shorter. 0 compresses everything. Of connections opened from then on.";
    seal_keys fixed: some(Element::SealKey), r#"["generated"]"#, "What plugins' sealed texts are encrypted with, such as the `requestState` that an MCP client brings back: by the first, and read with all, so that an old one can stay for a while. `generated` is a random one in the data folder. Hosts that share clients share a secret of 32 bytes or more.";
}

section! { AUTH, auth -> AuthConfig;
    keys: some(Element::Key), r#"["generated"]"#, "Where the keys are that verify tokens. `generated` is the random one that `serve` makes in the data folder at its first start and `switchboard token` signs with; replace it by your identity provider's.";
    algorithms: some(Element::Algorithm), r#"["HS256", "RS256", "PS256", "ES256", "EdDSA"]"#, "Which signatures are accepted: the one of the generated key, and those that identity providers use.";
    issuers: list(Element::Text), "[]", "Accepted values of `iss`; empty does not check it. Set it when the keys are an identity provider's.";
    audiences: list(Element::Text), "[]", "Accepted values of `aud`; empty does not check it. Set it when the same provider issues tokens for other services.";
    leeway: time(0, 600), r#""10s""#, "Tolerance for clocks that differ. Clocks that are kept differ by less than a second.";
    tenant_claim: Kind::Text, r#""tenant""#, "The claim that names the tenant.";
    plugin_claims: list(Element::Text), "[]", "Claims, beside subject, tenant and scopes, that plugins may see. None: a plugin gets what it was decided to need.";
    token_in_query: Kind::Switch, "false", "Whether `?token=` is accepted. Off, because addresses end up in the access logs of proxies; browsers use a ticket.";
    ticket_lifetime: time(1_000, 600), r#""30s""#, "How long a ticket for the socket is good for. Long enough for a slow handshake, too short to be worth stealing.";
    expiry_notice: time(0, 86_400), r#""60s""#, "How long before a token expires its client is told, so that it can refresh it.";
    expiry_grace: time(0, 3_600), r#""30s""#, "How long after expiry the socket is closed; a refresh that is under way gets there in time.";
    key_refresh: time(1_000, 86_400), r#""5m""#, "How often key files and JWKS are looked at again. A key that is not known is asked for at once.";
}

const ORIGINS: &[Setting] = rows! {
    environment: Kind::Words(ENVIRONMENTS), r#""development""#, "Which of the tables below is in force.";
    allow: list(Element::Origin), r#"["http://localhost:*", "https://localhost:*", "http://127.0.0.1:*", "https://127.0.0.1:*", "http://[::1]:*", "https://[::1]:*"]"#, "Web pages that may connect, where the environment has no list of its own. This default is development's; staging and production have none: there, every page is named.";
    allow_missing: Kind::Switch, "true", "Whether a client that sends no Origin may connect, where the environment does not say. Browsers always send one, so its absence is a server, a tool or an app, which a list of origins cannot hold off.";
};

const ORIGINS_OF_ONE: &[Setting] = rows! {
    allow: list(Element::Origin), "", "In this environment, instead of `origins.allow`.";
    allow_missing: Kind::Switch, "", "In this environment, instead of `origins.allow_missing`.";
};

section! { LIMITS, limits -> LimitConfig;
    max_connections: count(1, 10 * MANY), "10000", "Connections in all. Raise the process's limit of open files with it.";
    max_connections_per_user: count(1, MANY), "16", "Connections of one user: a person's devices and tabs.";
    on_user_limit: Kind::Words(&["evict_oldest", "refuse"]), r#""evict_oldest""#, "What happens at that limit: the oldest connection gives way (a forgotten tab never locks its user out), or the new one is refused.";
    handshakes_per_second: count(1, MANY), "200", "Handshakes from one address, sustained. An address can be a whole office or a proxy.";
    handshake_burst: count(1, MANY), "1000", "Handshakes from one address at once: everyone behind a proxy comes back after a restart.";
    connection_messages_per_second: RATE, "500", "Messages on one connection, sustained; more are answered RATE_LIMITED. A person causes a few a second, a busy page a hundred. 1000000 is more than a client can send, and so means off.";
    connection_message_burst: RATE, "1000", "Messages on one connection at once: a client that comes back sends what it had kept.";
    user_messages_per_second: RATE, "1000", "Messages of one user on all connections together, sustained. More than one connection may send, so that a second device works beside a busy one. 1000000 means off.";
    user_message_burst: RATE, "2000", "Messages of one user at once.";
    message_type_rates: list(Element::TypeRate), "[]", "Rates of single message types, for each user: for what costs more than others, such as a type that starts an agent. A type that is not listed has no rate of its own.";
    max_message_bytes: bytes(KIB, 64 * MIB), r#""256KiB""#, "A larger message gets an error and the connection goes on. At least a token has to fit.";
    max_frame_bytes: bytes(KIB, 256 * MIB), r#""1MiB""#, "A larger frame closes the connection with 1009 before it is read whole. Larger than a message, so that a client that is a little over hears what is wrong. Of connections opened from then on.";
    max_json_depth: count(2, MAX_JSON_DEPTH), "64", "Levels of nested arrays and objects in a message. People's data nests less than ten deep.";
    max_in_flight: count(1, 10_000), "32", "Messages of one session whose handlers have not finished; beyond it the socket is not read for up to a second, then answered TOO_MANY_IN_FLIGHT. Of connections opened from then on.";
    max_outbound_bytes: bytes(KIB, GIB), r#""4MiB""#, "Bytes that wait to be written to one client. Beyond it, the client is closed as a slow consumer; while it is away, twice as much may wait for it. Enough for a burst of large answers to requests that were sent at once: the kernel's buffers, which hide as much elsewhere, are not used for more than `sessions.max_unconfirmed_bytes`. Of sessions begun from then on.";
    max_subscriptions: count(1, 100_000), "128", "Topics and patterns that one session is subscribed to.";
    topic_history: count(0, 100_000), "100", "Publications that are kept for each topic, in memory.";
    max_kept_instances fixed: count(0, MAX_KEPT), "1000", "Instances of plugins that may wait for their next call, in all: those of sessions, shared ones, and ones that were started ahead. Address space is reserved for as many when the process starts.";
    max_kept_instance_bytes fixed: bytes(0, 256 * GIB), r#""1GiB""#, "Their linear memory, and what instances of sessions left behind for the next one. Beyond it, they are put away after the call. Those that say meanwhile what they leave behind may have as much again.";
    max_plugin_calls fixed: count(1, MAX_CALLS), "1000", "Calls into plugins at one time, in all. Address space is reserved for as many when the process starts.";
}

section! { SESSIONS, sessions -> SessionConfig;
    resume_window: time(100, 86_400), r#""120s""#, "How long a session outlives its socket, and how old a message may be that is sent again. A tunnel, a lid or a deploy takes less than two minutes.";
    max_unconfirmed_frames: count(16, MANY), "1024", "Messages that one session keeps to send them again, and that may be on their way without a receipt. More than an agent's run emits within the time that a receipt takes. Of sessions begun from then on.";
    max_unconfirmed_bytes: bytes(KIB, GIB), r#""256KiB""#, "Their bytes. As much as a connection of 10 MB/s carries in 25 ms; with ten thousand clients, all of which lag, it is 2.5 GiB. Of sessions begun from then on.";
    max_detached_bytes: bytes(KIB, 64 * GIB), r#""256MiB""#, "Memory of all sessions that wait for their client's return. Beyond it, the one that has waited longest is given up. A thousand full sessions.";
    max_detached_per_user: count(1, 10_000), "16", "Sessions of one user that wait for a return; beyond it, the oldest is given up. As many as a user may have connections.";
    idempotency_window: time(100, 86_400), r#""5m""#, "For how long a handled message is remembered by its `id`, so that a repeat is answered from the record and not handled again. Longer than `resume_window`, so that whoever comes back late can still repeat without harm.";
    idempotency_ids_per_user: count(1, 100_000), "1000", "Messages of one user that are remembered; beyond it, those that finished first are forgotten. Three a second for the whole window, which no person sends.";
    idempotency_bytes: bytes(MIB, 64 * GIB), r#""64MiB""#, "Memory of all messages that are remembered, half of it for their answers. Room for eighty thousand messages; beyond it, the texts of the oldest answers are dropped, and the messages that finished first are forgotten.";
}

section! { TOPICS, topics -> TopicConfig;
    rules: list(Element::TopicRule), "[]", "Who may do what with which topics, such as `\"allow publish announcements.** if scope announce\"`; the first that fits decides. `subscribe` is all reading, `{sub}` and `{claim.NAME}` stand for a level. None: within a tenant, topics are open. Topics of the host (`$`), of one user (`user.SUB`) and of other tenants stay closed whatever a rule says.";
    default: Kind::Words(&["allow", "deny"]), r#""allow""#, "What holds where no rule fits. With `deny`, a user's own `user.SUB` has to be allowed, too.";
    history_ttl: time(1_000, 604_800), r#""1h""#, "How old a kept publication gets, and how long a topic is remembered that nobody is subscribed to. Long enough for a closed laptop.";
    max_per_user: count(1, MANY), "10000", "Topics that exist because one user was the first to publish or subscribe. A tenth of what a process holds; a service that writes to each user's own topic needs as many as there are users.";
}

section! { TOOLS, tools -> ToolConfig;
    rules: list(Element::ItemRule), "[]", "What a user needs for a tool, and how often they may call it, such as `\"files__delete* scope files.write rate 5/min concurrent 1 timeout 10s\"`; the first whose pattern fits decides. A pattern with `__` is held against `PLUGIN__TOOL`, any other against the plugin's own name for the tool. Tools for which a user's token lacks a scope are not listed to them. Rates and numbers are for each user and tool; `timeout` shortens the plugin's `deadline`. None: every user may call every tool.";
}

section! { RESOURCES, resources -> ResourceConfig;
    rules: list(Element::ItemRule), "[]", "The same for resources. Patterns are held against the URI, and in lists of templates against the template; a template's own rule holds for what is read by it as well. Rates and numbers are for each user and rule.";
}

section! { PROMPTS, prompts -> PromptConfig;
    rules: list(Element::ItemRule), "[]", "The same for prompts, with patterns as for tools.";
}

section! { STATE, state -> StateConfig;
    flush_interval: time(0, 60), r#""100ms""#, "How long what plugins remember for users and for themselves may be in memory alone before it is written to the disk, all changes together. A process that is killed loses at most this and what was being written; an orderly end loses nothing. `0s`: written as fast as the disk goes.";
    max_bytes: bytes(0, 1_024 * GIB), r#""1GiB""#, "All of that, for all users and plugins: keys, values, and 64 bytes for each entry. The file can be twice as large. Beyond it, what would add to it is refused.";
    cache_bytes: bytes(MIB, 1_024 * GIB), r#""256MiB""#, "What of it is in memory, about. Beyond it, what was not used lately leaves, and is read again when it is asked for.";
    max_connection_bytes: bytes(0, 64 * GIB), r#""256MiB""#, "What plugins remember for connections, all of which is in memory. Beyond it, what would add to it is refused.";
}

section! { HEARTBEAT, heartbeat -> HeartbeatConfig;
    interval: time(100, 600), r#""25s""#, "How often an idle socket hears something. Shorter than the 30 seconds after which the strictest proxies cut.";
    grace: time(200, 3_600), r#""60s""#, "Silence for this long closes the socket with 4202. Two heartbeats may be lost.";
}

section! { MCP, mcp -> McpConfig;
    resource: Kind::Resource, r#""""#, "The address of `/mcp` as clients know it, such as `https://example.com/mcp`. If it is set, a token has to name it (or one of `auth.audiences`) in `aud` to be accepted there (RFC 8707), and it is what clients are told (RFC 9728). Not set: the address that the client asked, and `auth.audiences` alone decides.";
    authorization_servers: list(Element::ServiceAddress), "[]", "Where clients get tokens for `/mcp`: the issuers of RFC 8414. Empty: those of `auth.issuers` that are addresses.";
    scopes_supported: list(Element::Scope), "[]", "Scopes that clients are told to ask for. What a tool needs is told when it is called without.";
    allowed_hosts: list(Element::HostName), "[]", "Host headers under which `/mcp` answers, beside this machine's own names and addresses and the host of `mcp.resource`. A page that points its own name here (DNS rebinding) is refused by it; behind a proxy, name what the proxy sends.";
    session_idle: time(1_000, 604_800), r#""30m""#, "How long a session of a client with a handshake (revisions up to 2025-11-25) is kept without a request or a stream. Its client then begins another.";
    max_sessions_per_user: count(1, 10_000), "32", "Such sessions of one user; beyond it, the one that was not used for the longest time ends. More than a person has windows open.";
}

section! { LOGGING, logging -> LoggingConfig;
    format fixed: Kind::Words(&["text", "json"]), r#""text""#, "Lines for people, or one JSON object a line for collectors. Both go to standard error.";
    filter: Kind::Filter, r#""info""#, "What is logged: a level, and levels for targets, all of which start with `switchboard`.";
}

const PLUGIN: &[Setting] = rows! {
    enabled: Kind::Switch, "true", "`false` unloads the plugin as the file is saved, and `true` loads it again.";
    required: Kind::Switch, "false", "Whether `/readyz` says no while the plugin is not ready.";
    kept_versions: count(1, 1_000), "10", "Versions that can be rolled back to, also after a restart. Those in use are kept whatever this says.";
    isolation: Kind::Words(&["requested", "message", "session", "shared"]), r#""requested""#, "How long an instance lives. `message`: a fresh one for every call, so that nothing leaks between users or messages. `session`: one for each session, its calls one after the other. `shared`: any call in any instance that is free. `requested`: what the plugin's manifest asks for.";
    settings: Kind::Object, "{}", "Handed to the plugin, after a check against its own schema. Replaced as a whole, not merged with the defaults.";
};

section! { PLUGIN_LIMITS, plugin_limits -> PluginLimits;
    max_memory_bytes: bytes(64 * KIB, 4 * GIB), r#""64MiB""#, "Linear memory of an instance. One page of Wasm at least.";
    max_table_elements: count(0, MAX_TABLE_ELEMENTS), "100000", "Elements of an instance's tables. Interpreters of other languages have tens of thousands.";
    deadline: time(1, 3_600), r#""5s""#, "Wall clock for one whole call, waiting included. Raise it for handlers that wait for others.";
    cpu_time: time(1, 3_600), r#""1s""#, "Time on a processor during one call; waiting, also for a processor, is not counted. A thousand times what most handlers need.";
    max_concurrent_calls: count(1, MAX_CALLS), "64", "Calls at one time.";
    max_wait: time(0, 60), r#""1s""#, "How long a call may wait for its turn before its client hears `PLUGIN_BUSY`.";
    max_emissions: count(0, MANY), "1000", "Messages sent and publications made in one call.";
    max_emitted_bytes: bytes(0, GIB), r#""4MiB""#, "Their bytes.";
    max_log_lines: count(0, 100_000), "100", "Log lines in one call; more are counted and dropped.";
    max_hostcall_bytes: bytes(KIB, GIB), r#""1MiB""#, "Bytes that one host call may move out of the guest.";
    max_state_bytes: bytes(0, 16 * GIB), r#""1MiB""#, "Bytes of state for each scope and owner.";
    max_call_depth: count(0, MAX_CALL_DEPTH), "4", "Calls within calls through the toolbox.";
    max_outbound_requests: count(0, 10_000), "10", "Requests to other servers in one call, refused ones included.";
    max_concurrent_outbound_requests: count(1, 10_000), "16", "Requests to other servers at one time, of all calls together. More wait for `max_wait`.";
    max_outbound_request_bytes: bytes(0, GIB), r#""512KiB""#, "Bytes of the body of a request to another server. `max_hostcall_bytes` bounds it as well, and ends the call.";
    max_outbound_response_bytes: bytes(0, GIB), r#""4MiB""#, "Bytes of an answer of another server, headers included.";
}

/// Not among [`SECTIONS`]: its names are the operator's own, there are no defaults for all plugins, and it is read
/// from the file alone.
pub(crate) const SECRET: Section = Section {
    path: "plugins.NAME.secrets.SECRET",
    sentence: "A credential that the host adds to the plugin's requests to one host, on their way out: the plugin never has it. `SECRET` is a name for people. The value is read when the plugin is loaded, which fails without it. It is read from the file alone.",
    settings: rows! {
        value: Kind::Secret, "", "Where the value is. White space around it is left out.";
        host: Kind::Host, "", "Where it is sent: in the form of `hosts`, one of which has to include it. Without encryption only if it begins with `http://`.";
        header: Kind::Header, r#""authorization""#, "The header that it is sent in. What the plugin puts there itself is replaced.";
        prefix: Kind::Prefix, "", "What goes before the value. Not set: `Bearer ` in `authorization`, and nothing in other headers.";
    },
};

section! { PLUGIN_INSTANCES, plugin_instances -> InstanceConfig;
    warm: count(0, 64), "2", "Instances that are kept ready before they are needed, so that no message waits for one to start.";
    max_calls: count(1, MANY), "1000", "Calls after which an instance that outlives a call is replaced.";
    max_age: time(1_000, 86_400), r#""10m""#, "Its age, after which it is replaced.";
    max_idle: time(1_000, 86_400), r#""5m""#, "How long the instance of a session waits for the next call before it is put away.";
    handover: Kind::Words(&["required", "best_effort"]), r#""required""#, "A new version that cannot take over what the serving one exports for a session is refused (`required`), or serves, and those sessions start anew (`best_effort`).";
    recycle_memory_bytes: bytes(64 * KIB, 4 * GIB), r#""32MiB""#, "Linear memory, grown beyond which an instance is replaced after the call. Less than `max_memory_bytes`, or it has no effect.";
}

section! { PLUGIN_HEALTH, plugin_health -> HealthConfig;
    failures_to_open: count(0, 10_000), "10", "Failed calls in a row after which a version is left alone for a while: its types answer `PLUGIN_UNAVAILABLE`. Those of one user are not enough once others have been served. 0: never.";
    backoff_min: time(10, 3_600), r#""1s""#, "How long it is left alone at first. It doubles each time that the call which then tries it fails as well.";
    backoff_max: time(10, 86_400), r#""1m""#, "And at most.";
    rollback_window: time(0, 86_400), r#""1m""#, "A version that has to be left alone so soon after it took over, because it failed two users, gives way to the one before it. 0: never.";
    poison_crashes: count(0, 1_000), "2", "Crashes over the same message of a user after which it is answered `MESSAGE_POISONED` without running again; once two users are among them and none was served, for everybody. 0: never.";
    poison_time: time(1_000, 604_800), r#""10m""#, "For how long.";
}

section! { PLUGIN_CANARY, plugin_canary -> CanaryConfig;
    percent: count(0, 99), "0", "Share of users that a new version gets at first, if nobody says otherwise. 0: all at once.";
    min_calls: count(1, MANY), "100", "Calls of the canary before it is judged. It is worse only if it still is without the user who speaks most against it.";
    window: time(1_000, 86_400), r#""1m""#, "The stretch of time, up to now, whose calls of both versions are compared.";
    error_margin: count(0, 100), "5", "Percentage points by which its share of failed calls may exceed the active version's.";
    latency_margin: count(0, 10_000), "100", "Per cent by which its 95th percentile of call duration may exceed the active version's. Less than a millisecond is no difference.";
    promote_after: time(0, 604_800), r#""0s""#, "How long a canary that is not worse serves before it is promoted by itself. 0: never; someone promotes it.";
}

section! { PLUGIN_GRANTS, plugin_grants -> Grants;
    interfaces: list(Element::Interface), r#"["messages", "topics", "state", "settings", "logging", "clock", "random", "toolbox", "runs", "host-info", "requests", "seals", "inputs", "progress", "catalogue", "changes", "wasi"]"#, "What the plugin may import. All of the contract but `http`: none of it reaches beyond the caller's own rights. `http` is granted by naming `hosts`. `wasi` is what components of other languages stand on: no files, no sockets, no environment, its output in the log; its clocks take `clock`, and its random numbers `random`.";
    tools: list(Element::Tool), r#"["*"]"#, "Tools of other plugins that it may call, with the caller's rights.";
    send_to_others: Kind::Switch, "false", "Whether it may send to connections and users other than the caller's. Off: this is the one right that reaches people who did not ask.";
    topics: list(Element::Topic), r#"["**"]"#, "Topics that it may use.";
    hosts: list(Element::Host), "[]", "Servers that it may send requests to. Naming one grants the interface `http`, too.";
    networks: list(Element::Network), "[]", "Networks beside the public internet that these servers may be in: `127.0.0.0/8` for this machine, `10.0.0.0/8` for a private network. Whatever a name resolves to, no connection is made to another address that is not public.";
}

/// All sections, in the order of the documentation.
pub(crate) const SECTIONS: &[Section] = &[
    Section { path: "server", sentence: "Addresses and folders.", settings: SERVER },
    Section { path: "auth", sentence: "Whose tokens are believed.", settings: AUTH },
    Section { path: "origins", sentence: "Web pages that may connect.", settings: ORIGINS },
    Section { path: "origins.development", sentence: "On a developer's machine.", settings: ORIGINS_OF_ONE },
    Section { path: "origins.staging", sentence: "Before production.", settings: ORIGINS_OF_ONE },
    Section { path: "origins.production", sentence: "For users.", settings: ORIGINS_OF_ONE },
    Section { path: "limits", sentence: "What clients may use.", settings: LIMITS },
    Section { path: "sessions", sentence: "What outlives a socket.", settings: SESSIONS },
    Section { path: "topics", sentence: "Who may use which topics, and how long they remember.", settings: TOPICS },
    Section { path: "tools", sentence: "Who may call which tools of plugins, and how often.", settings: TOOLS },
    Section {
        path: "resources",
        sentence: "Who may read which resources of plugins, and how often.",
        settings: RESOURCES,
    },
    Section { path: "prompts", sentence: "Who may get which prompts of plugins, and how often.", settings: PROMPTS },
    Section {
        path: "state",
        sentence: "What plugins remember. Each plugin's share for one owner is `max_state_bytes` in its limits.",
        settings: STATE,
    },
    Section { path: "heartbeat", sentence: "How a lost peer is noticed.", settings: HEARTBEAT },
    Section { path: "mcp", sentence: "The Model Context Protocol over HTTP, at `/mcp`.", settings: MCP },
    Section { path: "logging", sentence: "What is logged, and how.", settings: LOGGING },
    Section {
        path: PLUGIN_DEFAULTS,
        sentence: "What a plugin is given that has no section of its own, or leaves something out there. `[plugins.NAME]` has the same settings.",
        settings: PLUGIN,
    },
    Section {
        path: "plugin_defaults.limits",
        sentence: "Bounds on one call. `[plugins.NAME.limits]` has the same settings.",
        settings: PLUGIN_LIMITS,
    },
    Section {
        path: "plugin_defaults.instances",
        sentence: "How long instances live that outlive a call. `[plugins.NAME.instances]` has the same settings.",
        settings: PLUGIN_INSTANCES,
    },
    Section {
        path: "plugin_defaults.health",
        sentence: "When a version, or a message, is left alone for a while. `[plugins.NAME.health]` has the same settings.",
        settings: PLUGIN_HEALTH,
    },
    Section {
        path: "plugin_defaults.canary",
        sentence: "How a new version is tried on some users first. `[plugins.NAME.canary]` has the same settings.",
        settings: PLUGIN_CANARY,
    },
    Section {
        path: "plugin_defaults.grants",
        sentence: "What a plugin may import and reach. `[plugins.NAME.grants]` has the same settings.",
        settings: PLUGIN_GRANTS,
    },
];

/// The section whose settings every plugin's section has, too.
pub(crate) const PLUGIN_DEFAULTS: &str = "plugin_defaults";
