//! What all sessions share that nobody listens to: a budget of memory, and the order in which they
//! give way.
//!
//! It only counts and lists. Who looks after it waits for [`Detached::attention`].

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::Notify;

/// What a session costs beside what waits in it.
const SESSION_OVERHEAD: usize = 2 * 1024;

#[derive(Debug)]
pub(crate) struct Detached {
    /// Bytes.
    limit: AtomicUsize,
    used: AtomicUsize,
    lists: Mutex<Lists>,
    attention: Notify,
}

#[derive(Debug, Default)]
struct Lists {
    /// The one that was left first comes first.
    order: BTreeSet<(Instant, Arc<str>)>,
    /// Ended by themselves, and not yet forgotten by everybody else.
    overflowed: Vec<Arc<str>>,
}

/// The share of one session. It is never given back twice.
#[derive(Debug, Default)]
pub(super) struct Share(usize);

impl Detached {
    pub fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            lists: Mutex::default(),
            attention: Notify::new(),
        }
    }

    /// Bytes that may be used from now on.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Bytes.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.used() > self.limit.load(Ordering::Relaxed)
    }

    pub fn count(&self) -> usize {
        self.lists().order.len()
    }

    /// The session that was left first, and when.
    pub fn oldest(&self) -> Option<(Instant, Arc<str>)> {
        self.lists().order.first().cloned()
    }

    /// Sessions that held more than one may, since the last call.
    pub fn take_overflowed(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.lists().overflowed)
    }

    /// Returns when something may have to be done. One task may wait.
    pub async fn attention(&self) {
        self.attention.notified().await;
    }

    pub(super) fn enter(&self, id: &Arc<str>, since: Instant) {
        self.lists().order.insert((since, id.clone()));
        self.attention.notify_one();
    }

    /// It is no longer one of them.
    pub fn leave(&self, id: &Arc<str>, since: Instant) {
        self.lists().order.remove(&(since, id.clone()));
        // What is shown of them has changed.
        self.attention.notify_one();
    }

    pub(super) fn overflowed(&self, id: &Arc<str>) {
        self.lists().overflowed.push(id.clone());
        self.attention.notify_one();
    }

    /// Makes a share as large as a session with so much in it.
    pub(super) fn hold(&self, share: &mut Share, footprint: usize) {
        self.set(share, footprint + SESSION_OVERHEAD);
        if self.is_over() {
            self.attention.notify_one();
        }
    }

    /// For a session that ended, or that somebody listens to again.
    pub(super) fn give_back(&self, share: &mut Share) {
        self.set(share, 0);
    }

    fn set(&self, share: &mut Share, bytes: usize) {
        if bytes >= share.0 {
            self.used.fetch_add(bytes - share.0, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(share.0 - bytes, Ordering::Relaxed);
        }
        share.0 = bytes;
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back_whole() {
        let (detached, mut one, mut two) = (Detached::new(SESSION_OVERHEAD * 2), Share::default(), Share::default());
        detached.hold(&mut one, 10);
        assert!(!detached.is_over());
        detached.hold(&mut two, 5);
        assert!(detached.is_over());
        detached.hold(&mut one, 3);
        assert_eq!(detached.used(), 2 * SESSION_OVERHEAD + 8);
        detached.give_back(&mut one);
        detached.give_back(&mut one);
        detached.give_back(&mut two);
        assert_eq!(detached.used(), 0);
    }

    #[test]
    fn the_one_that_was_left_first_gives_way_first() {
        let (detached, now) = (Detached::new(0), Instant::now());
        let later = now + Duration::from_secs(1);
        detached.enter(&"b".into(), later);
        detached.enter(&"a".into(), now);
        assert_eq!(detached.oldest(), Some((now, "a".into())));
        detached.leave(&"a".into(), now);
        assert_eq!((detached.oldest(), detached.count()), (Some((later, "b".into())), 1));
    }
}
