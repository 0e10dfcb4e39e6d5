//! The order in which one session's messages are handled.
//!
//! Messages of one type run one after the other in order of arrival, unless their handler declared
//! them concurrent; different types never wait for one another. In all, at most `capacity` messages
//! are unfinished: then the inbox is full, and whoever reads the socket has to stop for a while.
//!
//! Pure bookkeeping over any kind of job. It runs nothing and waits for nothing.

use std::collections::{HashMap, VecDeque};

use switchboard_protocol::MessageType;

/// What a message waits behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Behind the unfinished messages of this type.
    Serial(MessageType),
    /// Behind nothing.
    Concurrent,
}

/// What became of a job that was offered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Accepted<J> {
    /// Run it now, and report its end to [`Inbox::finished`].
    Start(J),
    /// It will come out of [`Inbox::finished`].
    Queued,
    /// It was not taken.
    Full(J),
}

#[derive(Debug)]
pub(crate) struct Inbox<J> {
    capacity: usize,
    unfinished: usize,
    /// A type is in here as long as one of its serial messages runs; the queue holds the next ones.
    lanes: HashMap<MessageType, VecDeque<J>>,
}

impl<J> Inbox<J> {
    pub fn new(capacity: usize) -> Self {
        Self { capacity, unfinished: 0, lanes: HashMap::new() }
    }

    pub fn accept(&mut self, lane: &Lane, job: J) -> Accepted<J> {
        if self.is_full() {
            return Accepted::Full(job);
        }
        self.unfinished += 1;
        let Lane::Serial(message_type) = lane else { return Accepted::Start(job) };
        match self.lanes.get_mut(message_type) {
            Some(waiting) => {
                waiting.push_back(job);
                Accepted::Queued
            }
            None => {
                self.lanes.insert(message_type.clone(), VecDeque::new());
                Accepted::Start(job)
            }
        }
    }

    /// A job that was started has ended. Returns the one that runs next in its lane.
    pub fn finished(&mut self, lane: &Lane) -> Option<J> {
        self.unfinished = self.unfinished.saturating_sub(1);
        let Lane::Serial(message_type) = lane else { return None };
        let next = self.lanes.get_mut(message_type)?.pop_front();
        if next.is_none() {
            self.lanes.remove(message_type);
        }
        next
    }

    pub fn is_full(&self) -> bool {
        self.unfinished >= self.capacity
    }

    pub fn is_idle(&self) -> bool {
        self.unfinished == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serial(name: &str) -> Lane {
        Lane::Serial(MessageType::parse(name).unwrap())
    }

    #[test]
    fn one_type_runs_one_at_a_time_in_order_of_arrival() {
        let mut inbox = Inbox::new(8);
        assert_eq!(inbox.accept(&serial("a"), 1), Accepted::Start(1));
        assert_eq!(inbox.accept(&serial("a"), 2), Accepted::Queued);
        assert_eq!(inbox.accept(&serial("a"), 3), Accepted::Queued);
        assert_eq!(inbox.finished(&serial("a")), Some(2));
        assert_eq!(inbox.accept(&serial("a"), 4), Accepted::Queued);
        assert_eq!(inbox.finished(&serial("a")), Some(3));
        assert_eq!(inbox.finished(&serial("a")), Some(4));
        assert_eq!(inbox.finished(&serial("a")), None);
        assert!(inbox.is_idle());
        assert_eq!(inbox.accept(&serial("a"), 5), Accepted::Start(5));
    }

    #[test]
    fn different_types_do_not_wait_for_one_another() {
        let mut inbox = Inbox::new(8);
        assert_eq!(inbox.accept(&serial("a"), 1), Accepted::Start(1));
        assert_eq!(inbox.accept(&serial("b"), 2), Accepted::Start(2));
        assert_eq!(inbox.finished(&serial("b")), None);
    }

    #[test]
    fn concurrent_messages_start_at_once() {
        let mut inbox = Inbox::new(8);
        assert_eq!(inbox.accept(&Lane::Concurrent, 1), Accepted::Start(1));
        assert_eq!(inbox.accept(&Lane::Concurrent, 2), Accepted::Start(2));
        assert_eq!(inbox.finished(&Lane::Concurrent), None);
    }

    #[test]
    fn running_and_waiting_messages_count_against_the_capacity() {
        let mut inbox = Inbox::new(2);
        assert_eq!(inbox.accept(&serial("a"), 1), Accepted::Start(1));
        assert_eq!(inbox.accept(&serial("a"), 2), Accepted::Queued);
        assert_eq!(inbox.accept(&serial("b"), 3), Accepted::Full(3));
        assert_eq!(inbox.accept(&Lane::Concurrent, 4), Accepted::Full(4));
        assert_eq!(inbox.finished(&serial("a")), Some(2));
        assert_eq!(inbox.accept(&serial("b"), 3), Accepted::Start(3));
    }
}
