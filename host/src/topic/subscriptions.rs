//! Who listens to what, and the one way a publication takes to all of them.
//!
//! A topic has a lock of its own. A publication gets its offset and reaches its receivers under it, so
//! that every subscriber sees offsets rise by one. Locks are taken in one order: topic, then patterns;
//! and no guard of a map is held while a topic is locked for delivery.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Instant,
};

use dashmap::DashMap;
use prometheus_client::metrics::gauge::Gauge;
use switchboard_protocol::MessageType;

use super::{
    Publication, TopicFault,
    access::{Access, Use, View},
    channel::{Channel, Options, Position, Stirred, Subscription},
    founders::Founders,
    history::{Bounds, Budget},
    pattern::{self, Pattern},
    presence::Who,
    receiver::{Receiver, Subscriber},
};
use crate::{
    auth::Principal,
    config::{Config, LiveConfig},
};

/// Payload bytes in the histories of all topics.
const MAX_HISTORY_BYTES: usize = 64 * 1024 * 1024;

/// Members that one call can list: the answer has to fit into a message.
const MAX_MEMBERS_LISTED: usize = 1000;

type Tenant = Option<Arc<str>>;
/// By their text, and then by session.
type Patterns<R> = HashMap<Arc<str>, (Pattern, HashMap<Arc<str>, Arc<Subscriber<R>>>)>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TopicKey {
    pub tenant: Tenant,
    pub name: Arc<str>,
}

/// A session and its subscriptions: names and patterns, and whether it asked for presence.
#[derive(Debug)]
pub(super) struct Joined<R> {
    pub subscriber: Arc<Subscriber<R>>,
    pub topics: HashMap<TopicKey, bool>,
}

/// Where a publication ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub position: Position,
    pub receivers: u32,
}

/// What is to be published, and to whom not.
#[derive(Debug)]
pub(crate) struct NewPublication<'a> {
    pub name: &'a str,
    pub message_type: MessageType,
    /// The text of a JSON object.
    pub payload: Arc<str>,
    pub timestamp: f64,
    pub exclude_session: Option<&'a str>,
}

pub(crate) struct Topics<R> {
    pub(super) config: LiveConfig,
    pub(super) topics: DashMap<TopicKey, Arc<Mutex<Channel<R>>>>,
    patterns: DashMap<Tenant, Patterns<R>>,
    pub(super) by_session: DashMap<Arc<str>, Joined<R>>,
    /// Topics with changes of presence that wait to be told.
    stirred: Mutex<HashSet<TopicKey>>,
    pub(super) budget: Arc<Budget>,
    pub(super) founders: Arc<Founders>,
    /// Names this run of the process.
    pub(super) run: Arc<str>,
    /// Tells the lives of a topic apart that was forgotten and came back.
    pub(super) lives: AtomicU64,
    subscriptions: Gauge,
}

impl<R: Receiver> Topics<R> {
    /// `run` names this run of the process.
    pub fn new(run: Arc<str>, subscriptions: Gauge, config: LiveConfig) -> Self {
        Self {
            config,
            topics: DashMap::new(),
            patterns: DashMap::new(),
            by_session: DashMap::new(),
            stirred: Mutex::default(),
            budget: Arc::new(Budget::new(MAX_HISTORY_BYTES)),
            founders: Arc::default(),
            run,
            lives: AtomicU64::new(0),
            subscriptions,
        }
    }

    /// Subscribes a session to a topic or a pattern. A pattern has the position 0.
    pub fn subscribe(
        &self,
        session_id: &Arc<str>,
        receiver: R,
        name: &str,
        options: &Options,
    ) -> Result<Subscription, TopicFault> {
        self.join(session_id, receiver, name, options, false)
    }

    /// Puts a subscription back that a session had: nothing is replayed, and nobody is told.
    pub fn resubscribe(
        &self,
        session_id: &Arc<str>,
        receiver: R,
        name: &str,
        presence: bool,
    ) -> Result<(), TopicFault> {
        self.join(session_id, receiver, name, &Options { since: None, presence }, true).map(|_| ())
    }

    fn join(
        &self,
        session_id: &Arc<str>,
        receiver: R,
        name: &str,
        options: &Options,
        quietly: bool,
    ) -> Result<Subscription, TopicFault> {
        let pattern = check_subscription(name, options)?;
        let (config, principal) = (self.config.load(), receiver.principal());
        let access = Access::of(&config.topics);
        access.check(&principal, name, Use::Read)?;
        let key = key(principal.tenant.as_deref(), name);
        // What a session had before a restart, it may have after it.
        let max = if quietly { usize::MAX } else { config.limits.max_subscriptions };
        let (subscriber, added) = self.note(session_id, receiver, &key, &access, max)?;
        let subscription = match pattern {
            Some(pattern) => Ok(self.join_pattern(&key, pattern, &subscriber)),
            None => self.join_topic(&key, &subscriber, options, quietly, &config, &access),
        };
        match &subscription {
            Ok(_) if options.presence => self.note_presence(session_id, &key),
            Err(_) if added => drop(self.unnote(session_id, &key)),
            _ => {}
        }
        subscription
    }

