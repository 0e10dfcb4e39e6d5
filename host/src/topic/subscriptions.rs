//! Who listens to what, and the one way a publication takes to all of them.
//!
//! A topic has a lock of its own. A publication gets its offset and reaches its receivers under it, so
//! that every subscriber sees offsets rise by one. Locks are taken in one order: topic, then patterns;
//! and no guard of a map is held while a topic is locked for delivery.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::{DashMap, Entry};
use prometheus_client::metrics::gauge::Gauge;
use switchboard_protocol::MessageType;

use super::{
    TopicFault,
    access::{self, Use},
    history::{Budget, History, Publication},
    pattern::{self, Pattern},
};

/// Topics of all tenants. Each costs about a kilobyte beside its history.
const MAX_TOPICS: usize = 100_000;

/// Payload bytes in the histories of all topics.
const MAX_HISTORY_BYTES: usize = 64 * 1024 * 1024;

/// A topic without subscribers is forgotten when its last publication is this old.
const HISTORY_AGE: Duration = Duration::from_secs(600);

/// Members that one call can list: the answer has to fit into a message.
const MAX_MEMBERS_LISTED: usize = 1000;

/// A subscriber, as it is known to everyone who may see it.
#[derive(Debug)]
pub(crate) struct Subscriber<R> {
    pub session_id: Arc<str>,
    pub connection_id: Arc<str>,
    pub subject: Arc<str>,
    /// What publications are handed to.
    pub receiver: R,
}

type Members<R> = HashMap<Arc<str>, Arc<Subscriber<R>>>;
type Tenant = Option<Arc<str>>;
/// By their text.
type Patterns<R> = HashMap<Arc<str>, (Pattern, Members<R>)>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TopicKey {
    tenant: Tenant,
    name: Arc<str>,
}

#[derive(Debug)]
struct Topic<R> {
    members: Members<R>,
    history: History,
    epoch: Arc<str>,
    last_used: Instant,
    /// It has been forgotten: whoever still holds it has to look again.
    dead: bool,
}

/// Where a publication ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub offset: u64,
    pub epoch: Arc<str>,
    pub receivers: u32,
}

#[derive(Debug)]
pub(crate) struct Topics<R> {
    topics: DashMap<TopicKey, Arc<Mutex<Topic<R>>>>,
    patterns: DashMap<Tenant, Patterns<R>>,
    /// The names and patterns of each session.
    by_session: DashMap<Arc<str>, HashSet<TopicKey>>,
    budget: Arc<Budget>,
    /// Names this run of the process.
    run: Arc<str>,
    /// Tells the lives of a topic apart that was forgotten and came back.
    lives: AtomicU64,
    subscriptions: Gauge,
}

impl<R> Topics<R> {
    /// `run` names this run of the process.
    pub fn new(run: Arc<str>, subscriptions: Gauge) -> Self {
        Self {
            topics: DashMap::new(),
            patterns: DashMap::new(),
            by_session: DashMap::new(),
            budget: Arc::new(Budget::new(MAX_HISTORY_BYTES)),
            run,
            lives: AtomicU64::new(0),
            subscriptions,
        }
    }

    /// Subscribes to a topic or a pattern. Returns the topic's position; 0 for a pattern.
    pub fn subscribe(
        &self,
        tenant: Option<&str>,
        subscriber: Subscriber<R>,
        name: &str,
        max_per_session: usize,
    ) -> Result<(u64, Arc<str>), TopicFault> {
        let pattern = if pattern::is_pattern(name) { Some(Pattern::parse(name)?) } else { None };
        if pattern.is_none() {
            pattern::check_name(name)?;
        }
        access::check(&subscriber.subject, name, Use::Read)?;
        let key = key(tenant, name);
        let added = self.note(&subscriber.session_id, &key, max_per_session)?;
        let session_id = subscriber.session_id.clone();
        let position = match pattern {
            Some(pattern) => {
                let mut patterns = self.patterns.entry(key.tenant.clone()).or_default();
                let (_, members) = patterns.entry(key.name.clone()).or_insert_with(|| (pattern, HashMap::new()));
                members.insert(session_id.clone(), Arc::new(subscriber));
                Ok((0, self.run.clone()))
            }
            None => self.with_topic(&key, |topic| {
                topic.members.insert(session_id.clone(), Arc::new(subscriber));
                (topic.history.last_offset(), topic.epoch.clone())
            }),
        };
        if position.is_err() && added {
            self.unnote(&session_id, &key);
        }
        position
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
        let Some((_, keys)) = self.by_session.remove(session_id) else { return };
        self.subscriptions.dec_by(i64::try_from(keys.len()).unwrap_or(i64::MAX));
        for key in keys {
            self.leave(session_id, &key);
        }
    }

