//! Durations by their order of magnitude, in a fixed piece of memory.

use std::time::Duration;

/// Four for each doubling: the widest spans a quarter, so its geometric middle is off by 12 per cent at most.
const PER_DOUBLING_BITS: u32 = 2;

/// Durations are counted in units of 256 ns: what differs by less is the clock's noise.
const UNIT_BITS: u32 = 8;

/// Up to 73 minutes, longer than the longest deadline; the last takes the rest.
const BUCKETS: usize = 132;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Histogram {
    counts: [u32; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS] }
    }
}

impl Histogram {
    pub fn record(&mut self, duration: Duration) {
        let count = &mut self.counts[bucket(duration)];
        *count = count.saturating_add(1);
    }

    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }

    pub fn len(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// The smallest duration that this share of all, and not less, does not exceed. `None`: there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all = self.len();
        #[expect(clippy::cast_precision_loss, reason = "more than 2^52 calls do not fit a window")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and `all`")]
        let rank = (share.clamp(0.0, 1.0) * all as f64).ceil() as u64;
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank.max(1)
        });
        found.map(middle)
    }
}

fn bucket(duration: Duration) -> usize {
    let units = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX) >> UNIT_BITS;
    let doublings = units.checked_ilog2().unwrap_or(0);
    let index = match doublings.checked_sub(PER_DOUBLING_BITS) {
        // As many as there are buckets for a doubling have one each.
        None => units,
        Some(shift) => (u64::from(shift) << PER_DOUBLING_BITS) + (units >> shift),
    };
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The inverse of [`bucket`], the geometric middle of its bounds.
fn middle(index: usize) -> Duration {
    let per_doubling = 1_u64 << PER_DOUBLING_BITS;
    let index = index as u64;
    let (from, width) = match (index >> PER_DOUBLING_BITS).checked_sub(1) {
        None | Some(0) => (index, 1),
        Some(shift) => ((per_doubling + index % per_doubling) << shift, 1 << shift),
    };
    #[expect(clippy::cast_precision_loss, reason = "bounds are short numbers followed by zeros")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^43, and positive")]
    let nanos = ((from as f64 * (from + width) as f64).sqrt() * f64::from(1_u32 << UNIT_BITS)) as u64;
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_found_by_rank() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.95), None);
        (0..95).for_each(|_| histogram.record(Duration::from_millis(1)));
        (0..5).for_each(|_| histogram.record(Duration::from_secs(1)));
        let millis = |share| histogram.quantile(share).unwrap().as_millis();
        assert_eq!((millis(0.0), millis(0.95)), (millis(0.5), millis(0.5)));
        assert!((880..=1_120).contains(&millis(0.951)), "{}", millis(0.951));
        assert_eq!(millis(1.0), millis(0.96));
    }

    #[test]
    fn the_longest_duration_has_a_bucket() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        histogram.record(Duration::from_secs(3_600));
        assert!(histogram.quantile(0.5).unwrap() > Duration::from_secs(3_200));
        assert_eq!(histogram.len(), 2);
    }

    proptest! {
        #[test]
        fn a_duration_is_found_again_within_12_per_cent(nanos in 1_024..3_600_000_000_000_u64) {
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_nanos(nanos));
            let found = histogram.quantile(0.5).unwrap().as_nanos() as f64;
            prop_assert!((found / nanos as f64 - 1.0).abs() <= 0.12, "{} for {}", found, nanos);
        }

        #[test]
        fn longer_durations_are_never_in_earlier_buckets(a in any::<u64>(), b in any::<u64>()) {
            let (short, long) = (Duration::from_nanos(a.min(b)), Duration::from_nanos(a.max(b)));
            prop_assert!(bucket(short) <= bucket(long));
        }

        #[test]
        fn every_bucket_holds_its_own_middle(index in 4..BUCKETS) {
            prop_assert_eq!(bucket(middle(index)), index);
        }
    }
}
