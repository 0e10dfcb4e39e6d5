//! A version's health as calls meet it: what they are told, and what is counted.

use super::*;
use crate::{
    auth::Principal,
    config::{Config, HealthConfig},
    plugin::detached,
};

struct Bench {
    health: Arc<VersionHealth>,
    metrics: Arc<Metrics>,
    config: PluginConfig,
    now: Instant,
}

impl Bench {
    fn new(change: impl FnOnce(&mut HealthConfig)) -> Self {
        let mut config = Config::for_tests("/nowhere").plugin_defaults;
        (config.health.failures_to_open, config.health.poison_crashes) = (3, 2);
        change(&mut config.health);
        let (metrics, now) = (Metrics::new(), Instant::now());
        let label = PluginVersionLabel { plugin: "fragile".into(), version: "1.0.0".into() };
        let health = VersionHealth::new(label, &config, metrics.clone(), now);
        Self { health, metrics, config, now }
    }

    fn admit(&self, user: &str, text: &str) -> Result<Permit, CallFailure> {
        self.admit_through(&[], user, text)
    }

    fn admit_through(&self, chain: &[&str], user: &str, text: &str) -> Result<Permit, CallFailure> {
        let mut context = detached::context(self.now);
        context.chain = chain.iter().map(|name| (*name).into()).collect();
        self.admit_in(context, user, text)
    }

    /// A call for a publication that a plugin made on behalf of a user.
    fn admit_published(&self, by: &str, user: &str, text: &str) -> Result<Permit, CallFailure> {
        let mut context = detached::context(self.now);
        context.caller.through = Some(by.into());
        self.admit_in(context, user, text)
    }

    fn admit_in(&self, mut context: CallContext, user: &str, text: &str) -> Result<Permit, CallFailure> {
        context.caller.principal = Arc::new(Principal::named(None, user));
        let asked = Asked::Content { export: "handle", name: "fragile", text };
        Ok(self.health.admit(&context, asked, self.now)?.expect("it is a user's"))
    }

    fn end(&self, permit: Permit, result: Result<(), CallFailure>) {
        permit.end(&result, self.now);
    }

    /// One call from its beginning to its end, or the word for why it was not made.
    fn call(&self, user: &str, text: &str, result: Result<(), CallFailure>) -> &'static str {
        match self.admit(user, text) {
            Ok(permit) => {
                self.end(permit, result);
                "made"
            }
            Err(failure) => failure.outcome(),
        }
    }

    /// Two users' calls fail, each over another message.
    fn open(&self) {
        for (user, text) in [("alice", "1"), ("bob", "2"), ("alice", "3")] {
            assert_eq!(self.call(user, text, crash()), "made");
        }
        assert_eq!(self.call("carol", "4", Ok(())), "unavailable");
    }

    fn metric(&self, series: &str) -> Option<String> {
        let text = self.metrics.render();
        let line = text.lines().find(|line| line.starts_with(series))?;
        line.rsplit(' ').next().map(str::to_owned)
    }
}

fn crash() -> Result<(), CallFailure> {
    Err(CallFailure::Crashed { trap: "unreachable".into(), backtrace: "0: main".into() })
}

const CIRCUIT: &str = "switchboard_plugin_circuit{plugin=\"fragile\",version=\"1.0.0\"}";

#[test]
fn the_circuit_is_shown_from_when_the_version_serves_until_it_does_not() {
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.metric(CIRCUIT), None);
    bench.health.show();
    assert_eq!(bench.metric(CIRCUIT).as_deref(), Some("0"));
    bench.open();
    assert_eq!(bench.metric(CIRCUIT).as_deref(), Some("2"));
    bench.now += bench.config.health.backoff_min * 2;
    let probe = bench.admit("carol", "4").expect("the probe");
    assert_eq!(bench.metric(CIRCUIT).as_deref(), Some("1"));
    bench.end(probe, Ok(()));
    assert_eq!(bench.metric(CIRCUIT).as_deref(), Some("0"));
    bench.health.hide();
    bench.open();
    assert_eq!(bench.metric(CIRCUIT), None, "a successor may have the same label");
    assert_eq!(bench.metric("switchboard_plugin_circuit_openings_total{plugin=\"fragile\"}").as_deref(), Some("2"));
}