    /// Publishes to a topic: `encode` makes the frame once, `deliver` hands it to each receiver and says
    /// whether it was taken.
    pub fn publish<F>(
        &self,
        tenant: Option<&str>,
        publication: NewPublication<'_>,
        encode: impl FnOnce(&Publication, &str) -> F,
        mut deliver: impl FnMut(&R, &F) -> bool,
    ) -> Result<Receipt, TopicFault> {
        let NewPublication { name, publisher, message_type, payload, timestamp, exclude_session, history } =
            publication;
        pattern::check_name(name)?;
        access::check(&publisher, name, Use::Publish)?;
        let key = key(tenant, name);
        self.with_topic(&key, |topic| {
            let offset = topic.history.next_offset();
            let publication = Publication { offset, message_type, payload, publisher, timestamp };
            let frame = encode(&publication, &topic.epoch);
            let mut receivers = 0;
            self.each_receiver(&key, &topic.members, |subscriber| {
                if exclude_session != Some(&*subscriber.session_id) && deliver(&subscriber.receiver, &frame) {
                    receivers += 1;
                }
            });
            topic.history.keep(publication, history);
            Receipt { offset, epoch: topic.epoch.clone(), receivers }
        })
    }

    /// Those who subscribed to the topic itself, at most [`MAX_MEMBERS_LISTED`].
    pub fn members(
        &self,
        tenant: Option<&str>,
        subject: &str,
        name: &str,
    ) -> Result<Vec<Arc<Subscriber<R>>>, TopicFault> {
        self.existing(tenant, subject, name, |topic| {
            let mut members: Vec<_> = topic.members.values().take(MAX_MEMBERS_LISTED).cloned().collect();
            members.sort_by(|a, b| a.connection_id.cmp(&b.connection_id));
            members
        })
    }

    /// The newest publications, oldest first.
    pub fn history(
        &self,
        tenant: Option<&str>,
        subject: &str,
        name: &str,
        limit: usize,
    ) -> Result<Vec<Publication>, TopicFault> {
        self.existing(tenant, subject, name, |topic| topic.history.newest(limit))
    }

    /// Forgets topics that nobody listens to and that have nothing recent. To be called now and then.
    pub fn reap(&self, now: Instant) {
        self.topics.retain(|_, topic| {
            let mut topic = lock(topic);
            topic.dead = topic.members.is_empty()
                && (topic.history.last_offset() == 0 || now.saturating_duration_since(topic.last_used) > HISTORY_AGE);
            !topic.dead
        });
    }

