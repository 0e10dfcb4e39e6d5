//! How the calls of a version went during the last stretch of time, whose length is a setting.
//!
//! The stretch is a ring of slices; the oldest is emptied for what comes, so there is nothing to tidy. It
//! is right to within a slice.

use std::time::{Duration, Instant};

use super::{digest::Caller, histogram::Histogram, weights::Weights};

/// Of 1,600 bytes each. With more, the end of the stretch would be sharper, which changes no verdict.
const SLICES: u32 = 12;

#[derive(Debug)]
pub(super) struct Window {
    slice: Duration,
    origin: Instant,
    slices: Vec<Slice>,
}

#[derive(Debug, Clone, Default)]
struct Slice {
    /// How many slices after the origin it lies.
    turn: u32,
    figures: Figures,
}

/// What is known of a number of calls. Those that say nothing about the version are not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(super) calls: u32,
    pub(super) failures: u32,
    /// Of those that were served. How long a failure took is a matter of its kind, and not of speed.
    pub(super) durations: Histogram,
    /// Whose they were, of those that were served and of those that failed.
    pub(super) served_by: Weights,
    pub(super) failed_by: Weights,
}

impl Window {
    pub fn new(length: Duration, now: Instant) -> Self {
        let slice = (length / SLICES).max(Duration::from_millis(1));
        Self { slice, origin: now, slices: vec![Slice::default(); SLICES as usize] }
    }

    /// `served`: how long it took to serve; `None`: it failed.
    pub fn record(&mut self, user: Caller, served: Option<Duration>, now: Instant) {
        let turn = self.turn(now);
        let slice = &mut self.slices[(turn % SLICES) as usize];
        if slice.turn != turn {
            *slice = Slice { turn, figures: Figures::default() };
        }
        slice.figures.record(user, served);
    }

    /// Of the stretch that ends now.
    pub fn figures(&self, now: Instant) -> Figures {
        let turn = self.turn(now);
        let recent = self.slices.iter().filter(|slice| slice.turn <= turn && turn - slice.turn < SLICES);
        recent.fold(Figures::default(), |sum, slice| sum.with(&slice.figures))
    }

    /// Clocks of threads may disagree by a moment, and a stretch of a second lasts 11 years in slices.
    fn turn(&self, now: Instant) -> u32 {
        let slices = now.saturating_duration_since(self.origin).as_nanos() / self.slice.as_nanos().max(1);
        u32::try_from(slices).unwrap_or(u32::MAX)
    }
}

impl Figures {
    fn record(&mut self, user: Caller, served: Option<Duration>) {
        self.calls = self.calls.saturating_add(1);
        match served {
            Some(duration) => {
                self.durations.record(duration);
                self.served_by.record(user);
            }
            None => {
                self.failures = self.failures.saturating_add(1);
                self.failed_by.record(user);
            }
        }
    }

    pub(super) fn with(mut self, more: &Self) -> Self {
        self.calls = self.calls.saturating_add(more.calls);
        self.failures = self.failures.saturating_add(more.failures);
        self.durations.add(&more.durations);
        self.served_by.add(&more.served_by);
        self.failed_by.add(&more.failed_by);
        self
    }

    /// Of calls without those of the user who failed most often, and how many of them failed.
    pub(super) fn without_one(&self) -> (u32, u32) {
        let (failed, served) = self.failed_by.heaviest_with(&self.served_by);
        (self.calls.saturating_sub(failed).saturating_sub(served), self.failures.saturating_sub(failed))
    }

    /// Of many users, who take turns.
    #[cfg(test)]
    pub(super) fn of(served: &[(u32, Duration)], failures: u32) -> Self {
        let mut figures = Self::default();
        for (count, duration) in served {
            (0..*count).for_each(|number| figures.record(Caller::numbered(number.into()), Some(*duration)));
        }
        (0..failures).for_each(|number| figures.record(Caller::numbered(number.into()), None));
        figures
    }

    /// All of one user.
    #[cfg(test)]
    pub(super) fn of_one(calls: u32, served: Option<Duration>) -> Self {
        let mut figures = Self::default();
        (0..calls).for_each(|_| figures.record(Caller::numbered(7), served));
        figures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(12);
    const QUICK: Duration = Duration::from_millis(1);
    const USER: Caller = Caller::numbered(1);

    #[test]
    fn calls_are_counted_until_the_stretch_has_passed_them() {
        let start = Instant::now();
        let mut window = Window::new(LENGTH, start);
        window.record(USER, Some(QUICK), start);
        window.record(USER, None, start);
        let counted = |window: &Window, after: u64| {
            let figures = window.figures(start + Duration::from_secs(after));
            (figures.calls, figures.failures, figures.durations.len())
        };
        assert_eq!(counted(&window, 0), (2, 1, 1));
        assert_eq!(counted(&window, 11), (2, 1, 1));
        assert_eq!(counted(&window, 12), (0, 0, 0));
        window.record(USER, None, start + Duration::from_secs(12));
        assert_eq!(counted(&window, 12), (1, 1, 0), "the slice was emptied first");
    }

    proptest! {
        /// Against a list of all calls, which is too simple to be wrong.
        #[test]
        fn it_holds_what_was_recorded_during_the_stretch_to_within_a_slice(
            calls in prop::collection::vec((0..3_000_u64, any::<bool>()), 0..200),
        ) {
            let start = Instant::now();
            let mut window = Window::new(LENGTH, start);
            let mut now = start;
            let mut all = Vec::new();
            for (wait, served) in calls {
                now += Duration::from_millis(wait);
                window.record(USER, served.then_some(QUICK), now);
                all.push((now, served));
                let younger = |than: Duration| {
                    let young = all.iter().filter(|(at, _)| now - *at < than);
                    (young.clone().count() as u32, young.filter(|(_, served)| !served).count() as u32)
                };
                let (least, most) = (younger(LENGTH - LENGTH / SLICES), younger(LENGTH));
                let figures = window.figures(now);
                prop_assert!((least.0..=most.0).contains(&figures.calls));
                prop_assert!((least.1..=most.1).contains(&figures.failures));
                prop_assert_eq!(figures.durations.len(), u64::from(figures.calls - figures.failures));
            }
        }
    }
}
