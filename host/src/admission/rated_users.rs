//! The rates of each user, which all connections of that user share, and how long they are remembered.
//!
//! A user who leaves and comes back must not find a new quota, so rates outlive connections. Memory is
//! bounded all the same: users without a connection are forgotten when their quotas are whole again,
//! and all of them when there are too many; those with one are bounded by the limit on connections.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use governor::clock::Clock;
use switchboard_protocol::MessageType;

use super::{
    connection_limit::User,
    limiter::Limiter,
    message_rate::{RateExceeded, RateScope, locked},
};
use crate::{
    auth::Principal,
    config::{LimitConfig, Rate},
};

/// Users worth a first pass over all of them: a few MB.
const MANY_USERS: usize = 10_000;

/// Users without a connection, after a pass, at which all of them are forgotten: a few tens of MB.
const MAX_ABSENT_USERS: usize = 50_000;

/// The rates of all users who are remembered.
pub(super) struct RatedUsers<C: Clock> {
    clock: C,
    users: Mutex<Remembered<C>>,
}

struct Remembered<C: Clock> {
    rates: HashMap<User, Arc<Mutex<UserRate<C>>>>,
    /// More users than this are worth the next pass. It is twice as many as the last pass left, so that
    /// passes cost each new user the same, however many there are.
    look_at: usize,
}

/// The rates of one user.
pub(super) struct UserRate<C: Clock> {
    clock: C,
    all: Limiter<C>,
    /// Of types that have a rate of their own, from the first message on.
    by_type: BTreeMap<MessageType, Limiter<C>>,
}

impl<C: Clock + Clone> RatedUsers<C> {
    pub fn new(clock: C) -> Self {
        Self { clock, users: Mutex::new(Remembered { rates: HashMap::new(), look_at: MANY_USERS }) }
    }

    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// What the connections of this user share.
    pub fn of(&self, principal: &Principal, limits: &LimitConfig) -> Arc<Mutex<UserRate<C>>> {
        let mut users = locked(&self.users);
        if users.rates.len() > users.look_at {
            users.tidy(MANY_USERS, MAX_ABSENT_USERS);
        }
        let user = (principal.tenant.clone(), principal.subject.clone());
        let new = || Arc::new(Mutex::new(UserRate::new(limits.user_rate(), &self.clock)));
        users.rates.entry(user).or_insert_with(new).clone()
    }

    /// How many users are remembered.
    pub fn len(&self) -> usize {
        locked(&self.users).rates.len()
    }
}

impl<C: Clock + Clone> Remembered<C> {
    fn tidy(&mut self, many: usize, max_absent: usize) {
        let mut absent = 0;
        self.rates.retain(|_, rate| {
            let present = is_shared(rate);
            let keep = present || !locked(rate).is_whole();
            absent += usize::from(keep && !present);
            keep
        });
        if absent > max_absent {
            tracing::warn!(users = absent, "too many users came and went to remember their rates of messages");
            self.rates.retain(|_, rate| is_shared(rate));
        }
        self.look_at = many.max(2 * self.rates.len());
    }
}

/// Whether a connection has it. Clones are made under the lock on all users only, so the answer "no"
/// stays true for as long as that is held.
fn is_shared<T>(rate: &Arc<T>) -> bool {
    Arc::strong_count(rate) > 1
}

impl<C: Clock + Clone> UserRate<C> {
    fn new(rate: Rate, clock: &C) -> Self {
        Self { clock: clock.clone(), all: Limiter::new(rate, clock), by_type: BTreeMap::new() }
    }

    /// Counts a message for the user and for its type, or for neither.
    pub fn take(&mut self, message_type: Option<&MessageType>, limits: &LimitConfig) -> Result<(), RateExceeded> {
        let exceeded = |scope, allowed| move |retry_after| RateExceeded { scope, allowed, retry_after };
        let allowed = limits.user_rate();
        let cell = self.all.take(allowed).map_err(exceeded(RateScope::User, allowed))?;
        let Some((name, &allowed)) = message_type.and_then(|name| limits.message_type_rates.get_key_value(name)) else {
            return Ok(());
        };
        match self.of_type(name, allowed, limits).take(allowed) {
            Ok(_) => Ok(()),
            Err(wait) => {
                self.all.give_back(cell);
                Err(exceeded(RateScope::MessageType, allowed)(wait))
            }
        }
    }

