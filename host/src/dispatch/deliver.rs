//! Where what a plugin causes becomes frames: answers, emissions, publications, errors.
//!
//! The host's side of [`Effects`]. A message is encoded once, however many receive it. A client that
//! cannot take a frame is never waited for: its outbox decides.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{json, value::RawValue};
use switchboard_protocol::{MessageType, ServerMessage};

use super::{Parts, changes::Changes, handling::Asker, lifecycle::Lifecycle, reply::Reply};
use crate::{
    config::LiveConfig,
    plugin::{
        GuestMessage, Plugins,
        effects::{
            CallContext, Caller, Delivery, Effects, Emission, SubscribeOptions, Target, ToolError, TopicError,
            TopicMember, TopicPosition, TopicPublication, TopicSubscription, Unreachable,
        },
        failure::CallFailure,
        offers::{Kind, Offers},
    },
    session::{
        Frame, Session, Sessions, Volatile,
        answers::{Answers, StoredAnswer},
    },
    telemetry::{Metrics, metrics::Code},
    tools::Toolbox,
    topic::Topics,
};

pub(crate) struct Deliver {
    pub(super) config: LiveConfig,
    pub(super) metrics: Arc<Metrics>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) answers: Arc<Answers<Asker>>,
    pub(super) topics: Topics<Arc<Session>>,
    pub(super) lifecycle: Lifecycle,
    /// Names this run of the process to clients.
    pub(super) run: Arc<str>,
    /// Those before it whose sessions may be here.
    pub(super) earlier_runs: ArcSwap<Vec<Arc<str>>>,
    pub(super) changes: Changes,
    pub(super) toolbox: Arc<Toolbox>,
    started: Instant,
    /// Itself, to be handed to the calls that it causes.
    pub(super) this: Weak<Self>,
}

impl Deliver {
    pub fn new(parts: Parts) -> Arc<Self> {
        let run: Arc<str> = format!("{:012x}", rand::random::<u64>() >> 16).into();
        Arc::new_cyclic(|this| Self {
            topics: Topics::new(run.clone(), parts.metrics.subscriptions.clone(), parts.config.clone()),
            answers: Answers::new(parts.metrics.clone()),
            lifecycle: Lifecycle::new(parts.tasks),
            changes: Changes::default(),
            config: parts.config,
            metrics: parts.metrics,
            plugins: parts.plugins,
            sessions: parts.sessions,
            toolbox: parts.toolbox,
            run,
            earlier_runs: ArcSwap::default(),
            started: Instant::now(),
            this: this.clone(),
        })
    }

    /// Returns the error's number, unless nobody is left to tell.
    pub fn error(&self, session: &Session, reply: Reply, correlation_id: Option<&str>) -> Option<u64> {
        self.metrics.errors_sent.get_or_create(&Code { code: reply.label }).inc();
        tracing::debug!(code = %reply.payload.code, "answered with an error");
        self.host_message(session, "error", reply.payload, correlation_id)
    }

    /// A message of the host's own. Returns its number, unless nobody is left to tell.
    pub fn host_message(
        &self,
        session: &Session,
        message_type: &str,
        payload: impl Serialize,
        correlation_id: Option<&str>,
    ) -> Option<u64> {
        match ServerMessage::new(message_type, payload).answering(correlation_id).encode() {
            Ok(bytes) => session.push_to(correlation_id, Frame::kept(bytes)).ok(),
            Err(problem) => {
                tracing::error!(%problem, message_type, "a message of the host cannot be written");
                None
            }
        }
    }

    /// An answer that was given before.
    pub fn stored(&self, session: &Session, answer: &StoredAnswer, correlation_id: Option<&str>) {
        // It was JSON when it was given.
        let payload: &RawValue = serde_json::from_str(&answer.payload).unwrap_or(RawValue::NULL);
        let message =
            ServerMessage { timestamp: answer.timestamp, ..ServerMessage::new(&*answer.message_type, payload) };
        if let Ok(bytes) = message.answering(correlation_id).encode() {
            // If the client is gone, there is nobody to tell.
            let _ = session.push(Frame::kept(bytes));
        }
    }

    /// Queues an emission for its receivers. Returns how many there are, and its number for the last.
    pub fn emit(&self, caller: &Caller, emission: &Emission) -> Result<(u32, u64), Unreachable> {
        let receivers = self.receivers(caller, &emission.to);
        // Another client's correlation ids mean nothing to a receiver.
        let correlation_id = emission.correlation_id.as_deref().filter(|_| emission.to == Target::Caller);
        let bytes = encode(&emission.message_type, &emission.payload, correlation_id).map_err(|problem| {
            tracing::warn!(%problem, message_type = %emission.message_type, "an emission is not JSON");
            Unreachable
        })?;
        let is_volatile = emission.delivery == Delivery::Volatile;
        let volatile = is_volatile.then(|| Volatile::Type(emission.message_type.clone()));
        let frame = Frame { bytes, volatile };
        // One that a session can never hold would end it.
        let able = receivers.iter().filter(|session| session.can_hold(frame.bytes.len()));
        let numbers = able.filter_map(|session| session.push_to(correlation_id, frame.clone()).ok());
        let (reached, last) = numbers.fold((0, None), |(reached, _), seq| (reached + 1, Some(seq)));
        last.map(|seq| (reached, seq)).ok_or(Unreachable)
    }

