//! Whether a canary is worse than the version that it may replace, by what both did in the same stretch
//! of time.
//!
//! Beyond the configured margin is not enough: a difference that chance explains is no reason to take a
//! version away from its users, nor to give it to more of them. Refusals do not count, here as
//! everywhere: to say no more often may be the very purpose of a new version.

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
    let failures = failures(active, canary, config.error_margin);
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

fn failures(active: &Figures, canary: &Figures, margin: u32) -> Finding {
    let assumed_calls = f64::from(active.calls.max(MIN_ACTIVE_CALLS));
    let (mine, others) = (canary.share(), f64::from(active.failures) / assumed_calls);
    if mine <= others + f64::from(margin) / 100.0 {
        return Finding::Fine;
    }
    let calls = f64::from(canary.calls);
    let both = (f64::from(canary.failures) + f64::from(active.failures)) / (calls + assumed_calls);
    let deviation = (both * (1.0 - both) * (1.0 / calls + 1.0 / assumed_calls)).sqrt();
    if canary.failures < MIN_FAILURES || mine - others < BEYOND_CHANCE * deviation {
        return Finding::Unclear;
    }
    Finding::Worse(format!(
        "{} of its {} calls failed ({:.1}%), and {} of {} of the active version's ({:.1}%): more than {margin} percentage points above",
        canary.failures,
        canary.calls,
        mine * 100.0,
        active.failures,
        active.calls,
        active.share() * 100.0,
    ))
}

fn durations(active: &Figures, canary: &Figures, margin: u32) -> Finding {
    if active.durations.len() < u64::from(MIN_ACTIVE_CALLS) || canary.durations.len() < u64::from(MIN_ACTIVE_CALLS) {
        return Finding::Fine;
    }
    let ((_, others, others_at_most), (mine_at_least, mine, _)) = (around_quantile(active), around_quantile(canary));
    let allowed = others.mul_f64(1.0 + f64::from(margin) / 100.0).max(others + MIN_DELAY);
    if mine <= allowed {
        return Finding::Fine;
    }
    if mine_at_least <= others_at_most {
        return Finding::Unclear;
    }
    Finding::Worse(format!(
        "95% of its calls took up to {mine:.1?}, and of the active version's up to {others:.1?}: more than {margin}% longer"
    ))
}

/// The quantile, between what it is at least and at most if chance is left out of account. Of a share `q`
/// of `n` values, the rank strays by the square root of `n q (1 - q)`.
fn around_quantile(figures: &Figures) -> (Duration, Duration, Duration) {
    #[expect(clippy::cast_precision_loss, reason = "more than 2^52 calls do not fit a window")]
    let strays = BEYOND_CHANCE * (QUANTILE * (1.0 - QUANTILE) / figures.durations.len() as f64).sqrt();
    let quantile = |share| figures.durations.quantile(share).unwrap_or_default();
    (quantile(QUANTILE - strays), quantile(QUANTILE), quantile(QUANTILE + strays))
}

impl Figures {
    /// Of calls that failed.
    fn share(&self) -> f64 {
        f64::from(self.failures) / f64::from(self.calls.max(1))
    }
}

#[cfg(test)]
mod tests;
