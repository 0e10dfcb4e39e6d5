//! How many connections there may be, in all and for one user.
//!
//! A slot that is dropped frees its place; nothing else does. A connection that must give way stops
//! counting at once, is told, and closes by itself.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{auth::Principal, config::OnUserLimit};

/// When a full server may have room again: nobody knows, and it should not be asked all the time.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The count of all connections.
#[derive(Default)]
pub(super) struct Connections(Arc<AtomicUsize>);

/// A place among all connections.
#[derive(Debug)]
pub(crate) struct ConnectionSlot(Arc<AtomicUsize>);

impl Connections {
    /// `None` if the limit is reached. Lowering the limit closes nobody.
    pub fn reserve(&self, limit: usize) -> Option<ConnectionSlot> {
        let more = |count: usize| (count < limit).then_some(count + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(ConnectionSlot(Arc::clone(&self.0)))
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The same subject in two tenants is two users.
pub(super) type User = (Option<String>, String);

/// The connections of each user who has any.
#[derive(Default)]
pub(super) struct Users(Arc<Mutex<ByUser>>);

#[derive(Default)]
struct ByUser {
    /// Grows with each admission, so that the smallest of a user's numbers is their oldest connection.
    next: u64,
    users: HashMap<User, Members>,
}

/// By their numbers. Nearly everybody has one connection, which takes no map.
enum Members {
    One(u64, Member),
    Many(BTreeMap<u64, Member>),
}

type Member = Arc<dyn Evictable>;

/// A connection that can be made to give way to a newer one of its user.
pub(crate) trait Evictable: Send + Sync {
    fn connection_id(&self) -> &str;

    /// It is to end. Called with a lock held: it must not wait, and not come back here.
    fn evict(&self);
}

/// A place among the connections of one user.
pub(crate) struct UserSlot {
    users: Arc<Mutex<ByUser>>,
    user: User,
    number: u64,
}

impl Users {
    /// `None` if the user has as many as allowed, and the new one is the one to give way.
    pub fn admit(
        &self,
        principal: &Principal,
        connection: Arc<dyn Evictable>,
        limit: usize,
        on_limit: OnUserLimit,
    ) -> Option<UserSlot> {
        let user = (principal.tenant.clone(), principal.subject.clone());
        let mut by_user = locked(&self.0);
        let held = by_user.users.get(&user).map_or(0, Members::len);
        if limit == 0 || held >= limit && on_limit == OnUserLimit::Refuse {
            return None;
        }
        let number = by_user.next;
        by_user.next += 1;
        match by_user.users.entry(user.clone()) {
            Entry::Vacant(place) => drop(place.insert(Members::One(number, connection))),
            Entry::Occupied(mut members) => members.get_mut().add(number, connection, limit),
        }
        Some(UserSlot { users: Arc::clone(&self.0), user, number })
    }
}

impl Members {
    fn len(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Many(members) => members.len(),
        }
    }

    /// Adds the newest. The oldest give way to it: more than one, if the limit was lowered meanwhile.
    fn add(&mut self, number: u64, member: Member, limit: usize) {
        let mut members = match std::mem::replace(self, Self::Many(BTreeMap::new())) {
            Self::One(number, member) => BTreeMap::from([(number, member)]),
            Self::Many(members) => members,
        };
        while members.len() >= limit {
            let Some((_, oldest)) = members.pop_first() else { break };
            tracing::info!(
                connection_id = oldest.connection_id(),
                newer = member.connection_id(),
                "the oldest connection of a user gives way"
            );
            oldest.evict();
        }
        members.insert(number, member);
        *self = Self::Many(members);
    }

    /// Says whether there are others.
    fn remove(&mut self, number: u64) -> bool {
        match self {
            Self::One(only, _) => *only != number,
            Self::Many(members) => {
                members.remove(&number);
                !members.is_empty()
            }
        }
    }
}

impl Drop for UserSlot {
    fn drop(&mut self) {
        let mut by_user = locked(&self.users);
        if let Some(members) = by_user.users.get_mut(&self.user)
            && !members.remove(self.number)
        {
            by_user.users.remove(&self.user);
        }
    }
}

/// The maps are never left half changed, so a panic elsewhere does not spoil them.
fn locked(users: &Mutex<ByUser>) -> MutexGuard<'_, ByUser> {
    users.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn user(tenant: Option<&str>, subject: &str) -> Principal {
        Principal::named(tenant, subject)
    }

    /// A connection that has its place.
    struct Held {
        evicted: Arc<AtomicBool>,
        _slot: UserSlot,
    }

    struct Evicted(Arc<AtomicBool>);

    impl Evictable for Evicted {
        fn connection_id(&self) -> &str {
            "ws_1"
        }

        fn evict(&self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    impl Held {
        fn is_evicted(&self) -> bool {
            self.evicted.load(Ordering::SeqCst)
        }
    }

    fn admit(users: &Users, principal: &Principal, limit: usize, on_limit: OnUserLimit) -> Option<Held> {
        let evicted = Arc::<AtomicBool>::default();
        let slot = users.admit(principal, Arc::new(Evicted(evicted.clone())), limit, on_limit)?;
        Some(Held { evicted, _slot: slot })
    }

    fn evicted(held: &[Held]) -> Vec<bool> {
        held.iter().map(Held::is_evicted).collect()
    }

    #[test]
    fn a_slot_is_freed_when_it_is_dropped_and_not_before() {
        let connections = Connections::default();
        let first = connections.reserve(2);
        let second = connections.reserve(2);
        assert!(first.is_some() && second.is_some() && connections.reserve(2).is_none());
        assert!(connections.reserve(3).is_some(), "the limit is that of the moment");
        drop(first);
        assert!(connections.reserve(1).is_none());
        assert!(connections.reserve(2).is_some());
        drop(second);
        assert_eq!(connections.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn threads_never_reserve_more_than_the_limit() {
        let connections = Connections::default();
        let slots: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..100).filter_map(|_| connections.reserve(50)).collect::<Vec<_>>()))
                .collect();
            let held: Vec<_> = tries.into_iter().map(|attempt| attempt.join().unwrap()).collect();
            held.iter().map(Vec::len).sum()
        });
        assert_eq!(slots, 50);
    }

