//! Topics across a restart: what is worth keeping, as plain data, and back.
//!
//! Epochs and offsets go on, so that a client's position means the same afterwards. Subscriptions are not
//! here: they are the sessions', which list theirs and subscribe again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use switchboard_protocol::MessageType;

use super::{
    Publication, Topics,
    pattern::{check_name, is_pattern},
    receiver::Receiver,
    subscriptions::{bounds, key, lock},
};

/// A topic and what it remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedTopic {
    pub tenant: Option<String>,
    pub name: String,
    pub epoch: String,
    pub last_offset: u64,
    /// Subject of the user for whom it is counted.
    pub founder: Option<String>,
    /// The last ones, without a gap, oldest first: the last of them has `last_offset`.
    pub publications: Vec<SavedPublication>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedPublication {
    pub message_type: String,
    /// The text of a JSON object.
    pub payload: String,
    pub publisher: String,
    /// Unix seconds.
    pub timestamp: f64,
}

/// A subscription of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedSubscription {
    pub tenant: Option<String>,
    /// A topic or a pattern.
    pub name: String,
    pub presence: bool,
}

impl<R: Receiver> Topics<R> {
    /// All topics, when nothing is published any more.
    pub fn export(&self) -> Vec<SavedTopic> {
        let (now, ttl) = (Instant::now(), self.config.load().topics.history_ttl);
        let all: Vec<_> = self.topics.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect();
        let saved = all.into_iter().filter_map(|(key, topic)| {
            let mut topic = lock(&topic);
            topic.is_worth_keeping(now, ttl).then(|| SavedTopic {
                tenant: key.tenant.as_deref().map(str::to_owned),
                name: key.name.to_string(),
                epoch: topic.epoch.to_string(),
                last_offset: topic.history.last_offset(),
                founder: topic.founder.as_ref().map(|share| share.subject().to_string()),
                publications: topic.history.newest(usize::MAX).map(SavedPublication::of).collect(),
            })
        });
        saved.collect()
    }

    /// Puts topics back that were saved, before anybody subscribes or publishes. `now` in Unix seconds
    /// tells how old their publications have become. What is out of form is left out, and so is a topic
    /// that is there already.
    pub fn restore(&self, saved: Vec<SavedTopic>, now: f64) {
        let (config, instant) = (self.config.load(), Instant::now());
        for topic in saved {
            let key = key(topic.tenant.as_deref(), &topic.name);
            if check_name(&topic.name).is_err() || self.topics.contains_key(&key) {
                continue;
            }
            // A bound that was lowered meanwhile takes no topic away.
            let share = |subject: String| self.founders.share((key.tenant.clone(), subject.into()), usize::MAX);
            let founder = topic.founder.and_then(share);
            let Some(entry) = self.insert(&key, topic.epoch.into(), topic.last_offset, founder) else { return };
            let mut channel = lock(&entry);
            // All or none: a gap would be taken for what was never published.
            for publication in restored(topic.publications, topic.last_offset).unwrap_or_default() {
                let age = Duration::try_from_secs_f64((now - publication.timestamp).max(0.0)).unwrap_or(Duration::MAX);
                // A clock that began after the publication cannot say when it was, so its age begins anew.
                let when = instant.checked_sub(age).unwrap_or(instant);
                channel.history.keep(publication, when, bounds(&config));
            }
            channel.history.expire(instant, config.topics.history_ttl);
        }
    }

    /// What a session is subscribed to, for [`Topics::resubscribe`].
    pub fn subscriptions_of(&self, session_id: &str) -> Vec<SavedSubscription> {
        let Some(joined) = self.by_session.get(session_id) else { return Vec::new() };
        let saved = joined.topics.iter().map(|(key, presence)| SavedSubscription {
            tenant: key.tenant.as_deref().map(str::to_owned),
            name: key.name.to_string(),
            presence: *presence && !is_pattern(&key.name),
        });
        saved.collect()
    }
}

fn restored(saved: Vec<SavedPublication>, last_offset: u64) -> Option<Vec<Publication>> {
    let before = last_offset.checked_sub(saved.len() as u64)?;
    (before + 1..).zip(saved).map(|(offset, publication)| publication.restored(offset)).collect()
}

impl SavedPublication {
    fn of(publication: &Publication) -> Self {
        Self {
            message_type: publication.message_type.to_string(),
            payload: publication.payload.to_string(),
            publisher: publication.publisher.to_string(),
            timestamp: publication.timestamp,
        }
    }

    fn restored(self, offset: u64) -> Option<Publication> {
        Some(Publication {
            offset,
            message_type: MessageType::parse(&self.message_type).ok()?,
            payload: Arc::from(self.payload),
            publisher: Arc::from(self.publisher),
            timestamp: self.timestamp,
        })
    }
}
