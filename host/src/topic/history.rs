//! What was last published to a topic: a ring, bounded by count, bytes and age, without gaps.
//!
//! Offsets start at 1 and rise by one with each publication, whether or not it is still here. Time is
//! passed in.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use switchboard_protocol::MessageType;

/// Payload bytes that one topic keeps.
const MAX_BYTES: usize = 256 * 1024;

/// Something that was published.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Publication {
    pub offset: u64,
    pub message_type: MessageType,
    /// The text of a JSON object.
    pub payload: Arc<str>,
    /// Subject of the publisher.
    pub publisher: Arc<str>,
    /// Unix seconds.
    pub timestamp: f64,
}

/// How much a topic keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub max_count: usize,
    pub max_age: Duration,
}

/// Payload bytes that all topics keep together, and how many they keep now.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        let grown = |used: usize| used.checked_add(bytes).filter(|grown| *grown <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(crate) struct History {
    kept: VecDeque<(Instant, Publication)>,
    bytes: usize,
    last_offset: u64,
    budget: Arc<Budget>,
}

impl History {
    /// One whose last publication, which is not here, had this offset.
    pub fn after(last_offset: u64, budget: Arc<Budget>) -> Self {
        Self { kept: VecDeque::new(), bytes: 0, last_offset, budget }
    }

    /// The offset of the newest publication; 0 before the first.
    pub fn last_offset(&self) -> u64 {
        self.last_offset
    }

    pub fn next_offset(&mut self) -> u64 {
        self.last_offset += 1;
        self.last_offset
    }

    /// Keeps a publication that was made at `when`, and lets go of older ones. If there is no room for it
    /// at all, nothing older is kept either, so that what is here never has a gap.
    pub fn keep(&mut self, publication: Publication, when: Instant, bounds: Bounds) {
        self.expire(when, bounds.max_age);
        let bytes = publication.payload.len();
        while !self.kept.is_empty() && (self.kept.len() >= bounds.max_count || self.bytes + bytes > MAX_BYTES) {
            self.drop_oldest();
        }
        if bounds.max_count == 0 || bytes > MAX_BYTES {
            return;
        }
        while !self.budget.take(bytes) {
            if !self.drop_oldest() {
                return;
            }
        }
        self.bytes += bytes;
        self.kept.push_back((when, publication));
    }

    /// Lets go of what is older than that.
    pub fn expire(&mut self, now: Instant, max_age: Duration) {
        while self.kept.front().is_some_and(|(when, _)| now.saturating_duration_since(*when) > max_age) {
            self.drop_oldest();
        }
    }

    /// The newest, oldest first.
    pub fn newest(&self, limit: usize) -> impl ExactSizeIterator<Item = &Publication> {
        self.kept.iter().skip(self.kept.len().saturating_sub(limit)).map(|(_, publication)| publication)
    }

    /// Everything behind an offset, oldest first; `None` if some of it is no longer here, or the offset is
    /// one that was not reached yet.
    pub fn since(&self, offset: u64) -> Option<impl ExactSizeIterator<Item = &Publication>> {
        let missed = usize::try_from(self.last_offset.checked_sub(offset)?).ok()?;
        (missed <= self.kept.len()).then(|| self.newest(missed))
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, oldest)) = self.kept.pop_front() else { return false };
        self.bytes -= oldest.payload.len();
        self.budget.give_back(oldest.payload.len());
        true
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_AGE: Duration = Duration::from_secs(60);

    fn publish_at(history: &mut History, when: Instant, bytes: usize, max_count: usize) {
        let offset = history.next_offset();
        let publication = Publication {
            offset,
            message_type: MessageType::parse("m").unwrap(),
            payload: "x".repeat(bytes).into(),
            publisher: "alice".into(),
            timestamp: 0.0,
        };
        history.keep(publication, when, Bounds { max_count, max_age: MAX_AGE });
    }

    fn publish(history: &mut History, bytes: usize, max_count: usize) {
        publish_at(history, Instant::now(), bytes, max_count);
    }

    fn offsets(history: &History) -> Vec<u64> {
        history.newest(usize::MAX).map(|publication| publication.offset).collect()
    }

    fn since(history: &History, offset: u64) -> Option<Vec<u64>> {
        history.since(offset).map(|missed| missed.map(|publication| publication.offset).collect())
    }

    #[test]
    fn the_newest_are_kept_up_to_the_count() {
        let mut history = History::after(0, Arc::new(Budget::new(1000)));
        for _ in 0..5 {
            publish(&mut history, 1, 3);
        }
        assert_eq!(offsets(&history), [3, 4, 5]);
        assert_eq!(history.newest(2).next().map(|publication| publication.offset), Some(4));
        assert_eq!(history.last_offset(), 5);
        publish(&mut history, 1, 0);
        assert_eq!(offsets(&history), Vec::<u64>::new());
    }

    #[test]
    fn what_was_missed_is_all_there_or_not_told() {
        let mut history = History::after(0, Arc::new(Budget::new(1000)));
        assert_eq!((since(&history, 0), since(&history, 1)), (Some(vec![]), None));
        for _ in 0..5 {
            publish(&mut history, 1, 3);
        }
        for (offset, expected) in
            [(1, None), (2, Some(vec![3, 4, 5])), (4, Some(vec![5])), (5, Some(vec![])), (6, None), (u64::MAX, None)]
        {
            assert_eq!(since(&history, offset), expected, "since {offset}");
        }
    }

    #[test]
    fn what_is_too_old_is_let_go() {
        let mut history = History::after(0, Arc::new(Budget::new(1000)));
        let start = Instant::now();
        for seconds in [0, 30, 60] {
            publish_at(&mut history, start + Duration::from_secs(seconds), 1, 10);
        }
        history.expire(start + Duration::from_secs(61), MAX_AGE);
        assert_eq!((offsets(&history), since(&history, 0)), (vec![2, 3], None));
        publish_at(&mut history, start + Duration::from_secs(91), 1, 10);
        assert_eq!(offsets(&history), [3, 4]);
    }

    #[test]
    fn bytes_are_bounded_for_a_topic_and_for_all_together() {
        let mut history = History::after(0, Arc::new(Budget::new(usize::MAX)));
        for _ in 0..3 {
            publish(&mut history, MAX_BYTES / 2, 10);
        }
        assert_eq!(offsets(&history), [2, 3]);

        let budget = Arc::new(Budget::new(10));
        let (mut one, mut two) = (History::after(0, budget.clone()), History::after(0, budget.clone()));
        publish(&mut one, 6, 10);
        publish(&mut two, 6, 10);
        assert_eq!((offsets(&one), offsets(&two)), (vec![1], vec![]));
        publish(&mut one, 8, 10);
        assert_eq!(offsets(&one), [2]);
        drop(one);
        publish(&mut two, 6, 10);
        assert_eq!(offsets(&two), [2]);
        drop(two);
        assert_eq!(budget.used(), 0);
    }
}