    fn join_pattern(&self, key: &TopicKey, pattern: Pattern, subscriber: &Arc<Subscriber<R>>) -> Subscription {
        let mut patterns = self.patterns.entry(key.tenant.clone()).or_default();
        let (_, members) = patterns.entry(key.name.clone()).or_insert_with(|| (pattern, HashMap::new()));
        members.insert(subscriber.session_id.clone(), subscriber.clone());
        let position = Position { offset: 0, epoch: self.run.clone() };
        Subscription { position, recovered: false, replayed: 0 }
    }

    fn join_topic(
        &self,
        key: &TopicKey,
        subscriber: &Arc<Subscriber<R>>,
        options: &Options,
        quietly: bool,
        config: &Config,
        access: &Access,
    ) -> Result<Subscription, TopicFault> {
        let subject = &subscriber.receiver.principal().subject;
        let joined = self.with_topic(key, subject, config, |topic, now| {
            topic.history.expire(now, config.topics.history_ttl);
            topic.join(subscriber, options, quietly, access, now)
        })?;
        let Ok((subscription, stirred)) = joined else {
            let problem = "as many subscribers as there can be are told of presence; subscribe without it";
            return Err(TopicFault::LimitExceeded(problem.to_owned()));
        };
        self.stir(key, stirred);
        Ok(subscription)
    }

    /// Says whether the session was subscribed.
    pub fn unsubscribe(&self, tenant: Option<&str>, session_id: &str, name: &str) -> bool {
        let key = key(tenant, name);
        let was = self.unnote(session_id, &key);
        if was {
            self.leave(session_id, &key);
        }
        was
    }

    /// Ends all subscriptions of a session.
    pub fn forget_session(&self, session_id: &str) {
        let Some((_, joined)) = self.by_session.remove(session_id) else { return };
        self.subscriptions.dec_by(i64::try_from(joined.topics.len()).unwrap_or(i64::MAX));
        for key in joined.topics.keys() {
            self.leave(session_id, key);
        }
    }

    /// Publishes to a topic on behalf of a user.
    pub fn publish(&self, publisher: &Principal, publication: NewPublication<'_>) -> Result<Receipt, TopicFault> {
        let NewPublication { name, message_type, payload, timestamp, exclude_session } = publication;
        pattern::check_name(name)?;
        let config = self.config.load();
        let access = Access::of(&config.topics);
        access.check(publisher, name, Use::Publish)?;
        let key = key(publisher.tenant.as_deref(), name);
        let view = access.view(name);
        let publisher: Arc<str> = publisher.subject.as_str().into();
        self.with_topic(&key, &publisher.clone(), &config, |topic, now| {
            let offset = topic.history.next_offset();
            let publication = Publication { offset, message_type, payload, publisher, timestamp };
            let frame = R::publication(name, &topic.epoch, &publication);
            let mut receivers = topic.deliver(&frame, &view, &access, exclude_session);
            self.each_by_pattern(&key, topic, &view, &access, |subscriber| {
                if exclude_session != Some(&*subscriber.session_id) {
                    receivers += u32::from(subscriber.receiver.push(&frame));
                }
            });
            topic.history.keep(publication, now, bounds(&config));
            Receipt { position: Position { offset, epoch: topic.epoch.clone() }, receivers }
        })
    }

    /// Those who subscribed to the topic itself, at most [`MAX_MEMBERS_LISTED`].
    pub fn members(&self, reader: &Principal, name: &str) -> Result<Vec<Who>, TopicFault> {
        let mut members = self.existing(reader, name, |topic, _| topic.members(MAX_MEMBERS_LISTED))?;
        members.sort_by(|a, b| a.connection_id.cmp(&b.connection_id));
        Ok(members)
    }

    /// The newest publications, oldest first.
    pub fn history(&self, reader: &Principal, name: &str, limit: usize) -> Result<Vec<Publication>, TopicFault> {
        self.existing(reader, name, |topic, config| topic.newest(limit, Instant::now(), bounds(config)))
    }

    /// Tells changes of presence that have waited. To be called about every [`super::presence::WINDOW`].
    pub fn tell_presence(&self, now: Instant) {
        let stirred = std::mem::take(&mut *self.stirred.lock().unwrap_or_else(PoisonError::into_inner));
        if stirred.is_empty() {
            return;
        }
        let access = Access::of(&self.config.load().topics);
        for key in stirred {
            let topic = self.topics.get(&key).map(|entry| entry.value().clone());
            if let Some(topic) = topic {
                let left = lock(&topic).tell_waiting(&access, now);
                self.stir(&key, left);
            }
        }
    }

