//! How topics come into being and are forgotten.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Instant,
};

use super::{
    TopicFault, Topics,
    access::{Access, Use},
    channel::Channel,
    founders::Share,
    history::History,
    pattern,
    receiver::Receiver,
    subscriptions::{TopicKey, key, lock},
};
use crate::{auth::Principal, config::Config};

/// Topics of all tenants. Each costs about a kilobyte beside its history.
const MAX_TOPICS: usize = 100_000;

impl<R: Receiver> Topics<R> {
    /// Reads a topic that somebody may read; what there is of one that does not exist is nothing.
    pub(super) fn existing<T: Default>(
        &self,
        reader: &Principal,
        name: &str,
        read: impl FnOnce(&mut Channel<R>, &Config) -> T,
    ) -> Result<T, TopicFault> {
        pattern::check_name(name)?;
        let config = self.config.load();
        Access::of(&config.topics).check(reader, name, Use::Read)?;
        let topic = self.topics.get(&key(reader.tenant.as_deref(), name)).map(|entry| entry.value().clone());
        Ok(topic.map(|topic| read(&mut lock(&topic), &config)).unwrap_or_default())
    }

    /// Runs `change` on a topic that is alive, and makes it first if need be, on behalf of a user.
    pub(super) fn with_topic<T>(
        &self,
        key: &TopicKey,
        subject: &str,
        config: &Config,
        change: impl FnOnce(&mut Channel<R>, Instant) -> T,
    ) -> Result<T, TopicFault> {
        loop {
            let found = self.topics.get(key).map(|entry| entry.value().clone());
            let topic = match found {
                Some(topic) => topic,
                None => self.create(key, subject, config)?,
            };
            let mut topic = lock(&topic);
            if !topic.dead {
                let now = Instant::now();
                topic.last_used = now;
                return Ok(change(&mut topic, now));
            }
        }
    }

    fn create(&self, key: &TopicKey, subject: &str, config: &Config) -> Result<Arc<Mutex<Channel<R>>>, TopicFault> {
        let max = config.topics.max_per_user;
        let founder = self.founders.share((key.tenant.clone(), subject.into()), max).ok_or_else(|| {
            TopicFault::LimitExceeded(format!("{max} topics exist because of this user, as many as there may be"))
        })?;
        let life = self.lives.fetch_add(1, Ordering::Relaxed);
        let epoch = format!("{}-{life:x}", self.run).into();
        self.insert(key, epoch, 0, Some(founder)).ok_or_else(|| {
            TopicFault::LimitExceeded(format!("there are {MAX_TOPICS} topics, and no more are possible"))
        })
    }

    /// The topic that is there, or else a new one; `None` if there are too many.
    pub(super) fn insert(
        &self,
        key: &TopicKey,
        epoch: Arc<str>,
        last_offset: u64,
        founder: Option<Share>,
    ) -> Option<Arc<Mutex<Channel<R>>>> {
        if self.topics.len() >= MAX_TOPICS {
            return None;
        }
        let topic = self.topics.entry(key.clone()).or_insert_with(|| {
            let history = History::after(last_offset, self.budget.clone());
            Arc::new(Mutex::new(Channel::new(key.name.clone(), epoch, history, founder, Instant::now())))
        });
        Some(topic.clone())
    }

    /// Forgets topics that nobody listens to and that have nothing recent. To be called now and then.
    pub fn reap(&self, now: Instant) {
        let ttl = self.config.load().topics.history_ttl;
        self.topics.retain(|_, topic| {
            let mut topic = lock(topic);
            topic.dead = !topic.is_worth_keeping(now, ttl);
            !topic.dead
        });
    }
}
