//! How much each user uses of each item that a rule bounds: how often (GCRA), and how many calls at one time.
//!
//! What was never used, or not for so long that the rate is whole again, takes no memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::config::item_rule::ItemRule;

/// Users and items worth a first pass over all of them: some MB.
const MANY: usize = 10_000;

/// After a pass, at which all are forgotten that do not run: a few tens of MB. Whoever has so many users comes to no
/// harm by a few calls too many.
const MAX_REMEMBERED: usize = 100_000;

/// When to try again where calls of one's own are in the way: nobody knows how long these take.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// Whose calls, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub tenant: Option<String>,
    pub subject: String,
    pub item: String,
}

/// Why a call is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exceeded {
    pub reason: String,
    pub retry_after: Duration,
}

/// One per host.
pub(super) struct Usage {
    uses: Mutex<Uses>,
}

struct Uses {
    by_key: HashMap<Key, Use>,
    /// More than this are worth the next pass.
    look_at: usize,
}

/// Of one user and one item.
#[derive(Debug, Default)]
struct Use {
    /// When the rate will be whole again.
    whole_at: Option<Instant>,
    running: u32,
}

/// A call that is under way.
pub(super) struct Running {
    usage: Arc<Usage>,
    key: Option<Key>,
}

impl Usage {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { uses: Mutex::new(Uses { by_key: HashMap::new(), look_at: MANY }) })
    }

    /// Counts a call, or refuses it. What is refused counts for nothing.
    pub fn begin(self: &Arc<Self>, key: Key, rule: &ItemRule, now: Instant) -> Result<Running, Exceeded> {
        if rule.rate.is_none() && rule.concurrent.is_none() {
            return Ok(Running { usage: self.clone(), key: None });
        }
        let mut uses = self.uses();
        if uses.by_key.len() > uses.look_at {
            uses.tidy(now);
        }
        uses.by_key.entry(key.clone()).or_default().begin(rule, now)?;
        Ok(Running { usage: self.clone(), key: Some(key) })
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uses {
    fn tidy(&mut self, now: Instant) {
        self.by_key.retain(|_, used| !used.is_idle(now));
        if self.by_key.len() > MAX_REMEMBERED {
            tracing::warn!(uses = self.by_key.len(), "too many users use too much to remember how often");
            self.by_key.retain(|_, used| used.running > 0);
        }
        self.look_at = MANY.max(2 * self.by_key.len());
    }
}

impl Use {
    fn begin(&mut self, rule: &ItemRule, now: Instant) -> Result<(), Exceeded> {
        if let Some(most) = rule.concurrent.filter(|most| self.running >= *most) {
            let reason = format!("{most} calls of it at one time are allowed to each user");
            return Err(Exceeded { reason, retry_after: BUSY_RETRY });
        }
        if let Some(rate) = rule.rate {
            // As many intervals ahead of now as the burst allows, this call's own included.
            let ahead = rate.interval() * rate.burst().get();
            let next = self.whole_at.map_or(now, |at| at.max(now)) + rate.interval();
            let wait = next.saturating_duration_since(now).saturating_sub(ahead);
            if !wait.is_zero() {
                let reason = format!("{rate} calls of it are allowed to each user");
                return Err(Exceeded { reason, retry_after: wait });
            }
            self.whole_at = Some(next);
        }
        self.running += 1;
        Ok(())
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.running == 0 && self.whole_at.is_none_or(|at| at <= now)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut uses = self.usage.uses();
        let Some(used) = uses.by_key.get_mut(&key) else { return };
        used.running = used.running.saturating_sub(1);
        if used.is_idle(Instant::now()) {
            uses.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(subject: &str) -> Key {
        Key { tenant: None, subject: subject.into(), item: "p__t".into() }
    }

    fn rule(text: &str) -> ItemRule {
        ItemRule::parse(text).unwrap()
    }

    #[test]
    fn after_the_burst_calls_come_at_the_sustained_rate_and_the_wait_is_exact() {
        let (usage, rule, start) = (Usage::new(), rule("t rate 5/s burst 3"), Instant::now());
        let begin = |ms: u64| {
            let begun = usage.begin(key("alice"), &rule, start + Duration::from_millis(ms));
            begun.map(drop).map_err(|exceeded| exceeded.retry_after.as_millis())
        };
        assert_eq!([0; 4].map(begin), [Ok(()), Ok(()), Ok(()), Err(200)]);
        assert_eq!([begin(150), begin(200), begin(200)], [Err(50), Ok(()), Err(200)]);
        assert_eq!([10_000; 4].map(begin), [Ok(()), Ok(()), Ok(()), Err(200)], "never more than the burst");
        assert!(usage.begin(key("bob"), &rule, start).is_ok(), "each user has a rate of their own");
    }

    #[test]
    fn calls_at_one_time_are_counted_until_they_end() {
        let (usage, rule, now) = (Usage::new(), rule("t concurrent 2"), Instant::now());
        let begin = || usage.begin(key("alice"), &rule, now);
        let (first, _second) = (begin().unwrap(), begin().unwrap());
        let refused = begin().err().unwrap();
        assert_eq!((refused.retry_after, refused.reason.starts_with("2 calls")), (BUSY_RETRY, true));
        drop(first);
        assert!(begin().is_ok());
    }

    #[test]
    fn what_one_bound_refuses_takes_nothing_from_the_other() {
        let (usage, rule, now) = (Usage::new(), rule("t rate 2/h concurrent 1"), Instant::now());
        let first = usage.begin(key("alice"), &rule, now).unwrap();
        assert!((0..5).all(|_| usage.begin(key("alice"), &rule, now).is_err()));
        drop(first);
        assert!(usage.begin(key("alice"), &rule, now).is_ok());
    }

    #[test]
    fn memory_stays_bounded_while_ever_new_users_come() {
        let (usage, often, now) = (Usage::new(), rule("t rate 1/h"), Instant::now());
        let _running = usage.begin(key("running"), &often, now).unwrap();
        for number in 0..2 * MAX_REMEMBERED + 2 {
            usage.begin(key(&number.to_string()), &often, now).unwrap();
            assert!(usage.uses().by_key.len() <= 2 * MAX_REMEMBERED + 1);
        }
        assert!(usage.uses().by_key.contains_key(&key("running")));
        usage.uses().tidy(now + Duration::from_secs(3_601));
        assert_eq!(usage.uses().by_key.len(), 1, "what is whole again is forgotten");
        let concurrent = rule("t concurrent 1");
        drop(usage.begin(key("alice"), &concurrent, now));
        assert_eq!(usage.uses().by_key.len(), 1, "and what has ended, at once");
    }
}