#[test]
fn a_version_that_was_never_shown_hides_no_other_one() {
    let bench = Bench::new(|_| {});
    let label = PluginVersionLabel { plugin: "fragile".into(), version: "1.0.0".into() };
    let other = VersionHealth::new(label, &bench.config, bench.metrics.clone(), bench.now);
    bench.health.show();
    other.hide();
    assert_eq!(bench.metric(CIRCUIT).as_deref(), Some("0"));
    bench.health.hide();
    assert_eq!(bench.metric(CIRCUIT), None);
}

#[test]
fn a_probe_that_is_abandoned_makes_room_for_another() {
    let mut bench = Bench::new(|_| {});
    bench.open();
    bench.now += bench.config.health.backoff_min * 2;
    let probe = bench.admit("carol", "4").expect("the probe");
    assert_eq!(bench.call("dave", "4", Ok(())), "unavailable");
    drop(probe);
    assert_eq!(bench.call("dave", "4", Ok(())), "made");
    assert_eq!(bench.call("carol", "4", Ok(())), "made", "it is closed");
}

#[test]
fn poison_is_answered_as_poison_even_while_the_circuit_is_open_and_is_never_the_probe() {
    let mut bench = Bench::new(|_| {});
    (0..2).for_each(|_| _ = bench.call("alice", "bad", crash()));
    assert_eq!(bench.call("alice", "bad", crash()), "poisoned");
    assert_eq!(bench.call("alice", "good", Ok(())), "made");
    bench.open();
    assert_eq!(bench.call("alice", "bad", crash()), "poisoned");
    bench.now += bench.config.health.backoff_min * 2;
    assert_eq!(bench.call("alice", "bad", crash()), "poisoned");
    assert_eq!(bench.call("alice", "good", Ok(())), "made", "the probe was still to be had");
    assert_eq!(bench.metric("switchboard_plugin_poisoned_messages_total").as_deref(), Some("3"));
}

#[test]
fn refusals_are_served_calls_and_a_busy_version_has_not_failed() {
    let bench = Bench::new(|_| {});
    let busy = || Err(CallFailure::Busy { retry_after: Duration::ZERO });
    for number in 0..20 {
        bench.call(&format!("user-{number}"), "x", busy());
    }
    assert_eq!(bench.call("alice", "x", Ok(())), "made");
    assert_eq!(bench.health.window().figures(bench.now).calls, 1);
}

#[test]
fn what_the_host_asks_for_itself_is_neither_refused_nor_counted() {
    let bench = Bench::new(|_| {});
    bench.open();
    let context = detached::context(bench.now);
    let permit = bench.health.admit(&context, Asked::OfTheHost, bench.now);
    assert!(matches!(permit, Ok(None)));
}

#[test]
fn both_can_be_switched_off() {
    let bench = Bench::new(|health| (health.failures_to_open, health.poison_crashes) = (0, 0));
    for user in ["alice", "bob"] {
        for _ in 0..100 {
            assert_eq!(bench.call(user, "bad", crash()), "made");
        }
    }
}

#[test]
fn an_opening_is_known_for_its_time_after_a_swap_with_its_reason_and_no_backtrace() {
    let mut bench = Bench::new(|_| {});
    let (swap, minute) = (bench.now, Duration::from_secs(60));
    bench.now += Duration::from_secs(5);
    assert_eq!(bench.health.opened_since(swap, minute), None);
    bench.open();
    let reason = bench.health.opened_since(swap, minute).expect("it opened");
    for part in ["5000 ms", "3 calls in a row", "the handler crashed: unreachable"] {
        assert!(reason.contains(part), "{reason}");
    }
    assert!(!reason.contains("main"), "{reason}");
    assert_eq!(bench.health.opened_since(swap, Duration::from_secs(4)), None, "that was later");
    let after = bench.now + Duration::from_millis(1);
    assert_eq!(bench.health.opened_since(after, minute), None, "that was before");
    bench.now += bench.config.health.backoff_min * 2;
    bench.call("alice", "5", crash());
    let reason = bench.health.opened_since(after, minute).expect("and it opened again");
    assert!(reason.contains("the call that tried it failed"), "{reason}");
}

