//! The doors for micro-benchmarks: each step that a message takes, by itself, on inputs as they come from clients.
//!
//! A step is a closure that does its work once and says whether it went as it should: what is measured must be a success.
//! `benches/hot.rs` times them; of `benches/host.rs`, their instructions are counted. The feature `bench` alone has this module.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use serde_json::{Map, value::RawValue};
use switchboard_protocol::{ClientMessage, MessageType, ServerMessage, with_seq};
use tokio::runtime::Runtime;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{
        Authenticator, Door, keys,
        revocation::Revocations,
        signing::{TokenRequest, sign},
    },
    config::{Config, LiveConfig, check, raw::Sources},
    plugin::{GuestMessage, Plugins, Route, Who, detached},
    session::{
        Frame,
        ring::{Bounds, Ring},
    },
    telemetry::Metrics,
};

/// One step. Whether it went as it should.
pub type Step = Box<dyn FnMut() -> bool>;

/// As deep as clients may nest by default.
const MAX_DEPTH: u32 = 64;

/// Receivers of a broadcast.
const RECEIVERS: usize = 1_000;

/// For a call into a plugin; nothing here takes as long, not even one instruction at a time.
const PATIENCE: Duration = Duration::from_secs(900);

/// Calls at one time, and instances that wait: so few that one process has addresses for the pools of many steps. The
/// defaults reserve a quarter of what it has.
const CALLS: usize = 4;
const KEPT: usize = 16;

const SIZES: [usize; 3] = [200, 2_048, 10_240];

/// As the defaults have it.
const BOUNDS: Bounds = Bounds {
    window_bytes: 256 * 1024,
    window_frames: 1_024,
    kept_for: Duration::from_secs(120),
    waiting_bytes: 4 * 1024 * 1024,
    waiting_frames: 16_384,
};

/// All steps, in the order in which a message meets them.
#[must_use]
pub fn names() -> Vec<String> {
    let sized = |word: &'static str| SIZES.into_iter().map(move |bytes| format!("{word}/{bytes}"));
    let calls = ["native", "message", "shared"]
        .into_iter()
        .flat_map(|kind| SIZES.into_iter().map(move |bytes| format!("call-{kind}/{bytes}")));
    let (token, route) = (["token".to_owned()], ["route".to_owned()]);
    let ends = ["ring".to_owned(), "broadcast/1000".to_owned()];
    token.into_iter().chain(sized("decode")).chain(route).chain(calls).chain(sized("encode")).chain(ends).collect()
}

/// Prepares a step. Plugins are taken from `components` if it needs them.
///
/// # Errors
///
/// If there is no such step, or what it needs is not there.
pub fn step(name: &str, components: &Path) -> anyhow::Result<Step> {
    let (word, bytes) = name.split_once('/').unwrap_or((name, "0"));
    let bytes: usize = bytes.parse().context("the size of a step is a number")?;
    match word {
        "decode" => Ok(decode(bytes)),
        "encode" => encode(bytes),
        "token" => token(),
        "route" => Started::new(components)?.route(),
        "ring" => Ok(ring()),
        "broadcast" => Ok(broadcast()),
        _ => match word.strip_prefix("call-") {
            Some(kind) => Started::new(components)?.call(kind, bytes),
            None => anyhow::bail!("there is no step {name:?}"),
        },
    }
}

