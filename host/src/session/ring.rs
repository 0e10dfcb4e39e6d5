//! What one session has for its client: numbered, in order, kept until it has arrived.
//!
//! ```text
//!   kept for replay     in flight            waiting
//!   [first .. confirmed] [.. < cursor]        [cursor .. next)
//! ```
//!
//! - *Waiting* frames were not written to the socket of the moment.
//! - *In flight* are those that were written, and that the client's WebSocket stack has not confirmed.
//!   There are never more than a window of them, so that what a client has not received is never in
//!   buffers that nobody can look into, but here.
//! - *Kept* are those that arrived. The application may not have seen them, so they stay as long as
//!   there is room, until they are acknowledged. Only these are ever let go.
//!
//! Pure bookkeeping: time is passed in, and it writes nothing.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::frame::{Frame, Outgoing, Volatile};

/// What a writer takes at once: enough to fill a few packets, little enough that the writer comes to
/// its other duties.
const BATCH_BYTES: usize = 64 * 1024;

/// The part of the window after which a receipt is asked for: early enough that it has come before the
/// window is used up, on most ways.
const RECEIPTS: usize = 4;

/// A queue that grew beyond this in a burst gives its memory back when it is empty.
const IDLE_CAPACITY: usize = 16;

/// What a frame costs beside its bytes.
const FRAME_OVERHEAD: usize = 64;

/// How much one session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes in flight, and bytes that are kept for replay.
    pub window_bytes: usize,
    /// Frames in flight, and frames that are kept for replay.
    pub window_frames: usize,
    /// How long a frame that arrived is kept for replay.
    pub kept_for: Duration,
    /// Bytes that wait.
    pub waiting_bytes: usize,
    /// Frames that wait. Small frames cost more than their bytes; this bounds the rest.
    pub waiting_frames: usize,
}

#[derive(Debug)]
pub(crate) struct Ring {
    bounds: Bounds,
    /// Without gaps; the first has number `first`.
    frames: VecDeque<Numbered>,
    first: u64,
    /// The next to be written.
    cursor: u64,
    /// The last that was ever written.
    sent: u64,
    /// The last that is known to have arrived.
    confirmed: u64,
    /// Whether somebody listens: what arrived does not grow old while nobody can say more about it.
    ages: bool,
    /// What was written since a receipt was last asked for.
    unasked: Size,
    kept: Size,
    in_flight: Size,
    waiting: Size,
    /// Beyond the bounds, because it came with a resumption; it is not held against the client.
    allowance: Size,
    /// The number of the waiting frame of each volatile kind.
    volatile: HashMap<Volatile, u64>,
}

#[derive(Debug, Clone)]
struct Numbered {
    bytes: Bytes,
    volatile: Option<Volatile>,
    since: Instant,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Size {
    bytes: usize,
    frames: usize,
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued {
        seq: u64,
    },
    /// It took the place of an older one, and its number.
    Conflated {
        seq: u64,
    },
    /// It was queued, and more waits now than may.
    TooMuch {
        seq: u64,
    },
}

/// What a writer got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Took {
    /// Ask the client for a receipt of everything up to here.
    pub receipt: Option<u64>,
    /// Something waits, and nothing may be written before a receipt comes.
    pub blocked: bool,
}

/// A position that was never sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ahead;

