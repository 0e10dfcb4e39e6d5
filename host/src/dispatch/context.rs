//! What a plugin is told about a call, and what the host remembers of the request meanwhile.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use switchboard_protocol::{ClientMessage, MessageType, unix_seconds};

use super::work::Work;
use crate::{
    auth::Principal,
    config::Config,
    plugin::{
        GuestMessage, PluginVersion,
        effects::{CallContext, Caller, CallerSession, Effects, Transport},
    },
    session::Session,
    telemetry::Metrics,
};

/// A message on its way to its handler: owned, because it may have to wait for its turn.
pub(crate) struct Request {
    pub version: Arc<PluginVersion>,
    /// Who sent it, as they were then.
    principal: Arc<Principal>,
    pub message_type: MessageType,
    /// Until the handler has it.
    payload: String,
    id: Option<String>,
    /// What the client asked answers to be marked with; its `correlation_id`, else its `id`.
    pub correlation_id: Option<Arc<str>>,
    timestamp: Option<f64>,
    received: Instant,
}

impl Request {
    pub fn new(
        message: &ClientMessage<'_>,
        version: Arc<PluginVersion>,
        principal: Arc<Principal>,
        received: Instant,
    ) -> Self {
        Self {
            version,
            principal,
            message_type: message.message_type.clone(),
            payload: message.payload_text().into(),
            id: message.id.as_deref().map(Into::into),
            correlation_id: message.answer_correlation().map(Into::into),
            timestamp: message.timestamp,
            received,
        }
    }

    /// In the words of the plugin contract. To be called once: its payload is not copied.
    pub fn take_message(&mut self) -> GuestMessage {
        GuestMessage {
            message_type: self.message_type.clone(),
            payload: std::mem::take(&mut self.payload),
            id: self.id.take(),
            correlation_id: self.correlation_id.as_deref().map(str::to_owned),
            timestamp: self.timestamp.unwrap_or_else(|| unix_seconds(SystemTime::now())),
        }
    }

    /// So that every log line of the call says who serves what. Of level `debug`, because to make a span that is
    /// recorded costs as much as to encode an answer: what is logged about a call from `info` on says so itself.
    pub fn span(&self) -> tracing::Span {
        tracing::debug_span!(
            "message",
            r#type = %self.message_type,
            plugin = %self.version.name,
            version = %self.version.version,
        )
    }

    /// Once, at the end.
    pub fn count(&self, metrics: &Metrics, outcome: &'static str) {
        let counted = self.version.call_metrics();
        counted.handled(metrics, &self.version.name, outcome);
        counted.message_duration.observe(self.received.elapsed().as_secs_f64());
    }
}

/// The context of a call that a client's message causes. Its time begins now: waiting for a turn is
/// not held against the plugin.
pub(super) fn of_message(config: &Config, session: &Arc<Session>, request: &Request, work: Arc<Work>) -> CallContext {
    let deadline = deadline(config, &request.version);
    let transport = if session.has_sockets() { Transport::Websocket } else { Transport::StreamableHttp };
    CallContext {
        correlation_id: request.correlation_id.clone(),
        request: Some(work.clone()),
        ..CallContext::new(
            Caller { principal: request.principal.clone(), ..caller(session, transport) },
            deadline,
            work,
        )
    }
}

/// The context of a call that the host makes on its own, on behalf of a client.
pub(crate) fn of_event(
    config: &Config,
    caller: Caller,
    version: &PluginVersion,
    effects: Arc<dyn Effects>,
) -> CallContext {
    let deadline = deadline(config, version);
    CallContext::new(caller, deadline, effects)
}

pub(crate) fn caller(session: &Arc<Session>, transport: Transport) -> Caller {
    Caller {
        connection_id: session.connection_id(),
        session_id: session.id.clone(),
        session: session.clone(),
        principal: session.principal(),
        transport,
        through: None,
    }
}

impl CallerSession for Session {
    fn is_over(&self) -> bool {
        Session::is_over(self)
    }
}

fn deadline(config: &Config, version: &PluginVersion) -> Instant {
    Instant::now() + config.plugin(&version.name).limits.deadline
}
