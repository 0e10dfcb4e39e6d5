//! Canaries that are worse, that are not, and of which it cannot be said yet.

use proptest::prelude::*;

use super::*;

const CONFIG: CanaryConfig = CanaryConfig {
    percent: 10,
    min_calls: 100,
    window: Duration::from_secs(60),
    error_margin: 5,
    latency_margin: 100,
    promote_after: Duration::ZERO,
};

const QUICK: Duration = Duration::from_millis(10);

/// Of so many calls, so many failed.
fn failed(calls: u32, failures: u32) -> Figures {
    Figures::of(&[(calls - failures, QUICK)], failures)
}

fn check(active: &Figures, canary: &Figures, expected: &str) {
    let verdict = compare(active, canary, &CONFIG);
    let word = match &verdict {
        Verdict::NotYet => "not yet",
        Verdict::Keep => "keep",
        Verdict::Worse(_) => "worse",
    };
    assert_eq!(word, expected, "{verdict:?}");
}

#[test]
fn a_canary_is_not_judged_before_it_had_its_calls() {
    check(&failed(1_000, 0), &failed(99, 99), "not yet");
    check(&failed(1_000, 0), &failed(100, 100), "worse");
    check(&failed(1_000, 0), &failed(100, 0), "keep");
}

#[test]
fn failures_within_the_margin_are_kept_and_beyond_it_they_are_not() {
    check(&failed(900, 0), &failed(100, 5), "keep");
    check(&failed(900, 0), &failed(100, 6), "worse");
    check(&failed(900, 90), &failed(100, 15), "keep");
    check(&failed(900, 90), &failed(100, 30), "worse");
}

#[test]
fn a_difference_that_chance_explains_is_neither_good_nor_bad() {
    // Both fail one call in twenty; that the canary shows twice as many happens every few minutes.
    check(&failed(900, 45), &failed(100, 11), "not yet");
    check(&failed(9_000, 450), &failed(1_000, 110), "worse");
    // One accident, where nothing at all is allowed.
    let strict = CanaryConfig { error_margin: 0, ..CONFIG };
    assert_eq!(compare(&failed(900, 0), &failed(100, 1), &strict), Verdict::NotYet);
}

#[test]
fn hardly_any_calls_of_the_active_version_neither_excuse_nor_condemn() {
    check(&failed(0, 0), &failed(100, 100), "worse");
    check(&failed(2, 1), &failed(100, 40), "worse");
    check(&failed(0, 0), &failed(100, 0), "keep");
    check(&failed(10, 0), &failed(100, 6), "not yet");
    // What both depend on is down.
    check(&failed(10, 9), &failed(100, 30), "keep");
}

#[test]
fn a_few_calls_are_enough_if_the_config_says_so() {
    let few = CanaryConfig { min_calls: 3, ..CONFIG };
    assert!(matches!(compare(&failed(0, 0), &failed(4, 4), &few), Verdict::Worse(_)));
    assert_eq!(compare(&failed(0, 0), &failed(3, 1), &few), Verdict::NotYet);
    assert_eq!(compare(&failed(0, 0), &failed(3, 0), &few), Verdict::Keep);
}

/// One call in ten took so long.
fn slow(calls: u32, millis: u64) -> Figures {
    Figures::of(&[(calls - calls / 10, QUICK), (calls / 10, Duration::from_millis(millis))], 0)
}

#[test]
fn a_canary_that_takes_more_than_the_margin_longer_is_worse() {
    check(&slow(1_000, 100), &slow(1_000, 150), "keep");
    check(&slow(1_000, 100), &slow(1_000, 300), "worse");
    check(&slow(1_000, 300), &slow(1_000, 100), "keep");
}

#[test]
fn durations_are_not_compared_with_those_of_a_few_calls() {
    check(&slow(20, 10), &slow(1_000, 900), "keep");
}

#[test]
fn slowness_that_chance_explains_is_not_judged_yet() {
    // A tenth of a hundred calls: that these are the slow ones may happen.
    check(&slow(30, 10), &slow(100, 900), "not yet");
    check(&slow(300, 10), &slow(1_000, 900), "worse");
}

#[test]
fn less_than_a_millisecond_is_no_difference() {
    let micros = |micros| Figures::of(&[(1_000, Duration::from_micros(micros))], 0);
    check(&micros(50), &micros(800), "keep");
    check(&micros(50), &micros(3_000), "worse");
}

#[test]
fn one_user_for_whom_everything_fails_neither_ends_a_canary_nor_keeps_it_from_the_rest() {
    let mallory = Figures::of_one(400, None);
    check(&failed(900, 0), &failed(200, 0).with(&mallory), "keep");
    check(&failed(900, 0), &failed(50, 0).with(&mallory), "not yet");
    check(&failed(900, 0), &mallory, "not yet");
    check(&failed(900, 0), &failed(200, 1).with(&mallory), "keep");
    check(&failed(900, 0), &failed(200, 50).with(&mallory), "worse");
}

#[test]
fn one_user_for_whom_everything_takes_long_does_not_end_a_canary() {
    let mallory = Figures::of_one(400, Some(Duration::from_millis(900)));
    check(&slow(1_000, 10), &slow(1_000, 10).with(&mallory), "not yet");
    check(&slow(1_000, 10), &mallory, "not yet");
    check(&slow(1_000, 10), &slow(10_000, 10).with(&mallory), "keep");
    check(&slow(1_000, 10), &Figures::of(&[(1_000, Duration::from_millis(900))], 0).with(&mallory), "worse");
}

#[test]
fn the_reason_has_the_figures() {
    let Verdict::Worse(reason) = compare(&failed(900, 9), &failed(200, 50), &CONFIG) else { panic!("it is worse") };
    for figure in ["50 of its 200", "25.0%", "9 of 900", "1.0%", "5 percentage points"] {
        assert!(reason.contains(figure), "{reason}");
    }
    let Verdict::Worse(reason) = compare(&slow(1_000, 100), &slow(1_000, 300), &CONFIG) else { panic!("it is worse") };
    assert!(reason.contains("95%") && reason.contains("ms") && reason.contains("100%"), "{reason}");
}

proptest! {
    #[test]
    fn a_canary_that_does_as_well_is_never_worse(calls in 100..5_000_u32, share in 0..=100_u32) {
        let failures = calls * share / 100;
        let both = failed(calls, failures);
        prop_assert_eq!(compare(&both, &both, &CONFIG), Verdict::Keep);
    }

    #[test]
    fn more_failures_never_make_it_better(
        active in (0..2_000_u32, 0..=100_u32),
        calls in 100..2_000_u32,
        failures in (0..=100_u32, 0..=100_u32),
    ) {
        let active = failed(active.0, active.0 * active.1 / 100);
        let rank = |share: u32| match compare(&active, &failed(calls, calls * share / 100), &CONFIG) {
            Verdict::Keep => 0,
            Verdict::NotYet => 1,
            Verdict::Worse(_) => 2,
        };
        prop_assert!(rank(failures.0.min(failures.1)) <= rank(failures.0.max(failures.1)));
    }
}