    fn of_type(&mut self, name: &MessageType, rate: Rate, limits: &LimitConfig) -> &mut Limiter<C> {
        if !self.by_type.contains_key(name) {
            // So that no more are kept than the configuration names, however often it changes.
            self.by_type.retain(|kept, _| limits.message_type_rates.contains_key(kept));
        }
        let clock = &self.clock;
        self.by_type.entry(name.clone()).or_insert_with(|| Limiter::new(rate, clock))
    }

    fn is_whole(&self) -> bool {
        self.all.is_whole() && self.by_type.values().all(Limiter::is_whole)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::config::Config;

    fn limits() -> LimitConfig {
        let limits = Config::for_tests("/nowhere").limits;
        LimitConfig { user_messages_per_second: 1, user_message_burst: 2, ..limits }
    }

    /// Connects, sends one message and leaves.
    fn visit(users: &RatedUsers<FakeRelativeClock>, subject: &str) -> bool {
        visit_within(&limits(), users, subject)
    }

    fn visit_within(limits: &LimitConfig, users: &RatedUsers<FakeRelativeClock>, subject: &str) -> bool {
        let rate = users.of(&Principal::named(None, subject), limits);
        locked(&rate).take(None, limits).is_ok()
    }

    #[test]
    fn a_user_who_comes_back_finds_the_rate_as_it_was_left() {
        let users = RatedUsers::new(FakeRelativeClock::default());
        assert_eq!([(); 3].map(|()| visit(&users, "alice")), [true, true, false]);
        assert!(visit(&users, "bob"));
        assert_eq!(users.len(), 2);
    }

    #[test]
    fn users_are_forgotten_when_they_left_and_their_quota_is_whole() {
        let clock = FakeRelativeClock::default();
        let users = RatedUsers::new(clock.clone());
        let tidy = || {
            locked(&users.users).tidy(0, 10);
            users.len()
        };
        let present = users.of(&Principal::named(None, "present"), &limits());
        visit(&users, "alice");
        assert_eq!(tidy(), 2, "she has used some");
        clock.advance(std::time::Duration::from_secs(2));
        assert_eq!(tidy(), 1, "and one who is there is kept");
        drop(present);
        assert_eq!(tidy(), 0);
    }

    #[test]
    fn too_many_absent_users_are_all_forgotten_and_those_present_keep_their_state() {
        let users = RatedUsers::new(FakeRelativeClock::default());
        let present = users.of(&Principal::named(None, "present"), &limits());
        assert_eq!([(); 3].map(|()| visit(&users, "present")), [true, true, false]);
        for number in 0..20 {
            visit(&users, &number.to_string());
        }
        locked(&users.users).tidy(5, 20);
        assert_eq!((users.len(), locked(&users.users).look_at), (21, 42));
        locked(&users.users).tidy(5, 19);
        assert_eq!((users.len(), locked(&users.users).look_at), (1, 5));
        assert!(!visit(&users, "present"));
        drop(present);
    }

    #[test]
    fn memory_stays_bounded_while_ever_new_users_come() {
        let users = RatedUsers::new(FakeRelativeClock::default());
        let (limits, most) = (limits(), 2 * MAX_ABSENT_USERS + 1);
        let mut forgotten = 0;
        let mut before = 0;
        for number in 0..most + 1_000 {
            visit_within(&limits, &users, &number.to_string());
            forgotten += usize::from(users.len() < before);
            before = users.len();
            assert!(before <= most);
        }
        assert!(forgotten > 0);
    }

    #[test]
    fn only_types_that_are_configured_are_kept() {
        let clock = FakeRelativeClock::default();
        let mut rate = UserRate::new(limits().user_rate(), &clock);
        let mut limits = LimitConfig { user_message_burst: 1_000, ..limits() };
        for number in 0..20 {
            let name = MessageType::parse(&format!("type-{number}")).unwrap();
            limits.message_type_rates = BTreeMap::from([(name.clone(), Rate::per_second(1, 1))]);
            assert!(rate.take(Some(&name), &limits).is_ok());
            assert!(rate.take(Some(&MessageType::parse("other").unwrap()), &limits).is_ok());
            assert_eq!(rate.by_type.len(), 1);
        }
    }
}
