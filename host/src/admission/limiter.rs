//! One rate (GCRA), whose cells can be given back.
//!
//! A message passes several limiters, and one that a later limiter refuses must not have used up the
//! earlier ones. `governor` decides; that its state is kept here, and not in one of its own stores, is
//! what allows to put it back. Whoever calls owns the limiter alone while it decides, so that nothing
//! is lost in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference as _},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};

use crate::config::Rate;

/// A rate, and how much of it is used up.
pub(super) struct Limiter<C: Clock> {
    rate: Rate,
    used: Used,
    states: RateLimiter<NotKeyed, Used, C, NoOpMiddleware<C::Instant>>,
    made_at: C::Instant,
}

/// The time, counted from when the limiter was made, from which the quota is whole again.
#[derive(Clone, Default)]
struct Used(Arc<AtomicU64>);

/// What to give back: the state before a cell was taken.
#[must_use]
pub(super) struct Cell(u64);

impl<C: Clock + Clone> Limiter<C> {
    pub fn new(rate: Rate, clock: &C) -> Self {
        let used = Used::default();
        // Only an interval of zero makes none, which no rate has.
        let quota = Quota::with_period(rate.interval()).unwrap_or(Quota::per_second(rate.burst()));
        let states = RateLimiter::new(quota.allow_burst(rate.burst()), used.clone(), clock.clone());
        Self { rate, used, states, made_at: clock.now() }
    }

    /// Takes a cell; the error is how long to wait for the next. Another rate than before starts with a
    /// whole quota.
    pub fn take(&mut self, rate: Rate) -> Result<Cell, Duration> {
        if self.rate != rate {
            *self = Self::new(rate, &self.states.clock().clone());
        }
        let before = self.used.get();
        match self.states.check() {
            Ok(()) => Ok(Cell(before)),
            Err(until) => Err(until.wait_time_from(self.states.clock().now())),
        }
    }

    /// As if the cell, which has to be the one that was taken last, had never been taken.
    pub fn give_back(&mut self, cell: Cell) {
        self.used.set(cell.0);
    }

    /// Whether it is as good as new, and can be forgotten.
    pub fn is_whole(&self) -> bool {
        let age: u64 = self.states.clock().now().duration_since(self.made_at).into();
        self.used.get() <= age
    }
}

impl Used {
    /// Orders nothing else: whoever calls owns the limiter alone.
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, nanos: u64) {
        self.0.store(nanos, Ordering::Relaxed);
    }
}

impl StateStore for Used {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, next) = decide(Some(self.get().into()))?;
        self.set(next.into());
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// How many pass one after the other at this moment.
    fn passing(limiter: &mut Limiter<FakeRelativeClock>, rate: Rate) -> usize {
        std::iter::from_fn(|| limiter.take(rate).ok()).take(1000).count()
    }

    #[test]
    fn after_the_burst_cells_come_at_the_sustained_rate_and_the_wait_is_exact() {
        let (clock, rate) = (FakeRelativeClock::default(), Rate::per_second(5, 20));
        let mut limiter = Limiter::new(rate, &clock);
        assert_eq!(passing(&mut limiter, rate), 20);
        assert_eq!(limiter.take(rate).err(), Some(200 * MILLI));
        clock.advance(50 * MILLI);
        let wait = limiter.take(rate).err().unwrap();
        assert_eq!(wait, 150 * MILLI);
        clock.advance(wait - Duration::from_nanos(1));
        assert_eq!(limiter.take(rate).err(), Some(Duration::from_nanos(1)));
        clock.advance(Duration::from_nanos(1));
        assert_eq!(passing(&mut limiter, rate), 1);
        clock.advance(Duration::from_secs(2));
        assert_eq!(passing(&mut limiter, rate), 10);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(passing(&mut limiter, rate), 20, "never more than the burst");
    }

    #[test]
    fn a_cell_that_is_given_back_was_never_taken() {
        let (clock, rate) = (FakeRelativeClock::default(), Rate::per_second(1, 3));
        let mut limiter = Limiter::new(rate, &clock);
        for _ in 0..10 {
            let cell = limiter.take(rate).ok().unwrap();
            limiter.give_back(cell);
        }
        assert!(limiter.is_whole());
        assert_eq!(passing(&mut limiter, rate), 3);
        assert!(!limiter.is_whole());
        clock.advance(Duration::from_secs(3));
        assert!(limiter.is_whole());
    }

    #[test]
    fn another_rate_applies_at_once() {
        let clock = FakeRelativeClock::default();
        let (slow, fast) = (Rate::per_second(1, 2), Rate::per_second(1, 5));
        let mut limiter = Limiter::new(slow, &clock);
        assert_eq!([passing(&mut limiter, slow), passing(&mut limiter, fast)], [2, 5]);
        assert_eq!(passing(&mut limiter, slow), 2);
    }
}
