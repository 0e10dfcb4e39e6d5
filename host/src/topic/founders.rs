//! How many topics exist because of each user, so that one user cannot use up those of all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A user: tenant and subject.
pub(super) type Founder = (Option<Arc<str>>, Arc<str>);

#[derive(Debug, Default)]
pub(super) struct Founders {
    counts: Mutex<HashMap<Founder, usize>>,
}

/// One topic of a user's. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    founders: Arc<Founders>,
    of: Founder,
}

impl Founders {
    /// Counts one more topic, unless the user has `max`.
    pub fn share(self: &Arc<Self>, of: Founder, max: usize) -> Option<Share> {
        let mut counts = self.lock();
        let count = counts.entry(of.clone()).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Share { founders: self.clone(), of })
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Founder, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    pub fn subject(&self) -> &Arc<str> {
        &self.of.1
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.founders.lock();
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_as_many_as_are_allowed_until_one_ends() {
        let founders = Arc::new(Founders::default());
        let alice = || (None, Arc::from("alice"));
        let shares: Vec<_> = (0..3).map(|_| founders.share(alice(), 2)).collect();
        assert_eq!(shares.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        assert!(founders.share((Some("red".into()), "alice".into()), 2).is_some(), "another tenant's is another user");
        drop(shares);
        assert!(founders.share(alice(), 2).is_some());
        assert_eq!(founders.len(), 0);
    }
}