    /// Topics that exist now.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.topics.len()
    }

    fn existing<T: Default>(
        &self,
        tenant: Option<&str>,
        subject: &str,
        name: &str,
        read: impl FnOnce(&Topic<R>) -> T,
    ) -> Result<T, TopicFault> {
        pattern::check_name(name)?;
        access::check(subject, name, Use::Read)?;
        let topic = self.topics.get(&key(tenant, name)).map(|entry| entry.value().clone());
        Ok(topic.map(|topic| read(&lock(&topic))).unwrap_or_default())
    }

    /// Runs `change` on a topic that is alive, and makes it first if need be.
    fn with_topic<T>(&self, key: &TopicKey, change: impl FnOnce(&mut Topic<R>) -> T) -> Result<T, TopicFault> {
        loop {
            let found = self.topics.get(key).map(|entry| entry.value().clone());
            let topic = match found {
                Some(topic) => topic,
                None => self.create(key)?,
            };
            let mut topic = lock(&topic);
            if !topic.dead {
                topic.last_used = Instant::now();
                return Ok(change(&mut topic));
            }
        }
    }

    fn create(&self, key: &TopicKey) -> Result<Arc<Mutex<Topic<R>>>, TopicFault> {
        if self.topics.len() >= MAX_TOPICS {
            return Err(TopicFault::LimitExceeded(format!("there are {MAX_TOPICS} topics, and no more are possible")));
        }
        let life = self.lives.fetch_add(1, Ordering::Relaxed);
        let topic = match self.topics.entry(key.clone()) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => entry
                .insert(Arc::new(Mutex::new(Topic {
                    members: HashMap::new(),
                    history: History::new(self.budget.clone()),
                    epoch: format!("{}-{life:x}", self.run).into(),
                    last_used: Instant::now(),
                    dead: false,
                })))
                .clone(),
        };
        Ok(topic)
    }

    /// Visits each receiver of a topic once, whether it subscribed by name, by patterns, or both.
    fn each_receiver(&self, key: &TopicKey, members: &Members<R>, mut visit: impl FnMut(&Subscriber<R>)) {
        members.values().for_each(|subscriber| visit(subscriber));
        let Some(patterns) = self.patterns.get(&key.tenant) else { return };
        let mut seen = HashSet::new();
        for (_, subscribers) in patterns.values().filter(|(pattern, _)| pattern.matches(&key.name)) {
            for (session_id, subscriber) in subscribers {
                if !members.contains_key(session_id)
                    && access::may_see(&subscriber.subject, &key.name)
                    && seen.insert(session_id.clone())
                {
                    visit(subscriber);
                }
            }
        }
    }

    /// Writes a subscription down for its session, if it may have one more. Says whether it is new.
    fn note(&self, session_id: &Arc<str>, key: &TopicKey, max: usize) -> Result<bool, TopicFault> {
        let mut keys = self.by_session.entry(session_id.clone()).or_default();
        if keys.contains(key) {
            return Ok(false);
        }
        if keys.len() >= max {
            return Err(TopicFault::LimitExceeded(format!("the session has {max} subscriptions, as many as it may")));
        }
        keys.insert(key.clone());
        self.subscriptions.inc();
        Ok(true)
    }

    fn unnote(&self, session_id: &str, key: &TopicKey) -> bool {
        let was = self.by_session.get_mut(session_id).is_some_and(|mut keys| keys.remove(key));
        if was {
            self.subscriptions.dec();
            self.by_session.remove_if(session_id, |_, keys| keys.is_empty());
        }
        was
    }

    fn leave(&self, session_id: &str, key: &TopicKey) {
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
            lock(&topic).members.remove(session_id);
        }
    }
}

/// What is to be published, and to whom not.
#[derive(Debug)]
pub(crate) struct NewPublication<'a> {
    pub name: &'a str,
    pub publisher: Arc<str>,
    pub message_type: MessageType,
    pub payload: Arc<str>,
    pub timestamp: f64,
    pub exclude_session: Option<&'a str>,
    /// How many publications the topic keeps.
    pub history: usize,
}

fn key(tenant: Option<&str>, name: &str) -> TopicKey {
    TopicKey { tenant: tenant.map(Into::into), name: name.into() }
}

