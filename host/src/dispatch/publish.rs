//! Topics on behalf of a caller: what plugins ask for, and what subscribers are handed.
//!
//! A publication is encoded once, however many receive it.

use std::{sync::Arc, time::SystemTime};

use serde_json::value::RawValue;
use switchboard_protocol::{MessageType, ServerMessage, unix_seconds};

use super::deliver::Deliver;
use crate::{
    plugin::effects::{Caller, TopicError, TopicMember, TopicPosition, TopicPublication},
    session::Frame,
    topic::{Publication, Subscriber, TopicFault, subscriptions::NewPublication},
};

impl Deliver {
    pub(super) fn subscribe_to(&self, caller: &Caller, topic: &str) -> Result<TopicPosition, TopicError> {
        let Some(session) = self.sessions.by_id(&caller.session_id) else {
            return Err(TopicError::Forbidden("the caller's session has ended".into()));
        };
        let subscriber = Subscriber {
            session_id: session.id.clone(),
            connection_id: session.connection_id.clone(),
            subject: caller.principal.subject.as_str().into(),
            receiver: session,
        };
        let max = self.config.load().limits.max_subscriptions;
        let (offset, epoch) = self.topics.subscribe(caller.principal.tenant.as_deref(), subscriber, topic, max)?;
        Ok(TopicPosition { offset, epoch: epoch.to_string() })
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
            |session, frame| session.outbox.push(frame.clone()).is_ok(),
        )?;
        self.metrics.topic_deliveries.inc_by(u64::from(receipt.receivers));
        self.published(caller, topic, message_type, payload, timestamp);
        Ok((TopicPosition { offset: receipt.offset, epoch: receipt.epoch.to_string() }, receipt.receivers))
    }

    pub(super) fn members_of(&self, caller: &Caller, topic: &str) -> Result<Vec<TopicMember>, TopicError> {
        let principal = &caller.principal;
        let members = self.topics.members(principal.tenant.as_deref(), &principal.subject, topic)?;
        let member = |member: Arc<Subscriber<_>>| TopicMember {
            connection_id: member.connection_id.clone(),
            subject: member.subject.to_string(),
        };
        Ok(members.into_iter().map(member).collect())
    }

    pub(super) fn history_of(
        &self,
        caller: &Caller,
        topic: &str,
        limit: u32,
    ) -> Result<Vec<TopicPublication>, TopicError> {
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
