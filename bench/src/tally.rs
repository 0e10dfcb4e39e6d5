//! What became of messages: how long answers took, and everything that should not have been.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Nanoseconds; beyond it, a value counts as this much.
const LONGEST: u64 = 120_000_000_000;

/// Of a histogram's values: an error below a thousandth.
const DIGITS: u8 = 3;

/// The word for it.
const NONE: &str = "0";

#[derive(Debug, Clone)]
pub struct Tally {
    /// `None` only if the constants above were wrong.
    latencies: Option<Histogram<u64>>,
    pub sent: u64,
    pub answered: u64,
    /// Answers to what was answered already, or never asked.
    pub twice: u64,
    /// Never answered.
    pub lost: u64,
    /// By code, and connections that ended by how.
    pub errors: BTreeMap<String, u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST, DIGITS).ok();
        Self { latencies, sent: 0, answered: 0, twice: 0, lost: 0, errors: BTreeMap::new() }
    }
}

impl Tally {
    pub fn took(&mut self, time: Duration) {
        self.answered += 1;
        if let Some(latencies) = &mut self.latencies {
            latencies.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(LONGEST));
        }
    }

    pub fn error(&mut self, code: &str) {
        match self.errors.get_mut(code) {
            Some(count) => *count += 1,
            None => _ = self.errors.insert(code.to_owned(), 1),
        }
    }

    pub fn add(&mut self, other: &Self) {
        if let (Some(mine), Some(others)) = (&mut self.latencies, &other.latencies) {
            // Both have the same bounds.
            let _ = mine.add(others);
        }
        self.sent += other.sent;
        self.answered += other.answered;
        self.twice += other.twice;
        self.lost += other.lost;
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
    }

    pub fn sum(tallies: impl IntoIterator<Item = Self>) -> Self {
        tallies.into_iter().fold(Self::default(), |mut sum, tally| {
            sum.add(&tally);
            sum
        })
    }

    /// In microseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        let nanoseconds = self.latencies.as_ref().map_or(0, |latencies| latencies.value_at_percentile(percent));
        Duration::from_nanos(nanoseconds).as_secs_f64() * 1e6
    }

    /// Nothing, or all that should not have been, in a few words.
    pub fn complaints(&self) -> String {
        let counted = [("lost", self.lost), ("twice", self.twice)].into_iter().filter(|(_, count)| *count > 0);
        let mut words: Vec<String> = counted.map(|(word, count)| format!("{count} {word}")).collect();
        words.extend(Some(self.refusals()).filter(|refusals| refusals != NONE));
        if words.is_empty() { NONE.to_owned() } else { words.join(", ") }
    }

    /// The same without what was lost or came twice.
    pub fn refusals(&self) -> String {
        let words: Vec<String> = self.errors.iter().map(|(code, count)| format!("{count} {code}")).collect();
        if words.is_empty() { NONE.to_owned() } else { words.join(", ") }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "sent": self.sent, "answered": self.answered, "lost": self.lost, "twice": self.twice, "errors": self.errors,
            "us": { "p50": self.percentile(50.0), "p90": self.percentile(90.0), "p99": self.percentile(99.0),
                    "p99_9": self.percentile(99.9), "max": self.percentile(100.0) },
        })
    }
}

/// Messages of one connection that wait for their answers.
#[derive(Debug, Default)]
pub struct InFlight {
    /// Of the first message in each slot.
    first: u64,
    slots: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Rises with each message, so that a second answer is not taken for the next message's.
    serial: u64,
    since: Option<Instant>,
}

/// Of a number, what names the slot.
const SLOT_BITS: u32 = 20;

/// Of a number, what tells the messages of a slot apart within a stretch: more than one slot can have.
const SERIAL_BITS: u32 = 30;

impl InFlight {
    /// For a stretch of its own: no number of another stretch comes again. The host answers a message whose `id` it has
    /// seen from its record, and what would be measured is that.
    pub fn of_stretch(stretch: u64) -> Self {
        Self { first: stretch << SERIAL_BITS, ..Self::default() }
    }

    /// A message that was due then. Returns the number that it has to carry.
    pub fn begin(&mut self, due: Instant) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { serial: self.first, since: None });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        slot.serial += 1;
        slot.since = Some(due);
        slot.serial << SLOT_BITS | index as u64
    }

    /// An answer has come. When its message was due, unless none is waiting for it.
    pub fn end(&mut self, number: u64) -> Option<Instant> {
        let index = usize::try_from(number & ((1 << SLOT_BITS) - 1)).ok()?;
        let slot = self.slots.get_mut(index).filter(|slot| slot.serial == number >> SLOT_BITS)?;
        let since = slot.since.take()?;
        self.free.push(index);
        Some(since)
    }

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_and_for_its_own_message() {
        let (mut waiting, now) = (InFlight::default(), Instant::now());
        let (first, second) = (waiting.begin(now), waiting.begin(now));
        assert_ne!(first, second);
        assert_eq!((waiting.end(second), waiting.end(second), waiting.len()), (Some(now), None, 1));
        let third = waiting.begin(now);
        assert_ne!(third, second);
        assert_eq!((waiting.end(second), waiting.end(third), waiting.end(first)), (None, Some(now), Some(now)));
        assert_eq!((waiting.len(), waiting.end(u64::MAX)), (0, None));
    }

    #[test]
    fn no_number_comes_again_in_another_stretch() {
        let now = Instant::now();
        let of = |stretch: u64| {
            let mut waiting = InFlight::of_stretch(stretch);
            let numbers: Vec<u64> = (0..4).map(|_| waiting.begin(now)).collect();
            assert!(numbers.iter().all(|number| waiting.end(*number) == Some(now)));
            numbers.into_iter().chain((0..4).map(|_| waiting.begin(now)).collect::<Vec<_>>()).collect::<Vec<u64>>()
        };
        let mut all: Vec<u64> = (1..5).flat_map(of).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 32);
    }

    #[test]
    fn tallies_add_up_and_complain() {
        let mut one = Tally::default();
        (1..=100).for_each(|micros| one.took(Duration::from_micros(micros)));
        one.error("BUSY");
        let mut sum = Tally::sum([one.clone(), one]);
        assert_eq!((sum.answered, sum.complaints().as_str()), (200, "2 BUSY"));
        assert!((sum.percentile(50.0) - 50.0).abs() < 0.1, "{}", sum.percentile(50.0));
        sum.lost = 3;
        assert_eq!(sum.complaints(), "3 lost, 2 BUSY");
        assert_eq!(Tally::default().complaints(), "0");
    }
}
