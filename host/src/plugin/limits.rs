//! The limits of one call, as counters that are asked before anything happens.
//!
//! Memory and tables are refused in the middle of the guest's own allocation, so the refusal is
//! remembered: the abort that usually follows is then told apart from a crash.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::cpu_time::CpuMeter;

/// Why the host ended a guest, found in the error that its call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Interruption {
    #[error("all of its CPU time is used up")]
    CpuTime,
    #[error("its deadline has passed")]
    Deadline,
    #[error("one call asked for more than {limit} random bytes")]
    RandomBytes { limit: u32 },
}

/// Bounds memory and tables of a store.
#[derive(Debug)]
pub(crate) struct Limiter {
    max_memory_bytes: usize,
    max_table_elements: usize,
    memory_bytes: usize,
    table_elements: usize,
    /// Whether growth of memory was ever refused.
    pub denied: bool,
    /// Of tables.
    pub tables_denied: bool,
}

impl Limiter {
    pub fn new(max_memory_bytes: usize, max_table_elements: usize) -> Self {
        Self {
            max_memory_bytes,
            max_table_elements,
            memory_bytes: 0,
            table_elements: 0,
            denied: false,
            tables_denied: false,
        }
    }
}

impl Limiter {
    /// Of all memories of the store.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What was refused in one call does not explain how the next one ends.
    pub fn forget_refusals(&mut self) {
        (self.denied, self.tables_denied) = (false, false);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.memory_bytes, self.max_memory_bytes, current, desired, &mut self.denied))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.table_elements, self.max_table_elements, current, desired, &mut self.tables_denied))
    }
}

/// Of a store's memories (or tables) together. Growth that is allowed here and fails later stays
/// counted, which errs on the side of the limit.
fn grow(total: &mut usize, most: usize, current: usize, desired: usize, denied: &mut bool) -> bool {
    let wanted = total.saturating_add(desired.saturating_sub(current));
    if wanted > most {
        *denied = true;
        return false;
    }
    *total = wanted;
    true
}

/// What is decided each time the epoch advances under a guest that runs.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub meter: Arc<CpuMeter>,
    pub cpu_time: Duration,
    pub deadline: Instant,
}

impl Watch {
    /// Lets the guest go on, after everyone else on this thread had a turn, sockets and timers
    /// included: that is where the futures around the call notice that it has to end.
    pub fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        match self.verdict(Instant::now(), self.meter.spent()) {
            Some(end) => Err(end.into()),
            None => Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))),
        }
    }

    fn verdict(&self, now: Instant, spent: Duration) -> Option<Interruption> {
        if spent >= self.cpu_time {
            Some(Interruption::CpuTime)
        } else if now >= self.deadline {
            Some(Interruption::Deadline)
        } else {
            None
        }
    }
}

/// What a call may still send: messages, publications and events of runs together.
///
/// Its excess does not end the call. The guest is told `limit-exceeded` and can answer politely; one
/// that goes on regardless gains nothing but the loss of its CPU time.
#[derive(Debug, Clone)]
pub(crate) struct EmissionBudget {
    count_left: u32,
    bytes_left: usize,
}

impl EmissionBudget {
    pub fn new(count: u32, bytes: usize) -> Self {
        Self { count_left: count, bytes_left: bytes }
    }

    /// Takes one emission of so many bytes, or says which setting stands against it.
    pub fn take(&mut self, bytes: usize) -> Result<(), String> {
        let Some(count_left) = self.count_left.checked_sub(1) else {
            return Err("`max_emissions` of this call are used up".into());
        };
        self.take_bytes(bytes)?;
        self.count_left = count_left;
        Ok(())
    }

    /// For the one event that a run is always allowed to end with.
    pub fn take_bytes(&mut self, bytes: usize) -> Result<(), String> {
        let Some(left) = self.bytes_left.checked_sub(bytes) else {
            return Err(format!("{bytes} bytes are more than is left of this call's `max_emitted_bytes`"));
        };
        self.bytes_left = left;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_of_a_store_together_stay_within_the_limit_and_a_refusal_is_remembered() {
        let mut limiter = Limiter::new(100, 10);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(!limiter.denied);
        assert!(!limiter.memory_growing(60, 61, None).unwrap());
        assert!(limiter.denied);
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.tables_denied);
        assert!(!limiter.table_growing(10, 11, None).unwrap());
        assert!(limiter.tables_denied);
    }

    #[test]
    fn a_guest_ends_when_its_cpu_time_or_its_deadline_is_reached_and_not_before() {
        let now = Instant::now();
        let watch = Watch {
            meter: CpuMeter::new(),
            cpu_time: Duration::from_millis(10),
            deadline: now + Duration::from_secs(1),
        };
        assert_eq!(watch.verdict(now, Duration::from_millis(9)), None);
        assert_eq!(watch.verdict(now, Duration::from_millis(10)), Some(Interruption::CpuTime));
        assert_eq!(watch.verdict(now + Duration::from_secs(1), Duration::ZERO), Some(Interruption::Deadline));
    }

    #[test]
    fn emissions_are_bounded_in_number_and_in_bytes_and_a_refused_one_costs_nothing() {
        let mut budget = EmissionBudget::new(2, 10);
        assert!(budget.take(11).unwrap_err().contains("max_emitted_bytes"));
        assert!(budget.take(6).is_ok());
        assert!(budget.take(4).is_ok());
        assert!(budget.take(0).unwrap_err().contains("max_emissions"));
        assert!(budget.take_bytes(0).is_ok());
    }
}
