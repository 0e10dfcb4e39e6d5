//! What waits to be written to one client: bounded in bytes and in frames.
//!
//! Anyone may push; one writer takes. A frame is kept until it is taken, unless it is volatile: then a
//! newer one of its type takes its place in the queue (its place, so that a type which is renewed
//! faster than the client reads is still delivered now and then). When a bound is exceeded the queue
//! is given up: the client is closed as a slow consumer, and what waited is dropped with it.
//!
//! Closing is a state of the outbox, not a message in it: the first reason wins, nothing is pushed
//! after it, and what was pushed before it is still taken.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use switchboard_protocol::{CloseCode, MessageType};
use tokio::sync::Notify;

/// Frames that wait for one client. Small frames cost more than their bytes; this bounds the rest.
const MAX_FRAMES: usize = 16_384;

/// What a writer takes at once: enough to fill a few packets, little enough that the frames which are
/// no longer counted as waiting stay small beside those that are.
const BATCH_BYTES: usize = 64 * 1024;

/// The share of a bound from which on the outbox counts as filling. The rest has to hold the largest
/// frames that come in until the writer has its turn.
const FILLING: usize = 4;

/// A queue that grew beyond this in a burst gives its memory back when it is empty.
const IDLE_CAPACITY: usize = 16;

/// An encoded message. The bytes are shared by all of its receivers.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub bytes: Bytes,
    /// Of several of this type that wait, only the newest is delivered.
    pub volatile: Option<MessageType>,
}

impl Frame {
    pub fn kept(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), volatile: None }
    }
}

/// Nothing can be pushed: the client is leaving or gone.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the connection is closing")]
pub(crate) struct Closing;

/// What a writer finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Frames are in the batch.
    Frames,
    /// Nothing waits at the moment.
    Nothing,
    /// Everything was taken, and this is how it ends.
    Close(CloseCode),
}

#[derive(Debug)]
pub(crate) struct Outbox {
    max_bytes: usize,
    queue: Mutex<Queue>,
    /// Wakes the writer.
    ready: Notify,
    /// Wakes the reader, which has to stop.
    closed: Notify,
    conflated: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// How many frames were ever taken: the number of the frame at the front.
    taken: u64,
    /// The number of the waiting frame of each volatile type.
    volatile: HashMap<MessageType, u64>,
    close: Option<CloseCode>,
}

impl Outbox {
    pub fn new(max_bytes: usize, conflated: Counter) -> Self {
        Self { max_bytes, queue: Mutex::default(), ready: Notify::new(), closed: Notify::new(), conflated }
    }

    /// Queues a frame. Exceeding a bound closes the outbox.
    pub fn push(&self, frame: Frame) -> Result<(), Closing> {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return Err(Closing);
        }
        if queue.replace_volatile(&frame) {
            self.conflated.inc();
        } else {
            queue.append(frame);
        }
        if queue.bytes > self.max_bytes || queue.frames.len() > MAX_FRAMES {
            *queue = Queue { close: Some(CloseCode::SlowConsumer), ..Queue::default() };
            drop(queue);
            self.wake_for_close();
            return Err(Closing);
        }
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    /// Whether a frame of so many bytes can ever be taken.
    pub fn can_hold(&self, bytes: usize) -> bool {
        bytes <= self.max_bytes
    }

    /// Whether so much waits that the writer should have its turn before there is more.
    pub fn is_filling(&self) -> bool {
        let queue = self.lock();
        queue.bytes > self.max_bytes / FILLING || queue.frames.len() > MAX_FRAMES / FILLING
    }