fn lock<R>(topic: &Mutex<Topic<R>>) -> MutexGuard<'_, Topic<R>> {
    topic.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics<&'static str> {
        Topics::new("run".into(), Gauge::default())
    }

    fn subscriber(session: &'static str, subject: &str) -> Subscriber<&'static str> {
        Subscriber {
            session_id: session.into(),
            connection_id: format!("ws_{session}").into(),
            subject: subject.into(),
            receiver: session,
        }
    }

    fn publish(topics: &Topics<&'static str>, tenant: Option<&str>, name: &str) -> (Receipt, Vec<&'static str>) {
        let mut reached = Vec::new();
        let publication = NewPublication {
            name,
            publisher: "alice".into(),
            message_type: MessageType::parse("m").unwrap(),
            payload: "{}".into(),
            timestamp: 1.0,
            exclude_session: Some("excluded"),
            history: 3,
        };
        let receipt = topics
            .publish(
                tenant,
                publication,
                |_, _| (),
                |receiver, ()| {
                    reached.push(*receiver);
                    true
                },
            )
            .unwrap();
        reached.sort_unstable();
        (receipt, reached)
    }

    #[test]
    fn a_publication_reaches_each_subscriber_once_and_offsets_rise() {
        let topics = topics();
        for (session, name) in [("a", "room.1"), ("a", "room.*"), ("a", "**"), ("b", "room.*"), ("c", "room.2")] {
            topics.subscribe(None, subscriber(session, session), name, 10).unwrap();
        }
        topics.subscribe(None, subscriber("excluded", "x"), "room.1", 10).unwrap();
        let (receipt, reached) = publish(&topics, None, "room.1");
        assert_eq!((receipt.offset, receipt.receivers), (1, 2));
        assert_eq!(reached, ["a", "b"]);
        assert_eq!(publish(&topics, None, "room.1").0.offset, 2);
        assert_eq!(topics.history(None, "a", "room.1", 10).unwrap().len(), 2);
    }

    #[test]
    fn tenants_and_users_do_not_see_one_another() {
        let topics = topics();
        topics.subscribe(Some("acme"), subscriber("a", "alice"), "room", 10).unwrap();
        topics.subscribe(None, subscriber("b", "bob"), "**", 10).unwrap();
        assert_eq!(publish(&topics, Some("other"), "room").1, Vec::<&str>::new());
        assert_eq!(publish(&topics, None, "user.carol.inbox").1, Vec::<&str>::new());
        assert_eq!(publish(&topics, None, "user.bob.inbox").1, ["b"]);
        assert!(topics.history(None, "bob", "user.carol.inbox", 1).is_err());
        assert!(topics.members(Some("other"), "alice", "room").unwrap().is_empty());
    }

    #[test]
    fn a_session_has_so_many_subscriptions_and_doing_it_again_changes_nothing() {
        let topics = topics();
        topics.subscribe(None, subscriber("a", "alice"), "one", 2).unwrap();
        topics.subscribe(None, subscriber("a", "alice"), "one", 2).unwrap();
        topics.subscribe(None, subscriber("a", "alice"), "*", 2).unwrap();
        let refused = topics.subscribe(None, subscriber("a", "alice"), "three", 2);
        assert!(matches!(refused, Err(TopicFault::LimitExceeded(_))));
        assert!(topics.unsubscribe(None, "a", "one") && !topics.unsubscribe(None, "a", "one"));
        assert!(topics.subscribe(None, subscriber("a", "alice"), "three", 2).is_ok());
        assert_eq!(topics.subscriptions.get(), 2);
    }

    #[test]
    fn a_session_that_ends_leaves_nothing_behind() {
        let topics = topics();
        topics.subscribe(None, subscriber("a", "alice"), "one", 9).unwrap();
        topics.subscribe(None, subscriber("a", "alice"), "one.*", 9).unwrap();
        topics.forget_session("a");
        topics.forget_session("a");
        topics.reap(Instant::now());
        assert_eq!((topics.len(), topics.patterns.len(), topics.by_session.len()), (0, 0, 0));
        assert_eq!(topics.subscriptions.get(), 0);
    }

    #[test]
    fn a_forgotten_topic_comes_back_under_another_epoch() {
        let topics = topics();
        let (first, _) = publish(&topics, None, "room");
        topics.reap(Instant::now());
        assert_eq!(topics.len(), 1, "its history is recent");
        topics.reap(Instant::now() + HISTORY_AGE * 2);
        assert_eq!(topics.len(), 0);
        let (second, _) = publish(&topics, None, "room");
        assert_eq!((first.offset, second.offset), (1, 1));
        assert_ne!(first.epoch, second.epoch);
    }
}