    fn receivers(&self, caller: &Caller, to: &Target) -> Vec<Arc<Session>> {
        let tenant = &caller.principal.tenant;
        match to {
            Target::Caller => self.sessions.by_id(&caller.session_id).into_iter().collect(),
            Target::Connection(id) => {
                let found = self.sessions.by_connection(id);
                found.into_iter().filter(|session| session.principal().tenant == *tenant).collect()
            }
            Target::User(subject) => self.sessions.of_user(tenant.as_deref(), subject),
        }
    }
}

impl Effects for Deliver {
    fn send(&self, caller: &Caller, emission: Emission) -> Result<u32, Unreachable> {
        self.emit(caller, &emission).map(|(reached, _)| reached)
    }

    fn subscribe(
        &self,
        caller: &Caller,
        topic: &str,
        options: SubscribeOptions,
    ) -> Result<TopicSubscription, TopicError> {
        self.subscribe_to(caller, topic, options)
    }

    fn unsubscribe(&self, caller: &Caller, topic: &str) -> Result<bool, TopicError> {
        Ok(self.unsubscribe_from(caller, topic))
    }

    fn publish(
        &self,
        caller: &Caller,
        topic: &str,
        message_type: MessageType,
        payload: String,
        exclude_caller: bool,
    ) -> Result<(TopicPosition, u32), TopicError> {
        self.publish_to(caller, topic, message_type, payload, exclude_caller)
    }

    fn members(&self, caller: &Caller, topic: &str) -> Result<Vec<TopicMember>, TopicError> {
        self.members_of(caller, topic)
    }

    fn history(&self, caller: &Caller, topic: &str, limit: u32) -> Result<Vec<TopicPublication>, TopicError> {
        self.history_of(caller, topic, limit)
    }

    fn list_tools<'a>(&'a self, context: &'a CallContext) -> BoxFuture<'a, Result<String, ToolError>> {
        Box::pin(async move {
            let listed = self.toolbox.list(&self.plugins.registry(), context, Kind::Tools).await?;
            Ok(listed.items.to_string())
        })
    }

    fn call_tool<'a>(
        &'a self,
        context: &'a CallContext,
        name: &'a str,
        arguments: String,
    ) -> BoxFuture<'a, Result<String, ToolError>> {
        Box::pin(async move { self.toolbox.call(&self.plugins.registry(), context, name, arguments).await })
    }

    fn offers(&self) -> Option<&dyn Offers> {
        Some(self)
    }

    fn stats(&self) -> String {
        let registry = self.plugins.registry();
        let plugins: Vec<_> = registry
            .versions()
            .map(|version| {
                let types: Vec<_> =
                    version.manifest.handles.iter().map(|handled| handled.pattern.to_string()).collect();
                json!({ "name": version.name, "version": version.version, "types": types })
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "connections": self.metrics.connections.get(),
            "sessions": self.sessions.len(),
            "plugins": plugins,
        })
        .to_string()
    }
}

impl Deliver {
    /// Itself as what calls are given. Only gone while the host is being dropped.
    pub(super) fn as_effects(&self) -> Option<Arc<dyn Effects>> {
        self.this.upgrade().map(|this| this as Arc<dyn Effects>)
    }
}

/// The frame of a plugin's answer, if it can be one.
pub(super) fn answer(
    session: &Session,
    correlation_id: Option<&str>,
    answer: &GuestMessage,
) -> Result<Frame, CallFailure> {
    if answer.message_type.is_reserved() {
        return Err(CallFailure::AnswerInvalid(format!("the type {:?} belongs to the host", answer.message_type)));
    }
    let correlation_id = answer.correlation_id.as_deref().or(correlation_id);
    let bytes = encode(&answer.message_type, &answer.payload, correlation_id)
        .map_err(|problem| CallFailure::AnswerInvalid(problem.to_string()))?;
    if !session.can_hold(bytes.len()) {
        // Not the client's fault: it would be closed as a slow consumer, however fast it is.
        let problem = format!("it has {} bytes, which is more than `limits.max_outbound_bytes`", bytes.len());
        return Err(CallFailure::AnswerInvalid(problem));
    }
    Ok(Frame::kept(bytes))
}

pub(super) fn encode(
    message_type: &MessageType,
    payload: &str,
    correlation_id: Option<&str>,
) -> serde_json::Result<Bytes> {
    let payload: &RawValue = serde_json::from_str(payload)?;
    Ok(ServerMessage::new(message_type.as_str(), payload).answering(correlation_id).encode()?.into())
}