/// A payload of about that size.
fn payload(bytes: usize) -> String {
    const ITEM: &str = r#"{"id":1048577,"name":"a line of an order","price":12.5,"tags":["red","blue"],"open":true}"#;
    let items = vec![ITEM; (bytes / (ITEM.len() + 1)).max(1)].join(",");
    format!(r#"{{"items":[{items}]}}"#)
}

fn decode(bytes: usize) -> Step {
    let frame = format!(r#"{{"type":"chat.message","id":"m-0000001","payload":{}}}"#, payload(bytes));
    Box::new(move || ClientMessage::parse(frame.as_bytes(), MAX_DEPTH).is_ok())
}

/// An answer, up to the bytes of its frame.
fn encode(bytes: usize) -> anyhow::Result<Step> {
    let message_type = MessageType::parse("chat.result")?;
    let text = payload(bytes);
    Ok(Box::new(move || {
        let Ok(payload) = serde_json::from_str::<&RawValue>(&text) else { return false };
        let message = ServerMessage::new(message_type.as_str(), payload).answering(Some("m-0000001"));
        message.encode().is_ok_and(|encoded| !with_seq(&encoded, 1_000).is_empty())
    }))
}

/// What a handshake has beyond the upgrade: the token in its header, found, verified, counted.
fn token() -> anyhow::Result<Step> {
    let folder = tempfile::tempdir()?;
    let (runtime, config, metrics) = (runtime()?, config(folder.path())?, Metrics::new());
    let key = keys::generated_key(folder.path())?;
    let request = TokenRequest {
        subject: "alice".into(),
        scopes: vec!["chat".into()],
        tenant: None,
        lifetime: Duration::from_secs(24 * 3600),
        claims: Map::new(),
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", sign(&key, &request, now)?))?);
    let revocations = Revocations::open(folder.path(), metrics.clone())?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let entered = runtime.enter();
    let auth = Authenticator::start(config, metrics, revocations, &tasks, stop)?;
    drop(entered);
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Ok(Box::new(move || {
        let _ = &folder;
        runtime.block_on(auth.authenticate_upgrade(Door::Socket, "ws_000000000000", peer, &headers, None)).is_ok()
    }))
}

/// One frame through a session's ring: queued, taken by the writer, received, acknowledged.
fn ring() -> Step {
    let (mut ring, mut batch) = (Ring::new(BOUNDS), VecDeque::new());
    let bytes = Bytes::from(payload(200));
    Box::new(move || {
        let now = Instant::now();
        ring.push(Frame::kept(bytes.clone()), 1, now);
        batch.clear();
        ring.take(&mut batch, u64::MAX);
        let Some(seq) = batch.back().and_then(|outgoing| outgoing.seq) else { return false };
        ring.ack(seq, now).is_ok()
    })
}

/// The same for one message that many receive.
fn broadcast() -> Step {
    let mut rings: Vec<Ring> = (0..RECEIVERS).map(|_| Ring::new(BOUNDS)).collect();
    let (mut batch, bytes) = (VecDeque::new(), Bytes::from(payload(200)));
    Box::new(move || {
        let now = Instant::now();
        rings.iter_mut().all(|ring| {
            ring.push(Frame::kept(bytes.clone()), 1, now);
            batch.clear();
            ring.take(&mut batch, u64::MAX);
            batch.back().and_then(|outgoing| outgoing.seq).is_some_and(|seq| ring.ack(seq, now).is_ok())
        })
    })
}

/// Plugins that are ready, without a host around them.
struct Started {
    runtime: Runtime,
    plugins: Arc<Plugins>,
    /// What ends them, and what they are made of, for as long as they are used.
    _kept: (tempfile::TempDir, CancellationToken, TaskTracker),
}

impl Started {
    fn new(components: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (runtime, config) = (runtime()?, config(folder.path())?);
        std::fs::create_dir_all(&config.load().server.plugin_dir)?;
        for name in ["echo-native", "echo-message", "echo-shared"] {
            let file = format!("{name}.wasm");
            let from = components.join(&file);
            std::fs::copy(&from, config.load().server.plugin_dir.join(file))
                .with_context(|| format!("{} cannot be copied", from.display()))?;
        }
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let plugins = runtime.block_on(Plugins::start(config, Metrics::new(), &tasks, stop.clone()))?;
        Ok(Self { runtime, plugins, _kept: (folder, stop, tasks) })
    }

    fn route(self) -> anyhow::Result<Step> {
        let message_type = MessageType::parse("echo-message")?;
        let who = Who { tenant: None, subject: "alice", session_id: "ss_000000000000" };
        Ok(Box::new(move || {
            // All of it, and not what is used of it alone.
            let started = &self;
            matches!(started.plugins.registry().route(&message_type, &who), Route::Handler(_))
        }))
    }

    fn call(self, kind: &str, bytes: usize) -> anyhow::Result<Step> {
        let message_type = MessageType::parse(&format!("echo-{kind}"))?;
        let who = Who { tenant: None, subject: "alice", session_id: "ss_000000000000" };
        let Route::Handler(handler) = self.plugins.registry().route(&message_type, &who) else {
            anyhow::bail!("echo-{kind} does not serve: {:?}", self.plugins.statuses());
        };
        let payload = payload(bytes);
        Ok(Box::new(move || {
            let started = &self;
            let message = GuestMessage {
                message_type: message_type.clone(),
                payload: payload.clone(),
                id: None,
                correlation_id: None,
                timestamp: 0.0,
            };
            let context = detached::context(Instant::now() + PATIENCE);
            started.runtime.block_on(handler.version.handle(context, message)).is_ok_and(|answer| answer.is_some())
        }))
    }
}

/// One thread: what is counted should not depend on who was quicker.
fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn config(folder: &Path) -> anyhow::Result<LiveConfig> {
    let sources =
        Sources { data_dir: Some(folder.to_owned()), plugin_dir: Some(folder.join("plugins")), ..Sources::default() };
    let mut config: Config = check::check(&sources, None).context("the defaults have faults")?.config;
    config.limits.max_plugin_calls = CALLS;
    config.limits.max_kept_instances = KEPT;
    config.plugin_defaults.limits.deadline = PATIENCE;
    Ok(LiveConfig::new(config))
}
