//! Whether a canary is worse than the version that it may replace, by what both did in the same stretch
//! of time.
//!
//! Beyond the configured margin is not enough: a difference that chance explains is no reason to take a
//! version away from its users, nor to give it to more of them. Refusals do not count, here as
//! everywhere: to say no more often may be the very purpose of a new version.
//!
//! Users choose what they send, and one of them could send a canary only what it cannot bear. So it is worse only
//! if it still is when the user who speaks most against it is left out.

use std::time::Duration;

use super::window::Figures;
use crate::config::CanaryConfig;

/// How many standard deviations a difference has to have, so that chance explains one in a thousand. Both
/// versions are compared again and again, for days; two would find a difference in every fortieth look.
const BEYOND_CHANCE: f64 = 3.0;

/// Fewer failures than these are an accident, whatever share they are; and they are too few for the
/// approximation behind [`BEYOND_CHANCE`].
const MIN_FAILURES: u32 = 3;

/// With fewer calls of the active version in the stretch, the rest of them are taken for calls that were
/// served, and durations are not compared. Without that, one failure out of two would excuse any canary.
const MIN_ACTIVE_CALLS: u32 = 30;

/// A canary that is slower by less is not slower: the network's own variation hides that from every user.
const MIN_DELAY: Duration = Duration::from_millis(1);

/// What durations are compared by.
const QUANTILE: f64 = 0.95;

/// What follows for a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Too little is known.
    NotYet,
    /// It is not worse.
    Keep,
    /// It is, for this reason, with the figures.
    Worse(String),
}

pub(super) fn compare(active: &Figures, canary: &Figures, config: &CanaryConfig) -> Verdict {
    if canary.calls < config.min_calls {
        return Verdict::NotYet;
    }
    let failures = failures(active, canary, config);
    match (failures, durations(active, canary, config.latency_margin)) {
        (Finding::Worse(reason), _) | (_, Finding::Worse(reason)) => Verdict::Worse(reason),
        (Finding::Unclear, _) | (_, Finding::Unclear) => Verdict::NotYet,
        (Finding::Fine, Finding::Fine) => Verdict::Keep,
    }
}

enum Finding {
    Fine,
    /// Beyond the margin, as it can happen by chance.
    Unclear,
    Worse(String),
}

fn failures(active: &Figures, canary: &Figures, config: &CanaryConfig) -> Finding {
    let all = failures_of(active, (canary.calls, canary.failures), config.error_margin);
    if matches!(all, Finding::Fine) {
        return all;
    }
    let without_one = canary.without_one();
    match (all, failures_of(active, without_one, config.error_margin)) {
        (Finding::Worse(reason), Finding::Worse(_)) => Finding::Worse(reason),
        // What is left is enough to judge by.
        (_, Finding::Fine) if without_one.0 >= config.min_calls => Finding::Fine,
        _ => Finding::Unclear,
    }
}

/// With so many calls of the canary, of which so many failed.
fn failures_of(active: &Figures, (calls, failures): (u32, u32), margin: u32) -> Finding {
    let assumed_calls = f64::from(active.calls.max(MIN_ACTIVE_CALLS));
    let (mine, others) = (share(calls, failures), f64::from(active.failures) / assumed_calls);
    if mine <= others + f64::from(margin) / 100.0 {
        return Finding::Fine;
    }
    let all = f64::from(calls);
    let both = (f64::from(failures) + f64::from(active.failures)) / (all + assumed_calls);
    let deviation = (both * (1.0 - both) * (1.0 / all + 1.0 / assumed_calls)).sqrt();
    if failures < MIN_FAILURES || mine - others < BEYOND_CHANCE * deviation {
        return Finding::Unclear;
    }
    Finding::Worse(format!(
        "{failures} of its {calls} calls failed ({:.1}%), and {} of {} of the active version's ({:.1}%): more than {margin} percentage points above",
        mine * 100.0,
        active.failures,
        active.calls,
        share(active.calls, active.failures) * 100.0,
    ))
}

fn durations(active: &Figures, canary: &Figures, margin: u32) -> Finding {
    if active.durations.len() < u64::from(MIN_ACTIVE_CALLS) || canary.durations.len() < u64::from(MIN_ACTIVE_CALLS) {
        return Finding::Fine;
    }
    let (mine, others) = (quantile(canary, QUANTILE), quantile(active, QUANTILE));
    let allowed = others.mul_f64(1.0 + f64::from(margin) / 100.0).max(others + MIN_DELAY);
    if mine <= allowed {
        return Finding::Fine;
    }
    // Whether the slow ones are of the user with most calls is not known, so they are taken to be.
    let one = u64::from(canary.served_by.heaviest());
    let rest = canary.durations.len().saturating_sub(one);
    if rest < u64::from(MIN_ACTIVE_CALLS) {
        return Finding::Unclear;
    }
    let share_of_rest = 1.0 - ratio(one, canary.durations.len());
    let mine_at_least = quantile(canary, (QUANTILE - strays(rest)) * share_of_rest);
    if mine_at_least <= quantile(active, QUANTILE + strays(active.durations.len())) {
        return Finding::Unclear;
    }
    Finding::Worse(format!(
        "95% of its calls took up to {mine:.1?}, and of the active version's up to {others:.1?}: more than {margin}% longer"
    ))
}

fn quantile(figures: &Figures, share: f64) -> Duration {
    figures.durations.quantile(share).unwrap_or_default()
}

/// By how much the rank of the quantile is off if chance is left out of account. Of a share `q` of `n` values, it
/// strays by the square root of `n q (1 - q)`.
fn strays(values: u64) -> f64 {
    BEYOND_CHANCE * (QUANTILE * (1.0 - QUANTILE) * ratio(1, values)).sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "more than 2^52 calls do not fit a window")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn share(calls: u32, failures: u32) -> f64 {
    f64::from(failures) / f64::from(calls.max(1))
}

#[cfg(test)]
mod tests;
