//! What was last published to a topic: a ring, bounded by count and by bytes, without gaps.
//!
//! Offsets start at 1 and rise by one with each publication, whether or not it is still here.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
}

#[derive(Debug)]
pub(crate) struct History {
    kept: VecDeque<Publication>,
    bytes: usize,
    last_offset: u64,
    budget: Arc<Budget>,
}

impl History {
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { kept: VecDeque::new(), bytes: 0, last_offset: 0, budget }
    }

    /// The offset of the newest publication; 0 before the first.
    pub fn last_offset(&self) -> u64 {
        self.last_offset
    }

    pub fn next_offset(&mut self) -> u64 {
        self.last_offset += 1;
        self.last_offset
    }

    /// Keeps a publication, and lets go of older ones. If there is no room for it at all, nothing
    /// older is kept either, so that what is here never has a gap.
    pub fn keep(&mut self, publication: Publication, max_count: usize) {
        let bytes = publication.payload.len();
        while !self.kept.is_empty() && (self.kept.len() >= max_count || self.bytes + bytes > MAX_BYTES) {
            self.drop_oldest();
        }
        if max_count == 0 || bytes > MAX_BYTES {
            return;
        }
        while !self.budget.take(bytes) {
            if !self.drop_oldest() {
                return;
            }
        }
        self.bytes += bytes;
        self.kept.push_back(publication);
    }

    /// The newest, oldest first.
    pub fn newest(&self, limit: usize) -> Vec<Publication> {
        self.kept.iter().skip(self.kept.len().saturating_sub(limit)).cloned().collect()
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.kept.pop_front() else { return false };
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

    fn publish(history: &mut History, bytes: usize, max_count: usize) {
        let offset = history.next_offset();
        let publication = Publication {
            offset,
            message_type: MessageType::parse("m").unwrap(),
            payload: "x".repeat(bytes).into(),
            publisher: "alice".into(),
            timestamp: 0.0,
        };
        history.keep(publication, max_count);
    }

    fn offsets(history: &History) -> Vec<u64> {
        history.newest(usize::MAX).iter().map(|publication| publication.offset).collect()
    }

    #[test]
    fn the_newest_are_kept_up_to_the_count() {
        let mut history = History::new(Arc::new(Budget::new(1000)));
        for _ in 0..5 {
            publish(&mut history, 1, 3);
        }
        assert_eq!(offsets(&history), [3, 4, 5]);
        assert_eq!(history.newest(2).first().map(|publication| publication.offset), Some(4));
        assert_eq!(history.last_offset(), 5);
        publish(&mut history, 1, 0);
        assert_eq!(offsets(&history), Vec::<u64>::new());
    }

    #[test]
    fn bytes_are_bounded_for_a_topic_and_for_all_together() {
        let mut history = History::new(Arc::new(Budget::new(usize::MAX)));
        for _ in 0..3 {
            publish(&mut history, MAX_BYTES / 2, 10);
        }
        assert_eq!(offsets(&history), [2, 3]);

        let budget = Arc::new(Budget::new(10));
        let (mut one, mut two) = (History::new(budget.clone()), History::new(budget.clone()));
        publish(&mut one, 6, 10);
        publish(&mut two, 6, 10);
        assert_eq!((offsets(&one), offsets(&two)), (vec![1], vec![]));
        publish(&mut one, 8, 10);
        assert_eq!(offsets(&one), [2]);
        drop(one);
        publish(&mut two, 6, 10);
        assert_eq!(offsets(&two), [2]);
        drop(two);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
