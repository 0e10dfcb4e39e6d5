//! How calls are spread over users, in a fixed piece of memory.
//!
//! Users fall into buckets by their numbers, which nobody can choose. What a bucket has is at least what each of its
//! users has, so whoever leaves out the fullest one leaves out the user with most, and sometimes a few more.

use super::digest::Caller;

/// With a hundred users at work, one bucket has some two per cent of the calls.
const BUCKETS: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weights([u32; BUCKETS]);

impl Default for Weights {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Weights {
    pub fn record(&mut self, user: Caller) {
        let count = &mut self.0[user.bucket(BUCKETS)];
        *count = count.saturating_add(1);
    }

    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count = count.saturating_add(*more);
        }
    }

    /// What is in the fullest bucket, and what the same users have in the other.
    pub fn heaviest_with(&self, other: &Self) -> (u32, u32) {
        self.0.iter().zip(&other.0).max().map_or((0, 0), |(most, beside)| (*most, *beside))
    }

    pub fn heaviest(&self) -> u32 {
        self.0.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_with_most_is_found_with_what_they_have_beside() {
        let (mut failed, mut served) = (Weights::default(), Weights::default());
        assert_eq!((failed.heaviest(), failed.heaviest_with(&served)), (0, (0, 0)));
        for (user, failures, answers) in [(1, 3, 9), (2, 5, 1), (3, 0, 40)] {
            (0..failures).for_each(|_| failed.record(Caller::numbered(user)));
            (0..answers).for_each(|_| served.record(Caller::numbered(user)));
        }
        assert_eq!(failed.heaviest_with(&served), (5, 1));
        assert_eq!(served.heaviest(), 40);
        failed.add(&served);
        assert_eq!(failed.heaviest(), 40);
    }
}
