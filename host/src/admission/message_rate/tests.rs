//! What the limits let through, on a clock that only the tests move.

use std::collections::BTreeMap;

use governor::clock::FakeRelativeClock;

use super::*;
use crate::config::{Config, LimitConfig, rate::parse_type_rate};

const SECOND: Duration = Duration::from_secs(1);

/// Users, settings and a clock of the test's own.
struct World {
    clock: FakeRelativeClock,
    config: LiveConfig,
    metrics: Arc<Metrics>,
    users: RatedUsers<FakeRelativeClock>,
}

impl World {
    /// Rates per second are one, unless `change` says otherwise, so that bursts are easy to count.
    fn new(change: impl FnOnce(&mut LimitConfig)) -> Self {
        let mut config = Config::for_tests("/nowhere");
        config.limits.connection_messages_per_second = 1;
        config.limits.user_messages_per_second = 1;
        change(&mut config.limits);
        let clock = FakeRelativeClock::default();
        let users = RatedUsers::new(clock.clone());
        Self { clock, config: LiveConfig::new(config), metrics: Metrics::new(), users }
    }

    fn connect(&self, subject: &str) -> MessageRate<FakeRelativeClock> {
        self.connect_as(&Principal::named(None, subject))
    }

    fn connect_as(&self, principal: &Principal) -> MessageRate<FakeRelativeClock> {
        MessageRate::new(&self.users, principal, &self.config, &self.metrics)
    }

    fn change(&self, change: impl FnOnce(&mut LimitConfig)) {
        let mut config = (*self.config.load()).clone();
        change(&mut config.limits);
        self.config.publish(config);
    }

    fn refused(&self, scope: &'static str) -> u64 {
        self.metrics.rate_limited.get_or_create(&Scope { scope }).get()
    }
}

fn of_type(name: &str) -> MessageType {
    MessageType::parse(name).unwrap()
}

fn rates(rates: &[&str]) -> BTreeMap<MessageType, Rate> {
    rates.iter().map(|text| parse_type_rate(text).unwrap()).collect()
}

/// How many messages pass one after the other, and what refuses the next.
fn flood(rate: &mut MessageRate<FakeRelativeClock>, name: Option<&str>) -> (usize, RateExceeded) {
    let name = name.map(of_type);
    let mut passed = 0;
    loop {
        match rate.check(name.as_ref()) {
            Ok(()) => passed += 1,
            Err(exceeded) => return (passed, exceeded),
        }
    }
}

#[test]
fn a_connection_has_a_burst_and_then_its_sustained_rate() {
    let world = World::new(|limits| {
        limits.connection_messages_per_second = 10;
        limits.connection_message_burst = 25;
    });
    let mut rate = world.connect("alice");
    let (passed, exceeded) = flood(&mut rate, Some("ping"));
    assert_eq!((passed, exceeded.scope, exceeded.retry_after), (25, RateScope::Connection, SECOND / 10));
    world.clock.advance(exceeded.retry_after);
    assert_eq!(flood(&mut rate, Some("ping")).0, 1);
    world.clock.advance(SECOND);
    assert_eq!(flood(&mut rate, Some("ping")).0, 10);
    assert_eq!(world.refused("connection"), 3);
}

#[test]
fn what_could_not_be_read_counts_as_well() {
    let world = World::new(|limits| limits.connection_message_burst = 4);
    let mut rate = world.connect("alice");
    assert_eq!([None, Some(&of_type("ping")), None].map(|name| rate.check(name).is_ok()), [true; 3]);
    assert_eq!(flood(&mut rate, None).0, 1);
}

#[test]
fn the_connections_of_a_user_share_one_rate_and_users_none() {
    let world = World::new(|limits| limits.user_message_burst = 10);
    let (mut first, mut second) = (world.connect("alice"), world.connect("alice"));
    let mut bob = world.connect("bob");
    let mut namesake = world.connect_as(&Principal::named(Some("acme"), "alice"));
    for _ in 0..6 {
        first.check(None).unwrap();
    }
    let (passed, exceeded) = flood(&mut second, None);
    assert_eq!((passed, exceeded.scope, exceeded.retry_after), (4, RateScope::User, SECOND));
    assert_eq!(flood(&mut first, None).0, 0);
    assert_eq!(flood(&mut bob, None).0, 10);
    assert_eq!(flood(&mut namesake, None).0, 10);
    drop((first, second));
    assert_eq!(flood(&mut world.connect("alice"), None).0, 0, "a new connection is no new quota");
    assert_eq!(world.refused("user"), 5);
}

