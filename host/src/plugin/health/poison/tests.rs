//! Who is kept from running what, for how long, and what that costs.

use super::*;

const RULES: Rules = Rules { crashes: 2, time: Duration::from_secs(600) };
const ALICE: u64 = 1;
const BOB: u64 = 2;
const CAROL: u64 = 3;

struct Bench {
    poison: Poison,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { poison: Poison::new(RULES), now: Instant::now() }
    }

    fn crash(&self, message: u64, who: u64) -> bool {
        self.poison.crashed(MessageDigest::numbered(message), Asker::numbered(who), self.now)
    }

    fn serve(&self, message: u64, who: u64) {
        self.poison.served(MessageDigest::numbered(message), Asker::numbered(who));
    }

    fn of(&self, message: u64, who: u64) -> Option<Duration> {
        self.poison.of(MessageDigest::numbered(message), Asker::numbered(who), self.now)
    }

    fn remembered(&self) -> usize {
        self.poison.lock().by_message.len()
    }
}

#[test]
fn a_message_is_poison_for_its_user_after_so_many_crashes_and_other_messages_are_not() {
    let bench = Bench::new();
    assert!(!bench.crash(7, ALICE));
    assert_eq!(bench.of(7, ALICE), None);
    assert!(bench.crash(7, ALICE), "it has become poison");
    assert_eq!(bench.of(7, ALICE), Some(RULES.time));
    assert_eq!(bench.of(8, ALICE), None);
    assert!(!bench.crash(7, ALICE), "it was before");
}

#[test]
fn one_user_alone_takes_no_message_away_from_others() {
    let bench = Bench::new();
    (0..50).for_each(|_| _ = bench.crash(7, ALICE));
    assert_eq!(bench.of(7, BOB), None);
}

#[test]
fn a_plugin_that_acts_for_many_users_is_one_witness_and_a_user_of_many_plugins_is_too() {
    let bench = Bench::new();
    let (message, now) = (MessageDigest::numbered(7), bench.now);
    let asker = |user, through| Asker { user: Caller::numbered(user), through: Caller::numbered(through) };
    let (plugin, other) = (100, 101);
    for user in [ALICE, BOB] {
        (0..3).for_each(|_| _ = bench.poison.crashed(message, asker(user, plugin), now));
    }
    assert_eq!(bench.of(7, CAROL), None);
    assert_eq!(bench.of(7, ALICE), None, "alice herself never sent it");
    assert!(bench.poison.of(message, asker(ALICE, plugin), now).is_some());
    let message = MessageDigest::numbered(8);
    for through in [ALICE, plugin, other] {
        (0..3).for_each(|_| _ = bench.poison.crashed(message, asker(ALICE, through), now));
    }
    assert_eq!(bench.of(8, CAROL), None);
    bench.crash(8, BOB);
    assert!(bench.of(8, CAROL).is_some());
}

#[test]
fn what_crashes_for_two_users_is_poison_for_all() {
    let bench = Bench::new();
    bench.crash(7, ALICE);
    assert!(bench.crash(7, BOB));
    for who in [ALICE, BOB, CAROL] {
        assert_eq!(bench.of(7, who), Some(RULES.time), "{who}");
    }
}

#[test]
fn what_somebody_was_served_with_is_poison_only_for_those_who_crash() {
    let bench = Bench::new();
    bench.crash(7, ALICE);
    bench.serve(7, CAROL);
    (0..3).for_each(|_| _ = bench.crash(7, ALICE));
    (0..3).for_each(|_| _ = bench.crash(7, BOB));
    assert!(bench.of(7, ALICE).is_some() && bench.of(7, BOB).is_some());
    assert_eq!(bench.of(7, CAROL), None);
}

#[test]
fn to_be_served_clears_ones_own_record() {
    let bench = Bench::new();
    bench.crash(7, ALICE);
    bench.serve(7, ALICE);
    assert!(!bench.crash(7, ALICE), "one crash since");
    assert_eq!(bench.of(7, ALICE), None);
}

#[test]
fn after_its_time_it_is_tried_again_and_nothing_is_kept() {
    let mut bench = Bench::new();
    (0..2).for_each(|_| _ = bench.crash(7, ALICE));
    bench.now += RULES.time - Duration::from_secs(1);
    assert_eq!(bench.of(7, ALICE), Some(Duration::from_secs(1)));
    bench.crash(8, ALICE);
    bench.now += Duration::from_secs(1);
    assert_eq!(bench.of(7, ALICE), None);
    assert_eq!(bench.remembered(), 1, "the other one is younger");
    assert!(!bench.crash(7, ALICE), "it is counted from one again");
    bench.now += RULES.time;
    assert!(!bench.poison.clean.load(Relaxed));
    assert_eq!(bench.of(9, ALICE), None);
    assert_eq!(bench.remembered(), 0);
    assert!(bench.poison.clean.load(Relaxed), "and nobody asks any more");
}

#[test]
fn as_many_as_may_be_are_remembered_the_newest_of_them() {
    let mut bench = Bench::new();
    let most = u64::try_from(MAX_SUSPECTS).unwrap();
    for message in 0..=most {
        (0..2).for_each(|_| _ = bench.crash(message, ALICE));
        bench.now += Duration::from_micros(1);
    }
    assert_eq!(bench.remembered(), MAX_SUSPECTS);
    assert_eq!(bench.of(0, ALICE), None);
    assert!(bench.of(1, ALICE).is_some() && bench.of(most, ALICE).is_some());
}

#[test]
fn users_of_one_message_are_bounded_too() {
    let bench = Bench::new();
    bench.serve(7, CAROL);
    (0..1_000).for_each(|who| _ = bench.crash(7, who));
    assert!(bench.poison.lock().by_message.values().all(|suspect| suspect.crashes.len() == MAX_CALLERS));
}