    /// Ends the outbox after what waits in it. Says whether this was the first reason.
    pub fn close(&self, code: CloseCode) -> bool {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return false;
        }
        queue.close = Some(code);
        drop(queue);
        self.wake_for_close();
        true
    }

    pub fn close_code(&self) -> Option<CloseCode> {
        self.lock().close
    }

    /// Returns when the outbox is closed. One task may wait.
    pub async fn closing(&self) -> CloseCode {
        loop {
            // Made before looking, so that a close in between is not missed.
            let closed = self.closed.notified();
            if let Some(code) = self.close_code() {
                return code;
            }
            closed.await;
        }
    }

    /// Returns when [`Outbox::take`] has something. One task may wait.
    pub async fn wait(&self) {
        self.ready.notified().await;
    }

    /// Wakes the writer without a frame.
    pub fn wake(&self) {
        self.ready.notify_one();
    }

    /// Moves what waits, at most [`BATCH_BYTES`] and one frame, to the end of `batch`.
    pub fn take(&self, batch: &mut VecDeque<Frame>) -> Taken {
        let mut queue = self.lock();
        if queue.frames.is_empty() {
            return queue.close.map_or(Taken::Nothing, Taken::Close);
        }
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && let Some(frame) = queue.pop()
        {
            bytes += frame.bytes.len();
            batch.push_back(frame);
        }
        if queue.frames.is_empty() && queue.frames.capacity() > IDLE_CAPACITY {
            queue.frames.shrink_to(IDLE_CAPACITY);
        }
        Taken::Frames
    }

    /// Bytes and frames that wait.
    #[cfg(test)]
    fn waiting(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.bytes, queue.frames.len())
    }

    fn wake_for_close(&self) {
        self.ready.notify_one();
        self.closed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn append(&mut self, frame: Frame) {
        if let Some(message_type) = &frame.volatile {
            self.volatile.insert(message_type.clone(), self.taken + self.frames.len() as u64);
        }
        self.bytes += frame.bytes.len();
        self.frames.push_back(frame);
    }

    /// Puts a volatile frame in the place of the older one of its type, if one waits.
    fn replace_volatile(&mut self, frame: &Frame) -> bool {
        let Some(message_type) = &frame.volatile else { return false };
        let Some(number) = self.volatile.get(message_type) else { return false };
        let Some(place) = number.checked_sub(self.taken).and_then(|place| usize::try_from(place).ok()) else {
            return false;
        };
        let Some(older) = self.frames.get_mut(place) else { return false };
        self.bytes = self.bytes - older.bytes.len() + frame.bytes.len();
        older.bytes = frame.bytes.clone();
        true
    }

    fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.taken += 1;
        self.bytes -= frame.bytes.len();
        if let Some(message_type) = &frame.volatile {
            self.volatile.remove(message_type);
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(max_bytes: usize) -> Outbox {
        Outbox::new(max_bytes, Counter::default())
    }

    fn volatile(name: &str, text: &'static str) -> Frame {
        Frame { bytes: text.into(), volatile: Some(MessageType::parse(name).unwrap()) }
    }

    fn taken(outbox: &Outbox) -> Vec<Bytes> {
        let mut batch = VecDeque::new();
        while outbox.take(&mut batch) == Taken::Frames {}
        batch.into_iter().map(|frame| frame.bytes).collect()
    }

    #[test]
    fn frames_come_out_in_order() {
        let outbox = outbox(100);
        for text in ["a", "b", "c"] {
            outbox.push(Frame::kept(text)).unwrap();
        }
        assert_eq!(taken(&outbox), ["a", "b", "c"]);
        assert_eq!(outbox.waiting(), (0, 0));
    }

    #[test]
    fn the_newest_of_a_volatile_type_takes_the_place_of_the_one_that_waits() {
        let outbox = outbox(100);
        outbox.push(volatile("tick", "1")).unwrap();
        outbox.push(Frame::kept("k")).unwrap();
        outbox.push(volatile("other", "o")).unwrap();
        outbox.push(volatile("tick", "22")).unwrap();
        assert_eq!(outbox.waiting(), (4, 3));
        assert_eq!(taken(&outbox), ["22", "k", "o"]);
        assert_eq!(outbox.conflated.get(), 1);
        outbox.push(volatile("tick", "3")).unwrap();
        outbox.push(volatile("tick", "4")).unwrap();
        assert_eq!(taken(&outbox), ["4"]);
    }

    #[test]
    fn too_many_bytes_close_it_and_free_what_waited() {
        let outbox = outbox(3);
        outbox.push(Frame::kept("ab")).unwrap();
        assert_eq!(outbox.push(Frame::kept("cd")), Err(Closing));
        assert_eq!(outbox.waiting(), (0, 0));
        assert_eq!(outbox.take(&mut VecDeque::new()), Taken::Close(CloseCode::SlowConsumer));
        assert_eq!(outbox.push(Frame::kept("e")), Err(Closing));
    }

    #[test]
    fn too_many_frames_close_it_too() {
        let outbox = outbox(usize::MAX);
        for _ in 0..MAX_FRAMES {
            outbox.push(Frame::kept("")).unwrap();
        }
        assert_eq!(outbox.push(Frame::kept("")), Err(Closing));
        assert_eq!(outbox.close_code(), Some(CloseCode::SlowConsumer));
    }

    #[test]
    fn the_first_reason_to_close_wins_and_what_waits_comes_before_it() {
        let outbox = outbox(100);
        outbox.push(Frame::kept("a")).unwrap();
        assert!(outbox.close(CloseCode::ServiceRestart));
        assert!(!outbox.close(CloseCode::TokenExpired));
        let mut batch = VecDeque::new();
        assert_eq!(outbox.take(&mut batch), Taken::Frames);
        assert_eq!(outbox.take(&mut batch), Taken::Close(CloseCode::ServiceRestart));
    }

    #[test]
    fn it_says_when_it_is_filling_and_what_it_can_never_hold() {
        let outbox = outbox(100);
        outbox.push(Frame::kept(vec![b'x'; 25])).unwrap();
        assert!(!outbox.is_filling());
        outbox.push(Frame::kept("y")).unwrap();
        assert!(outbox.is_filling());
        assert_eq!((outbox.can_hold(100), outbox.can_hold(101)), (true, false));
    }

    #[test]
    fn a_batch_is_bounded() {
        let outbox = outbox(usize::MAX);
        for _ in 0..4 {
            outbox.push(Frame::kept(vec![b'x'; BATCH_BYTES])).unwrap();
        }
        let mut batch = VecDeque::new();
        assert_eq!((outbox.take(&mut batch), batch.len()), (Taken::Frames, 1));
    }
}
