//! A session's beginning and end, and the plugins that asked to see such events.
//!
//! Nobody waits for these calls: each runs in the background, and there are at most so many of them.
//! What exceeds that is dropped, and said so in the log.

use std::sync::Arc;

use switchboard_protocol::MessageType;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::{Dispatcher, context, deliver::Deliver};
use crate::{
    plugin::{
        GuestMessage, PluginVersion,
        effects::{CallContext, Caller, Transport},
        failure::CallFailure,
    },
    session::Session,
    topic::Pattern,
};

/// Calls for events at one time: enough for a storm of reconnects, and their memory is small beside
/// that of the connections.
const MAX_EVENT_CALLS: usize = 1024;

pub(super) struct Lifecycle {
    tasks: TaskTracker,
    permits: Arc<Semaphore>,
}

impl Lifecycle {
    pub fn new(tasks: TaskTracker) -> Self {
        Self { tasks, permits: Arc::new(Semaphore::new(MAX_EVENT_CALLS)) }
    }

    /// Runs the end of a session whose handlers are still under way.
    pub fn after(&self, end: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(end.in_current_span());
    }

    /// Runs a call in the background, bounded in number; its own deadline bounds its time.
    fn spawn(
        &self,
        event: &'static str,
        version: &PluginVersion,
        call: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            tracing::warn!(event, plugin = %version.name, "dropped: too many calls for events are under way");
            return;
        };
        let span = tracing::info_span!("event", event, plugin = %version.name, version = %version.version);
        let task = async move {
            if let Err(failure) = call.await {
                // The sandbox has told the operator more.
                tracing::debug!(outcome = failure.outcome(), "the plugin failed at an event");
            }
            drop(permit);
        };
        self.tasks.spawn(task.instrument(span));
    }
}

type Outcome = Result<(), CallFailure>;

impl Dispatcher {
    /// From here on the session is found by others.
    pub fn open(&self, session: &Arc<Session>) {
        self.deliver.sessions.insert(session.clone());
        // The token may have been revoked after it was verified.
        self.end_if_revoked(session);
    }

    /// The client is one that stays: plugins may know of it.
    pub fn begin(&self, session: &Arc<Session>) {
        if !session.begin() {
            return;
        }
        let deliver = &self.deliver;
        let caller = context::caller(session, Transport::Internal);
        let registry = self.plugins.registry();
        let versions = registry.versions_for(caller.who());
        for version in versions.filter(|version| version.manifest.lifecycle.connect) {
            let Some(context) = deliver.event_context(&caller, version) else { return };
            let called = version.clone();
            deliver.lifecycle.spawn("connect", version, async move { called.on_connect(context).await });
        }
    }
}

impl Deliver {
    /// Shows a publication to the plugins that asked for its topic. What such a plugin publishes in
    /// turn is not shown again, or two of them could keep each other busy for ever.
    pub(super) fn published(
        &self,
        caller: &Caller,
        topic: &str,
        message_type: MessageType,
        payload: String,
        timestamp: f64,
    ) {
        if caller.transport == Transport::Internal {
            return;
        }
        let message = GuestMessage { message_type, payload, id: None, correlation_id: None, timestamp };
        let registry = self.plugins.registry();
        for version in registry.versions_for(caller.who()).filter(|version| wants(version, topic)) {
            let caller = Caller { transport: Transport::Internal, ..caller.clone() };
            let Some(context) = self.event_context(&caller, version) else { return };
            let (called, topic, message) = (version.clone(), topic.to_owned(), message.clone());
            let call = async move { called.on_event(context, &topic, message).await };
            self.lifecycle.spawn("publication", version, call);
        }
    }

    /// The session has ended, and its last handler, too: forget everything. `reason` is one of the words
    /// of the contract.
    pub(super) fn forget(&self, session: &Arc<Session>, reason: &'static str) {
        session.end_for_good();
        // A handler may have subscribed while the session ended.
        self.topics.forget_session(&session.id);
        self.changes.session_ended(&session.id);
        // Before a choice of versions that was made for this session is forgotten with it.
        let registry = self.plugins.registry();
        self.plugins.forget_session(&session.id);
        let caller = context::caller(session, Transport::Internal);
        let versions = registry.versions_for(caller.who());
        let to_hear: Vec<_> = versions.filter(|version| version.manifest.lifecycle.disconnect).cloned().collect();
        // Whatever becomes of the calls below: what they do not get ends here, and what they get ends with them.
        let mut last = self.plugins.end_instances(&session.id);
        if !session.has_begun() {
            return;
        }
        for version in &to_hear {
            let Some(context) = self.event_context(&caller, version) else { return };
            let (called, last) = (version.clone(), last.of(&version.name));
            let call = async move { called.on_disconnect(context, reason, last).await };
            self.lifecycle.spawn("disconnect", version, call);
        }
    }

    fn event_context(&self, caller: &Caller, version: &PluginVersion) -> Option<CallContext> {
        let effects = self.as_effects()?;
        Some(context::of_event(&self.config.load(), caller.clone(), version, effects))
    }
}

/// What a plugin asks to see is one thing, and what the operator lets it see is another.
fn wants(version: &PluginVersion, topic: &str) -> bool {
    let patterns = &version.manifest.lifecycle.topics;
    version.may_use_topic(topic)
        && patterns.iter().any(|text| Pattern::parse(text).is_ok_and(|pattern| pattern.matches(topic)))
}
