//! Where what a plugin causes becomes frames: answers, emissions, publications, errors.
//!
//! The host's side of [`Effects`]. A message is encoded once, however many receive it. A client that
//! cannot take a frame is never waited for: its outbox decides.

use std::{
    sync::{Arc, Weak},
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{json, value::RawValue};
use switchboard_protocol::{MessageType, ServerMessage, unix_seconds};

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
            CallContext, Caller, Delivery, Effects, Emission, Target, ToolError, TopicError, TopicMember,
            TopicPosition, TopicPublication, Unreachable,
        },
        failure::CallFailure,
    },
    session::{Frame, Session, Sessions},
    telemetry::{Metrics, metrics::Code},
    tools::Toolbox,
    topic::{Publication, Subscriber, TopicFault, Topics, subscriptions::NewPublication},
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
    toolbox: Arc<Toolbox>,
    started: Instant,
    /// Itself, to be handed to the calls that it causes.
    pub(super) this: Weak<Self>,
}

impl Deliver {
    pub fn new(parts: Parts) -> Arc<Self> {
        let run: Arc<str> = format!("{:012x}", rand::random::<u64>() >> 16).into();
        Arc::new_cyclic(|this| Self {
            topics: Topics::new(run.clone(), parts.metrics.subscriptions.clone()),
            lifecycle: Lifecycle::new(parts.tasks),
            config: parts.config,
            metrics: parts.metrics,
            plugins: parts.plugins,
            sessions: parts.sessions,
            toolbox: parts.toolbox,
            run,
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

    fn subscribe(&self, caller: &Caller, topic: &str) -> Result<TopicPosition, TopicError> {
        let Some(session) = self.sessions.by_id(&caller.session_id) else {
            return Err(TopicError::Forbidden("the caller's session has ended".into()));
        };
        let subscriber = Subscriber {
            session_id: session.id.clone(),
            connection_id: session.connection_id(),
            subject: caller.principal.subject.as_str().into(),
            receiver: session,
        };
        let max = self.config.load().limits.max_subscriptions;
        let (offset, epoch) = self.topics.subscribe(caller.principal.tenant.as_deref(), subscriber, topic, max)?;
        Ok(TopicPosition { offset, epoch: epoch.to_string() })
    }

    fn unsubscribe(&self, caller: &Caller, topic: &str) -> Result<bool, TopicError> {
        Ok(self.topics.unsubscribe(caller.principal.tenant.as_deref(), &caller.session_id, topic))
    }

    fn publish(
        &self,
        caller: &Caller,
        topic: &str,
        message_type: MessageType,
        payload: String,
        exclude_caller: bool,
    ) -> Result<(TopicPosition, u32), TopicError> {
        // Checked before anything gets an offset.
        let raw: &RawValue = serde_json::from_str(&payload)
            .map_err(|problem| TopicError::Invalid(format!("the payload is not JSON: {problem}")))?;
        let timestamp = unix_seconds(SystemTime::now());
        let publication = NewPublication {
            name: topic,
            publisher: caller.principal.subject.as_str().into(),
            message_type: message_type.clone(),
            payload: raw.get().into(),
            timestamp,
            exclude_session: exclude_caller.then_some(&*caller.session_id),
            history: self.config.load().limits.topic_history,
        };
        let receipt = self.topics.publish(
            caller.principal.tenant.as_deref(),
            publication,
            |publication, epoch| encode_publication(publication, raw, topic, epoch),
            |session, frame| session.push(frame.clone()).is_ok(),
        )?;
        self.metrics.topic_deliveries.inc_by(u64::from(receipt.receivers));
        self.published(caller, topic, message_type, payload, timestamp);
        Ok((TopicPosition { offset: receipt.offset, epoch: receipt.epoch.to_string() }, receipt.receivers))
    }

    fn members(&self, caller: &Caller, topic: &str) -> Result<Vec<TopicMember>, TopicError> {
        let principal = &caller.principal;
        let members = self.topics.members(principal.tenant.as_deref(), &principal.subject, topic)?;
        let member = |member: Arc<Subscriber<_>>| TopicMember {
            connection_id: member.connection_id.clone(),
            subject: member.subject.to_string(),
        };
        Ok(members.into_iter().map(member).collect())
    }

    fn history(&self, caller: &Caller, topic: &str, limit: u32) -> Result<Vec<TopicPublication>, TopicError> {
        let principal = &caller.principal;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let publications = self.topics.history(principal.tenant.as_deref(), &principal.subject, topic, limit)?;
        let publication = |kept: Publication| TopicPublication {
            offset: kept.offset,
            message_type: kept.message_type,
            payload: kept.payload,
            publisher: kept.publisher,
            timestamp: kept.timestamp,
        };
        Ok(publications.into_iter().map(publication).collect())
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

fn encode_publication(publication: &Publication, payload: &RawValue, topic: &str, epoch: &str) -> Frame {
    let message = ServerMessage {
        message_type: publication.message_type.as_str().into(),
        payload,
        timestamp: publication.timestamp,
        correlation_id: None,
        topic: Some(topic.into()),
        offset: Some(publication.offset),
        epoch: Some(epoch.into()),
        seq: None,
    };
    // Strings, numbers and JSON that was parsed before can be written.
    Frame::kept(message.encode().unwrap_or_default())
}

impl From<TopicFault> for TopicError {
    fn from(fault: TopicFault) -> Self {
        match fault {
            TopicFault::Invalid(text) => Self::Invalid(text),
            TopicFault::Forbidden(text) => Self::Forbidden(text),
            TopicFault::LimitExceeded(text) => Self::LimitExceeded(text),
        }
    }
}