    #[test]
    fn the_oldest_gives_way_first_and_one_that_left_does_not_count() {
        let (users, alice) = (Users::default(), user(None, "alice"));
        let mut slots: Vec<_> = (0..3).map(|_| admit(&users, &alice, 3, OnUserLimit::EvictOldest).unwrap()).collect();
        assert_eq!(evicted(&slots), [false, false, false]);
        slots.push(admit(&users, &alice, 3, OnUserLimit::EvictOldest).unwrap());
        assert_eq!(evicted(&slots), [true, false, false, false]);
        drop(slots.remove(1));
        slots.push(admit(&users, &alice, 3, OnUserLimit::EvictOldest).unwrap());
        assert_eq!(evicted(&slots), [true, false, false, false]);
        slots.push(admit(&users, &alice, 3, OnUserLimit::EvictOldest).unwrap());
        assert_eq!(evicted(&slots), [true, true, false, false, false]);
    }

    #[test]
    fn a_lowered_limit_makes_several_give_way() {
        let (users, alice) = (Users::default(), user(None, "alice"));
        let mut slots: Vec<_> = (0..4).map(|_| admit(&users, &alice, 4, OnUserLimit::EvictOldest).unwrap()).collect();
        slots.push(admit(&users, &alice, 2, OnUserLimit::EvictOldest).unwrap());
        assert_eq!(evicted(&slots), [true, true, true, false, false]);
    }

    #[test]
    fn the_new_one_is_refused_if_so_configured_until_another_leaves() {
        let (users, alice) = (Users::default(), user(None, "alice"));
        let first = admit(&users, &alice, 1, OnUserLimit::Refuse).unwrap();
        assert!(admit(&users, &alice, 1, OnUserLimit::Refuse).is_none());
        assert!(!first.is_evicted());
        drop(first);
        assert!(admit(&users, &alice, 1, OnUserLimit::Refuse).is_some());
    }

    #[test]
    fn users_are_told_apart_by_tenant_and_forgotten_when_they_left() {
        let users = Users::default();
        let slots: Vec<_> = [user(None, "alice"), user(Some("acme"), "alice"), user(Some("acme"), "bob")]
            .iter()
            .map(|principal| admit(&users, principal, 1, OnUserLimit::Refuse).unwrap())
            .collect();
        assert_eq!(locked(&users.0).users.len(), 3);
        drop(slots);
        assert!(locked(&users.0).users.is_empty());
    }
}
