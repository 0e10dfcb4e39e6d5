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

use super::{
    Parts,
    context::Request,
    lifecycle::Lifecycle,
    reply::{self, Reply},
};
use crate::{
    config::LiveConfig,
    plugin::{
        GuestMessage, Plugins,
        effects::{
            CallContext, Caller, Delivery, Effects, Emission, SubscribeOptions, Target, ToolError, TopicError,
            TopicMember, TopicPosition, TopicPublication, TopicSubscription, Unreachable,
        },
        failure::CallFailure,
    },
    session::{Frame, Session, Sessions},
    telemetry::{Metrics, metrics::Code},
    tools::Toolbox,
    topic::Topics,
};

pub(crate) struct Deliver {
    pub(super) config: LiveConfig,
    pub(super) metrics: Arc<Metrics>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) topics: Topics<Arc<Session>>,
    pub(super) lifecycle: Lifecycle,
    /// Names this run of the process to clients.
    pub(super) run: Arc<str>,
    /// Those before it whose sessions may be here.
    pub(super) earlier_runs: ArcSwap<Vec<Arc<str>>>,
    toolbox: Arc<Toolbox>,
    started: Instant,
    /// Itself, to be handed to the calls that it causes.
    pub(super) this: Weak<Self>,
}

impl Deliver {
    pub fn new(parts: Parts) -> Arc<Self> {
        let run: Arc<str> = format!("{:012x}", rand::random::<u64>() >> 16).into();
        Arc::new_cyclic(|this| Self {
            topics: Topics::new(run.clone(), parts.metrics.subscriptions.clone(), parts.config.clone()),
            lifecycle: Lifecycle::new(parts.tasks),
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

    /// A plugin's answer. Returns the word for it in metrics.
    pub fn answer(&self, session: &Session, request: &Request, answer: GuestMessage) -> &'static str {
        if answer.message_type.is_reserved() {
            let problem = format!("the type {:?} belongs to the host", answer.message_type);
            return self.failure(session, request, &CallFailure::AnswerInvalid(problem));
        }
        let correlation_id = answer.correlation_id.as_deref().or(request.correlation_id.as_deref());
        match encode(&answer.message_type, &answer.payload, correlation_id) {
            Ok(bytes) if !session.can_hold(bytes.len()) => {
                // Not the client's fault: it would be closed as a slow consumer, however fast it is.
                let problem = format!("it has {} bytes, which is more than `limits.max_outbound_bytes`", bytes.len());
                return self.failure(session, request, &CallFailure::AnswerInvalid(problem));
            }
            // If the client is gone, there is nobody to tell.
            Ok(bytes) => drop(session.push(Frame::kept(bytes))),
            Err(problem) => {
                return self.failure(session, request, &CallFailure::AnswerInvalid(problem.to_string()));
            }
        }
        "answered"
    }

    /// What became of a call that has no answer. The sandbox has told the operator already.
    pub fn failure(&self, session: &Session, request: &Request, failure: &CallFailure) -> &'static str {
        if let Some(reply) = reply::call(failure, &request.version.name) {
            self.error(session, reply, request.correlation_id.as_deref());
        }
        failure.outcome()
    }

    pub fn error(&self, session: &Session, reply: Reply, correlation_id: Option<&str>) {
        self.metrics.errors_sent.get_or_create(&Code { code: reply.label }).inc();
        tracing::debug!(code = %reply.payload.code, "answered with an error");
        self.host_message(session, "error", reply.payload, correlation_id);
    }

    /// A message of the host's own.
    pub fn host_message(
        &self,
        session: &Session,
        message_type: &str,
        payload: impl Serialize,
        correlation_id: Option<&str>,
    ) {
        match ServerMessage::new(message_type, payload).answering(correlation_id).encode() {
            // If the client is gone, there is nobody to tell.
            Ok(bytes) => drop(session.push(Frame::kept(bytes))),
            Err(problem) => tracing::error!(%problem, message_type, "a message of the host cannot be written"),
        }
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
        let receivers = self.receivers(caller, &emission.to);
        // Another client's correlation ids mean nothing to a receiver.
        let correlation_id = emission.correlation_id.as_deref().filter(|_| emission.to == Target::Caller);
        let bytes = encode(&emission.message_type, &emission.payload, correlation_id).map_err(|problem| {
            tracing::warn!(%problem, "an emission is not JSON");
            Unreachable
        })?;
        let volatile = (emission.delivery == Delivery::Volatile).then(|| emission.message_type.clone());
        let frame = Frame { bytes, volatile };
        let mut reached = 0;
        for session in receivers {
            if session.push(frame.clone()).is_ok() {
                reached += 1;
            }
        }
        if reached == 0 { Err(Unreachable) } else { Ok(reached) }
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
        Box::pin(async move { self.toolbox.list(&self.plugins.registry(), context).await })
    }

    fn call_tool<'a>(
        &'a self,
        context: &'a CallContext,
        name: &'a str,
        arguments: String,
    ) -> BoxFuture<'a, Result<String, ToolError>> {
        Box::pin(async move { self.toolbox.call(&self.plugins.registry(), context, name, arguments).await })
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

fn encode(message_type: &MessageType, payload: &str, correlation_id: Option<&str>) -> serde_json::Result<Bytes> {
    let payload: &RawValue = serde_json::from_str(payload)?;
    Ok(ServerMessage::new(message_type.as_str(), payload).answering(correlation_id).encode()?.into())
}