    /// Topics, tenants with patterns, sessions, and users for whom topics are counted.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.topics.len(), self.patterns.len(), self.by_session.len(), self.founders.len()]
    }

    #[cfg(test)]
    pub(super) fn subscription_count(&self) -> i64 {
        self.subscriptions.get()
    }

    #[cfg(test)]
    pub(super) fn history_bytes(&self) -> usize {
        self.budget.used()
    }

    /// Visits each who subscribed by patterns alone, once, and who may see the topic.
    fn each_by_pattern(
        &self,
        key: &TopicKey,
        topic: &Channel<R>,
        view: &View<'_>,
        access: &Access,
        mut visit: impl FnMut(&Subscriber<R>),
    ) {
        let Some(patterns) = self.patterns.get(&key.tenant) else { return };
        let mut seen = HashSet::new();
        for (_, subscribers) in patterns.values().filter(|(pattern, _)| pattern.matches(&key.name)) {
            for (session_id, subscriber) in subscribers {
                if !topic.has_member(session_id) && subscriber.sees(access, view) && seen.insert(session_id.clone()) {
                    visit(subscriber);
                }
            }
        }
    }

    /// Writes a subscription down for its session, if it may have one more. Says whether it is new.
    fn note(
        &self,
        session_id: &Arc<str>,
        receiver: R,
        key: &TopicKey,
        access: &Access,
        max: usize,
    ) -> Result<(Arc<Subscriber<R>>, bool), TopicFault> {
        let mut joined = self.by_session.entry(session_id.clone()).or_insert_with(|| {
            let subscriber = Arc::new(Subscriber::new(session_id.clone(), receiver, access));
            Joined { subscriber, topics: HashMap::new() }
        });
        let is_new = !joined.topics.contains_key(key);
        if is_new {
            if joined.topics.len() >= max {
                let problem = format!("the session has {max} subscriptions, as many as it may");
                return Err(TopicFault::LimitExceeded(problem));
            }
            joined.topics.insert(key.clone(), false);
            self.subscriptions.inc();
        }
        Ok((joined.subscriber.clone(), is_new))
    }

    fn note_presence(&self, session_id: &str, key: &TopicKey) {
        if let Some(mut joined) = self.by_session.get_mut(session_id)
            && let Some(presence) = joined.topics.get_mut(key)
        {
            *presence = true;
        }
    }

    pub(super) fn unnote(&self, session_id: &str, key: &TopicKey) -> bool {
        let was = self.by_session.get_mut(session_id).is_some_and(|mut joined| joined.topics.remove(key).is_some());
        if was {
            self.subscriptions.dec();
            self.by_session.remove_if(session_id, |_, joined| joined.topics.is_empty());
        }
        was
    }

    pub(super) fn leave(&self, session_id: &str, key: &TopicKey) {
        if pattern::is_pattern(&key.name) {
            if let Some(mut patterns) = self.patterns.get_mut(&key.tenant) {
                if let Some((_, members)) = patterns.get_mut(&key.name) {
                    members.remove(session_id);
                }
                patterns.retain(|_, (_, members)| !members.is_empty());
            }
            self.patterns.remove_if(&key.tenant, |_, patterns| patterns.is_empty());
            return;
        }
        let topic = self.topics.get(key).map(|entry| entry.value().clone());
        if let Some(topic) = topic {
            let access = Access::of(&self.config.load().topics);
            let stirred = lock(&topic).leave(session_id, &access, Instant::now());
            self.stir(key, stirred);
        }
    }

    fn stir(&self, key: &TopicKey, stirred: Stirred) {
        if stirred == Stirred::Yes {
            self.stirred.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        }
    }
}

/// What a subscription names, if it is a pattern.
fn check_subscription(name: &str, options: &Options) -> Result<Option<Pattern>, TopicFault> {
    if !pattern::is_pattern(name) {
        return pattern::check_name(name).map(|()| None);
    }
    let problem = match options {
        Options { since: Some(_), .. } => "has no position to go on from: subscribe to each topic with its own",
        Options { presence: true, .. } => "has no members: ask for presence with the topic itself",
        _ => return Pattern::parse(name).map(Some),
    };
    Err(TopicFault::Invalid(format!("{name:?} is a pattern, which {problem}")))
}

pub(super) fn bounds(config: &Config) -> Bounds {
    Bounds { max_count: config.limits.topic_history, max_age: config.topics.history_ttl }
}

pub(super) fn key(tenant: Option<&str>, name: &str) -> TopicKey {
    TopicKey { tenant: tenant.map(Into::into), name: name.into() }
}

pub(super) fn lock<R>(topic: &Mutex<Channel<R>>) -> MutexGuard<'_, Channel<R>> {
    topic.lock().unwrap_or_else(PoisonError::into_inner)
}
