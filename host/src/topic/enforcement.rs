//! Subscriptions that rules or a newer token no longer allow.
//!
//! What a publication is shown to is decided when it is made, so nothing is shown that is no longer
//! allowed. Here the subscriptions themselves are ended, so that nobody waits in vain for what does not
//! come, or is listed where it cannot listen.

use std::sync::Arc;

use super::{
    Topics,
    access::{Access, Use},
    receiver::{Receiver, Subscriber},
    subscriptions::TopicKey,
};

/// A subscription that was ended.
#[derive(Debug)]
pub(crate) struct Revoked<R> {
    pub subscriber: Arc<Subscriber<R>>,
    pub name: Arc<str>,
    /// For the client's eyes.
    pub reason: String,
}

impl<R: Receiver> Topics<R> {
    /// Ends what is no longer allowed. It is cheap for sessions whose token and rules are as they were.
    pub fn enforce(&self) -> Vec<Revoked<R>> {
        let access = Access::of(&self.config.load().topics);
        let mut revoked = Vec::new();
        for joined in &self.by_session {
            let subscriber = &joined.subscriber;
            if !subscriber.is_to_be_checked(&access) {
                continue;
            }
            let principal = subscriber.receiver.principal();
            for key in joined.topics.keys() {
                if let Err(fault) = access.check(&principal, &key.name, Use::Read) {
                    revoked.push((subscriber.clone(), key.clone(), fault.to_string()));
                }
            }
        }
        let ended = |(subscriber, key, reason): (Arc<Subscriber<R>>, TopicKey, String)| {
            self.unnote(&subscriber.session_id, &key).then(|| {
                self.leave(&subscriber.session_id, &key);
                Revoked { subscriber, name: key.name, reason }
            })
        };
        revoked.into_iter().filter_map(ended).collect()
    }
}