#[test]
fn a_canary_is_judged_by_the_calls_of_both() {
    let (active, canary) = (Bench::new(|_| {}), Bench::new(|health| health.failures_to_open = 0));
    let config = CanaryConfig { min_calls: 50, ..active.config.canary.clone() };
    let verdict = || judge(&active.health, &canary.health, &config, canary.now.max(active.now));
    (0..100).for_each(|_| _ = active.call("alice", "x", Ok(())));
    (0..49).for_each(|_| _ = canary.call("bob", "x", Ok(())));
    assert_eq!(verdict(), Verdict::NotYet);
    canary.call("bob", "x", Ok(()));
    assert_eq!(verdict(), Verdict::Keep);
    (0..25).for_each(|number| _ = canary.call("mallory", &number.to_string(), crash()));
    assert!(!matches!(verdict(), Verdict::Worse(_)), "one user ends no canary: {:?}", verdict());
    (0..25).for_each(|number| _ = canary.call(&format!("user-{number}"), &format!("of {number}"), crash()));
    assert!(matches!(verdict(), Verdict::Worse(_)), "{:?}", verdict());
}

#[test]
fn one_user_opens_the_circuit_of_a_version_that_has_served_nobody_and_does_not_end_it() {
    let mut bench = Bench::new(|_| {});
    let (swap, minute) = (bench.now, Duration::from_secs(60));
    (0..3).for_each(|number| _ = bench.call("mallory", &number.to_string(), crash()));
    assert_eq!(bench.call("alice", "x", Ok(())), "unavailable");
    bench.now += bench.config.health.backoff_min * 2;
    assert_eq!(bench.call("mallory", "4", crash()), "made");
    assert_eq!(bench.health.opened_since(swap, minute), None, "nobody else has found anything");
    bench.now += bench.config.health.backoff_min * 3;
    assert_eq!(bench.call("mallory", "5", crash()), "unavailable");
    assert_eq!(bench.call("alice", "x", crash()), "made");
    assert!(bench.health.opened_since(swap, minute).is_some(), "now somebody has");
}

#[test]
fn a_plugin_that_calls_for_all_of_its_users_takes_another_from_nobody() {
    let bench = Bench::new(|_| {});
    assert_eq!(bench.call("alice", "x", Ok(())), "made");
    for user in 0..20 {
        for text in ["bad", &user.to_string()] {
            let permit = bench.admit_through(&["hostile", "between"], &format!("user-{user}"), text);
            bench.end(permit.expect("it is let in"), crash());
        }
    }
    assert_eq!(bench.call("alice", "y", Ok(())), "made", "the circuit is closed");
    assert_eq!(bench.call("alice", "bad", Ok(())), "made", "and the message is nobody's poison");
}

#[test]
fn a_plugin_that_publishes_for_its_users_is_one_caller() {
    let bench = Bench::new(|_| {});
    assert_eq!(bench.call("alice", "x", Ok(())), "made");
    for user in 0..20 {
        let permit = bench.admit_published("hostile", &format!("user-{user}"), &user.to_string());
        bench.end(permit.expect("it is let in"), crash());
    }
    assert_eq!(bench.call("alice", "y", Ok(())), "made", "the circuit is closed");
    // Through another plugin, somebody else may be behind it.
    for (by, text) in [("hostile", "a"), ("another", "b"), ("hostile", "c")] {
        let permit = bench.admit_published(by, text, text);
        bench.end(permit.expect("it is let in"), crash());
    }
    assert_eq!(bench.call("alice", "z", Ok(())), "unavailable");
}
