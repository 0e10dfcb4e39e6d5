//! Topics on behalf of a caller: what plugins ask for, and what subscribers are handed.
//!
//! A publication is encoded once, however many receive it. A client that cannot take a frame is never
//! waited for: its outbox decides.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use serde::Serialize;
use serde_json::value::RawValue;
use switchboard_protocol::{ErrorPayload, MessageType, ServerMessage, unix_seconds};

use super::{Dispatcher, deliver::Deliver};
use crate::{
    auth::Principal,
    plugin::effects::{
        Caller, SubscribeOptions, TopicError, TopicMember, TopicPosition, TopicPublication, TopicSubscription,
    },
    session::{Frame, Session},
    topic::{NewPublication, Options, Position, PresenceEvent, Publication, Receiver, Subscription, TopicFault, Who},
};

impl Deliver {
    pub(super) fn subscribe_to(
        &self,
        caller: &Caller,
        topic: &str,
        options: SubscribeOptions,
    ) -> Result<TopicSubscription, TopicError> {
        let Some(session) = self.sessions.by_id(&caller.session_id) else {
            return Err(TopicError::Forbidden("the caller's session has ended".into()));
        };
        let since = options.since.map(|since| Position { offset: since.offset, epoch: since.epoch.into() });
        let options = Options { since, presence: options.presence };
        let subscription = self.topics.subscribe(&caller.session_id, session, topic, &options)?;
        let subscription = TopicSubscription::from(subscription);
        self.metrics.topic_deliveries.inc_by(u64::from(subscription.replayed));
        Ok(subscription)
    }

    pub(super) fn unsubscribe_from(&self, caller: &Caller, topic: &str) -> bool {
        self.topics.unsubscribe(caller.principal.tenant.as_deref(), &caller.session_id, topic)
    }

    pub(super) fn publish_to(
        &self,
        caller: &Caller,
        topic: &str,
        message_type: MessageType,
        payload: String,
        exclude_caller: bool,
    ) -> Result<(TopicPosition, u32), TopicError> {
        // Checked before anything gets an offset.
        let _: &RawValue = serde_json::from_str(&payload)
            .map_err(|problem| TopicError::Invalid(format!("the payload is not JSON: {problem}")))?;
        let timestamp = unix_seconds(SystemTime::now());
        let publication = NewPublication {
            name: topic,
            message_type: message_type.clone(),
            payload: payload.as_str().into(),
            timestamp,
            exclude_session: exclude_caller.then_some(&*caller.session_id),
        };
        let receipt = self.topics.publish(&caller.principal, publication)?;
        self.metrics.topic_deliveries.inc_by(u64::from(receipt.receivers));
        self.published(caller, topic, message_type, payload, timestamp);
        Ok((receipt.position.into(), receipt.receivers))
    }

    pub(super) fn members_of(&self, caller: &Caller, topic: &str) -> Result<Vec<TopicMember>, TopicError> {
        let members = self.topics.members(&caller.principal, topic)?;
        let member = |Who { connection_id, subject }: Who| TopicMember { connection_id, subject: subject.to_string() };
        Ok(members.into_iter().map(member).collect())
    }

    pub(super) fn history_of(
        &self,
        caller: &Caller,
        topic: &str,
        limit: u32,
    ) -> Result<Vec<TopicPublication>, TopicError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let publications = self.topics.history(&caller.principal, topic, limit)?;
        let publication = |kept: Publication| TopicPublication {
            offset: kept.offset,
            message_type: kept.message_type,
            payload: kept.payload,
            publisher: kept.publisher,
            timestamp: kept.timestamp,
        };
        Ok(publications.into_iter().map(publication).collect())
    }

    /// Ends subscriptions that are no longer allowed, telling their clients so, and forgets topics that are no
    /// longer used.
    pub(super) fn tidy_topics(&self) {
        for revoked in self.topics.enforce() {
            let payload = ErrorPayload {
                code: "TOPIC_FORBIDDEN".into(),
                error: format!("the subscription to {:?} has ended: {}", revoked.name, revoked.reason),
                timestamp: unix_seconds(SystemTime::now()),
                recoverable: false,
                help: Some("subscribe to what you may read, or refresh the token if it has changed".into()),
                retry_after_ms: None,
            };
            self.host_message(&revoked.subscriber.receiver, "error", payload, None);
        }
        self.topics.reap(Instant::now());
    }
}

impl Dispatcher {
    /// Tells subscribers who came and went since the last time. To be called every
    /// [`super::PRESENCE_WINDOW`].
    pub fn tell_presence(&self) {
        self.deliver.topics.tell_presence(Instant::now());
    }
}

impl Receiver for Arc<Session> {
    type Frame = Frame;

    fn connection_id(&self) -> Arc<str> {
        self.first_connection_id.clone()
    }

    fn principal(&self) -> Arc<Principal> {
        Session::principal(self)
    }

    /// A session that is not filling has three quarters of its bounds left.
    fn has_room(&self, frames: &[Frame]) -> bool {
        let bytes: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
        !self.is_filling() && self.can_hold(bytes + bytes / 3)
    }

    fn push(&self, frame: &Frame) -> bool {
        Session::push(self, frame.clone()).is_ok()
    }

    fn publication(topic: &str, epoch: &str, publication: &Publication) -> Frame {
        // It was JSON when it was published.
        let payload: &RawValue = serde_json::from_str(&publication.payload).unwrap_or(RawValue::NULL);
        frame(&ServerMessage {
            message_type: publication.message_type.as_str().into(),
            payload,
            timestamp: publication.timestamp,
            correlation_id: None,
            topic: Some(topic.into()),
            offset: Some(publication.offset),
            epoch: Some(epoch.into()),
            seq: None,
        })
    }

    fn presence(event: &PresenceEvent<'_>) -> Frame {
        let message_type = if event.joined { "presence_joined" } else { "presence_left" };
        let mut who = event.who.iter().map(Member::from);
        let first = who.next();
        let payload = PresenceChange { topic: event.topic, first, members: event.members, others: who.collect() };
        frame(&ServerMessage::new(message_type, payload))
    }
}

/// The payload of `presence_joined` and `presence_left`.
#[derive(Serialize)]
struct PresenceChange<'a> {
    topic: &'a str,
    #[serde(flatten)]
    first: Option<Member<'a>>,
    /// How many there are now.
    members: usize,
    /// Those who came or went in the same moment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    connection_id: &'a str,
    user_id: &'a str,
}

impl<'a> From<&'a Who> for Member<'a> {
    fn from(who: &'a Who) -> Self {
        Self { connection_id: &who.connection_id, user_id: &who.subject }
    }
}

fn frame(message: &ServerMessage<'_, impl Serialize>) -> Frame {
    // Strings, numbers and JSON that was parsed before can be written.
    Frame::kept(message.encode().unwrap_or_default())
}

impl From<Position> for TopicPosition {
    fn from(position: Position) -> Self {
        Self { offset: position.offset, epoch: position.epoch.to_string() }
    }
}

impl From<Subscription> for TopicSubscription {
    fn from(subscription: Subscription) -> Self {
        Self {
            position: subscription.position.into(),
            recovered: subscription.recovered,
            replayed: u32::try_from(subscription.replayed).unwrap_or(u32::MAX),
        }
    }
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