#[test]
fn a_type_with_a_rate_of_its_own_has_it_for_each_user() {
    let world = World::new(|limits| {
        limits.message_type_rates = rates(&["user_message = 10/min burst 3", "search = 2/s"]);
    });
    let (mut first, mut second, mut bob) = (world.connect("alice"), world.connect("alice"), world.connect("bob"));
    let name = of_type("user_message");
    first.check(Some(&name)).unwrap();
    let (passed, exceeded) = flood(&mut second, Some("user_message"));
    assert_eq!((passed, exceeded.scope, exceeded.retry_after), (2, RateScope::MessageType, 6 * SECOND));
    assert_eq!(
        exceeded.to_string(),
        "too many messages of this type came from this user, and 10/min burst 3 are allowed"
    );
    assert!(first.check(Some(&name)).is_err());
    assert_eq!(flood(&mut first, Some("search")).0, 2);
    assert!(first.check(Some(&of_type("ping"))).is_ok());
    assert_eq!(flood(&mut bob, Some("user_message")).0, 3);
}

#[test]
fn what_one_limit_refuses_takes_nothing_from_the_others() {
    let world = World::new(|limits| {
        limits.connection_message_burst = 8;
        limits.user_message_burst = 10;
        limits.message_type_rates = rates(&["dear = 1/h"]);
    });
    let (mut first, mut second) = (world.connect("alice"), world.connect("alice"));
    assert_eq!(flood(&mut first, Some("dear")).0, 1);
    for _ in 0..100 {
        assert_eq!(first.check(Some(&of_type("dear"))).unwrap_err().scope, RateScope::MessageType);
    }
    // One of eight is used up on the connection, and one of ten by the user.
    let (passed, exceeded) = flood(&mut first, None);
    assert_eq!((passed, exceeded.scope), (7, RateScope::Connection));
    let (passed, exceeded) = flood(&mut second, None);
    assert_eq!((passed, exceeded.scope), (2, RateScope::User));
    for _ in 0..100 {
        assert_eq!(second.check(None).unwrap_err().scope, RateScope::User);
    }
    world.change(|limits| limits.user_message_burst = 100);
    assert_eq!(flood(&mut second, None).0, 6, "of eight on this connection, two are used up");
}

#[test]
fn a_flood_gets_through_at_exactly_the_sustained_rate() {
    let world = World::new(|limits| {
        limits.connection_messages_per_second = 500;
        limits.connection_message_burst = 100;
        limits.user_messages_per_second = 100;
        limits.user_message_burst = 1;
    });
    let mut rate = world.connect("alice");
    let mut passed = 0;
    for _ in 0..10_000 {
        passed += u32::from(rate.check(None).is_ok());
        world.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(passed, 1_000);
}

#[test]
fn a_changed_setting_applies_to_open_connections() {
    let world = World::new(|limits| limits.connection_message_burst = 2);
    let mut rate = world.connect("alice");
    assert_eq!(flood(&mut rate, Some("ping")).0, 2);
    world.change(|limits| limits.connection_message_burst = 5);
    assert_eq!(flood(&mut rate, Some("ping")).0, 5);
    world.change(|limits| {
        limits.connection_message_burst = 1_000;
        limits.message_type_rates = rates(&["ping = 1/min burst 3"]);
    });
    let (passed, exceeded) = flood(&mut rate, Some("ping"));
    assert_eq!((passed, exceeded.scope), (3, RateScope::MessageType));
    world.change(|limits| {
        limits.message_type_rates.clear();
        limits.user_message_burst = 4;
    });
    let (passed, exceeded) = flood(&mut rate, Some("ping"));
    assert_eq!((passed, exceeded.scope), (4, RateScope::User));
    world.change(|limits| limits.connection_messages_per_second = 2);
    assert_eq!(flood(&mut rate, Some("ping")).1.scope, RateScope::User, "the others are as they were");
}

#[test]
fn threads_never_pass_more_than_the_quota() {
    let world = World::new(|limits| {
        limits.user_message_burst = 500;
        limits.message_type_rates = rates(&["dear = 1/h burst 50"]);
    });
    let dear = of_type("dear");
    let passed: (usize, usize) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let mut rate = world.connect("alice");
                let dear = &dear;
                scope.spawn(move || {
                    let name = (number % 2 == 0).then_some(dear);
                    (name.is_some(), (0..1_000).filter(|_| rate.check(name).is_ok()).count())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold((0, 0), |(dear, other), (is_dear, count)| {
            if is_dear { (dear + count, other) } else { (dear, other + count) }
        })
    });
    assert_eq!(passed.0 + passed.1, 500, "{passed:?}");
    assert!(passed.0 <= 50, "{passed:?}");
}