/// Frames that are no longer here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Ring {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            frames: VecDeque::new(),
            first: 1,
            cursor: 1,
            sent: 0,
            confirmed: 0,
            ages: true,
            unasked: Size::default(),
            kept: Size::default(),
            in_flight: Size::default(),
            waiting: Size::default(),
            allowance: Size::default(),
            volatile: HashMap::new(),
        }
    }

    /// Goes on where another ring was saved: `frames` begin at `first`, and none is known to have arrived.
    pub fn restored(bounds: Bounds, first: u64, frames: Vec<Frame>, now: Instant) -> Self {
        let mut ring = Self { first, cursor: first, confirmed: first - 1, ..Self::new(bounds) };
        for frame in frames {
            ring.append(frame, now);
        }
        // Whatever is here may have been.
        ring.sent = ring.next() - 1;
        ring.volatile.clear();
        ring
    }

    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The number that the next frame gets.
    pub fn next(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// The number of the oldest frame that is here; that of the next, if there is none.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the last frame that was ever written to a socket; 0 if none was.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The number of the last frame that is known to have arrived.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// The number of the next frame to be written.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// All that is here, oldest first.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        self.frames.iter().map(|frame| Frame { bytes: frame.bytes.clone(), volatile: frame.volatile.clone() })
    }

    /// Memory, about.
    pub fn footprint(&self) -> usize {
        self.kept.bytes + self.in_flight.bytes + self.waiting.bytes + self.frames.len() * FRAME_OVERHEAD
    }

    /// Whether so much waits that the writer should have its turn before there is more.
    pub fn is_filling(&self) -> bool {
        self.waiting.bytes > self.bounds.waiting_bytes / RECEIPTS
            || self.waiting.frames > self.bounds.waiting_frames / RECEIPTS
    }

    /// `slack` is how many times the bounds may wait.
    pub fn push(&mut self, frame: Frame, slack: usize, now: Instant) -> Pushed {
        if let Some(seq) = self.conflate(&frame) {
            return Pushed::Conflated { seq };
        }
        let seq = self.next();
        self.append(frame, now);
        self.let_go(now);
        if self.holds_more_than(slack) { Pushed::TooMuch { seq } } else { Pushed::Queued { seq } }
    }

    /// Whether more waits than so many times the bounds.
    pub fn holds_more_than(&self, slack: usize) -> bool {
        let Bounds { waiting_bytes, waiting_frames, window_bytes, window_frames, .. } = self.bounds;
        // A socket's window waits again when the socket is gone.
        let window = slack.saturating_sub(1);
        let bytes = waiting_bytes.saturating_mul(slack).saturating_add(window_bytes.saturating_mul(window));
        let frames = waiting_frames.saturating_mul(slack).saturating_add(window_frames.saturating_mul(window));
        self.waiting.bytes > bytes.saturating_add(self.allowance.bytes)
            || self.waiting.frames > frames.saturating_add(self.allowance.frames)
    }

    /// Moves what waits to the end of `batch`, as far as the window and the size of a batch allow, and
    /// nothing from number `until` on. Says how far it came.
    pub fn take(&mut self, batch: &mut VecDeque<Outgoing>, until: u64) -> Took {
        let (mut taken, mut blocked) = (0, false);
        while taken < BATCH_BYTES && self.cursor < until.min(self.next()) {
            let Some(length) = self.at(self.cursor).map(|frame| frame.bytes.len()) else { break };
            if !self.has_window_for(length) {
                blocked = true;
                break;
            }
            let (seq, bytes) = (self.cursor, self.write_one());
            taken += bytes.len();
            batch.push_back(Outgoing { bytes, seq: Some(seq) });
        }
        Took { receipt: self.receipt(blocked), blocked }
    }

    /// Everything up to `seq` was acknowledged: the client will never ask for it again.
    pub fn ack(&mut self, seq: u64, now: Instant) -> Result<(), Ahead> {
        if seq >= self.cursor {
            return Err(Ahead);
        }
        self.confirm(seq, now);
        while self.first <= seq && self.confirmed >= self.first {
            self.drop_first();
        }
        self.give_back_memory();
        Ok(())
    }

    /// Everything up to `seq` has arrived. What was never sent is not believed.
    pub fn confirm(&mut self, seq: u64, now: Instant) {
        while self.confirmed < seq && self.confirmed + 1 < self.cursor {
            self.confirmed += 1;
            let bytes = self.at(self.confirmed).map_or(0, |frame| frame.bytes.len());
            self.in_flight.remove(bytes);
            self.kept.add(bytes);
        }
        self.let_go(now);
    }

    /// The socket is gone: what was in flight on it waits again.
    pub fn rewind(&mut self) {
        self.start_after(self.confirmed);
        self.ages = false;
        self.allowance = Size::default();
    }

    /// Whether a client that has everything up to `last` can have all the rest.
    pub fn can_resume(&self, last: u64) -> Result<(), Gone> {
        if last + 1 >= self.first { Ok(()) } else { Err(Gone) }
    }

    /// A client that has everything up to `last` listens again. What waits now is not held against it.
    pub fn resume(&mut self, last: u64) {
        while self.first <= last && !self.frames.is_empty() {
            self.frames.pop_front();
            self.first += 1;
        }
        self.confirmed = last;
        self.ages = true;
        self.start_after(last);
        self.allowance = self.waiting;
    }

    /// Lets go of what arrived and is beyond the bounds or too old.
    pub fn let_go(&mut self, now: Instant) {
        while self.kept.frames > 0
            && (self.kept.bytes > self.bounds.window_bytes
                || self.kept.frames > self.bounds.window_frames
                || (self.ages && self.frames.front().is_some_and(|oldest| now > oldest.since + self.bounds.kept_for)))
        {
            self.drop_first();
        }
        self.give_back_memory();
    }

    fn append(&mut self, frame: Frame, now: Instant) {
        if let Some(kind) = &frame.volatile {
            self.volatile.insert(kind.clone(), self.next());
        }
        self.waiting.add(frame.bytes.len());
        self.frames.push_back(Numbered { bytes: frame.bytes, volatile: frame.volatile, since: now });
    }

    /// Puts a volatile frame in the place of the older one of its kind, if one waits. In its place, so
    /// that a kind which is renewed faster than the client reads is still delivered now and then.
    fn conflate(&mut self, frame: &Frame) -> Option<u64> {
        let seq = *self.volatile.get(frame.volatile.as_ref()?)?;
        let place = self.place(seq)?;
        let older = self.frames.get_mut(place)?;
        self.waiting.bytes = self.waiting.bytes - older.bytes.len() + frame.bytes.len();
        older.bytes = frame.bytes.clone();
        Some(seq)
    }

    fn has_window_for(&self, bytes: usize) -> bool {
        let fits = self.in_flight.bytes + bytes <= self.bounds.window_bytes
            && self.in_flight.frames < self.bounds.window_frames;
        // However large it is, one frame can always go.
        fits || self.in_flight.frames == 0
    }

    fn write_one(&mut self) -> Bytes {
        let Some(frame) = self.place(self.cursor).and_then(|place| self.frames.get(place)) else { return Bytes::new() };
        let bytes = frame.bytes.clone();
        if let Some(kind) = frame.volatile.as_ref() {
            self.volatile.remove(kind);
        }
        self.waiting.remove(bytes.len());
        self.in_flight.add(bytes.len());
        self.unasked.add(bytes.len());
        self.allowance = self.allowance.least(self.waiting);
        self.sent = self.sent.max(self.cursor);
        self.cursor += 1;
        bytes
    }

    /// Whether it is time to ask for a receipt.
    fn receipt(&mut self, blocked: bool) -> Option<u64> {
        let last = self.cursor - 1;
        let due = blocked
            || self.unasked.frames >= self.bounds.window_frames / RECEIPTS
            || self.unasked.bytes >= self.bounds.window_bytes / RECEIPTS;
        // Nothing may have been written since, or it was acknowledged already.
        if !due || self.unasked.frames == 0 || last <= self.confirmed {
            return None;
        }
        self.unasked = Size::default();
        Some(last)
    }

    /// Begins to write after `last`, which is known to have arrived.
    fn start_after(&mut self, last: u64) {
        self.cursor = (last + 1).max(self.first);
        self.unasked = Size::default();
        (self.kept, self.in_flight, self.waiting) = (Size::default(), Size::default(), Size::default());
        self.volatile.clear();
        for (seq, frame) in (self.first..).zip(&self.frames) {
            if seq < self.cursor {
                self.kept.add(frame.bytes.len());
            } else {
                self.waiting.add(frame.bytes.len());
                // One that was ever written may be there already: its number stands for what it said.
                if let Some(kind) = frame.volatile.as_ref().filter(|_| seq > self.sent) {
                    self.volatile.insert(kind.clone(), seq);
                }
            }
        }
    }

    /// Only of frames that are kept.
    fn drop_first(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.kept.remove(frame.bytes.len());
            self.first += 1;
        }
    }

    fn give_back_memory(&mut self) {
        if self.frames.is_empty() && self.frames.capacity() > IDLE_CAPACITY {
            self.frames.shrink_to(IDLE_CAPACITY);
        }
    }

    fn place(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.first)?).ok()
    }

    fn at(&self, seq: u64) -> Option<&Numbered> {
        self.frames.get(self.place(seq)?)
    }
}

impl Size {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.frames += 1;
    }

    fn remove(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.frames -= 1;
    }

    fn least(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), frames: self.frames.min(other.frames) }
    }
}

#[cfg(test)]
mod tests;
