//! Memory for what came in and was not understood yet, and for what goes out and was not written yet.
//!
//! Both borrow from their thread while they have something to hold. Tens of thousands of connections wait at any
//! moment, and a few of them have bytes in transit.

use std::{
    cell::RefCell,
    io,
    ops::Range,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWrite as _},
    net::tcp::{ReadHalf, WriteHalf},
};

/// What is read at once, and what is collected before it is written. A read or a write of this size costs the kernel
/// several times what its call does, so that more would bring little.
pub(super) const CHUNK: usize = 32 * 1024;

/// Buffers that a thread keeps: those of connections that are at work at the same time.
const SPARES: usize = 64;

/// Less room than this is not worth a read.
const LEAST_ROOM: usize = 2 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer of [`CHUNK`] bytes.
fn borrow() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(CHUNK))
}

/// Takes one back, if it is of the usual size. Threads may differ: buffers are alike.
fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() == CHUNK {
        buffer.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARES {
                spare.push(buffer);
            }
        });
    }
}

/// What came in.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// Where what was not taken begins.
    start: usize,
}

impl Input {
    pub fn holding(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), start: 0 }
    }

    /// What was not taken.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes so many bytes. They stay where they are until the next read.
    pub fn take(&mut self, count: usize) -> Range<usize> {
        let taken = self.start..self.start + count;
        self.start = taken.end;
        taken
    }

    pub fn at(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    pub fn at_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range]
    }

    /// Reads what there is, for a frame of so many bytes in all; says how much that was. Nothing is held while
    /// there is nothing.
    pub fn poll_fill(
        &mut self,
        from: &mut ReadHalf<'_>,
        wanted: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if from.as_ref().poll_read_ready(context)?.is_pending() {
            self.rest();
            return Poll::Pending;
        }
        self.make_room(wanted);
        let read = pin!(from.read_buf(&mut self.bytes)).poll(context);
        if read.is_pending() {
            self.rest();
        }
        read
    }

    /// Gives back what is not needed while nothing comes.
    fn rest(&mut self) {
        let unread = self.unread().len();
        if unread == 0 {
            give_back(std::mem::take(&mut self.bytes));
            self.start = 0;
        } else if 2 * unread <= self.bytes.capacity() {
            // Whoever sends the beginning of a frame and no more pays for it with as much of ours, and not with more.
            let rest = self.unread().to_vec();
            give_back(std::mem::replace(&mut self.bytes, rest));
            self.start = 0;
        }
    }

    /// Grows with what comes, not with what a frame's head announces.
    fn make_room(&mut self, wanted: usize) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
        let end = self.start + wanted.max(self.unread().len() + LEAST_ROOM);
        if end <= self.bytes.capacity() {
            return;
        }
        self.bytes.drain(..self.start);
        self.start = 0;
        let (held, end) = (self.bytes.len(), wanted.max(self.bytes.len() + LEAST_ROOM));
        if end <= CHUNK {
            if self.bytes.capacity() < CHUNK {
                let mut roomy = borrow();
                roomy.extend_from_slice(&self.bytes);
                self.bytes = roomy;
            }
        } else {
            self.bytes.reserve_exact((end - held).min(held.max(CHUNK)));
        }
    }
}

/// What goes out.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// How much of it was written.
    written: usize,
}

impl Output {
    /// Where to append.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = borrow();
        }
        &mut self.bytes
    }

    /// Whether there is enough for a write.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK - LEAST_ROOM
    }

    /// Writes all of it.
    pub fn poll_flush(&mut self, to: &mut WriteHalf<'_>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let count = ready!(Pin::new(&mut *to).poll_write(context, &self.bytes[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        give_back(std::mem::take(&mut self.bytes));
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_waits_holds_what_it_has_of_a_frame_and_no_more() {
        let mut input = Input::default();
        input.make_room(0);
        assert_eq!(input.bytes.capacity(), CHUNK);
        input.bytes.extend_from_slice(b"whole frame, and part");
        input.take(12);
        input.rest();
        assert_eq!((input.unread(), input.bytes.capacity()), (&b" and part"[..], 9));
        input.take(9);
        input.rest();
        assert_eq!(input.bytes.capacity(), 0);
    }

    #[test]
    fn room_is_made_as_bytes_come_and_not_as_a_head_says() {
        let mut input = Input::default();
        let wanted = 10 * CHUNK;
        input.make_room(wanted);
        assert!(input.bytes.capacity() <= CHUNK, "nothing has come");
        while input.bytes.len() < wanted {
            input.make_room(wanted);
            let (held, capacity) = (input.bytes.len(), input.bytes.capacity());
            assert!(capacity > held && capacity <= (2 * held).max(CHUNK), "{capacity} for {held}");
            input.bytes.resize(capacity.min(wanted), 0);
        }
        assert_eq!(input.bytes.capacity(), wanted);
    }

    #[test]
    fn what_was_taken_makes_room_for_what_comes() {
        let mut input = Input::default();
        input.make_room(0);
        input.bytes.resize(CHUNK, 7);
        input.take(CHUNK - 10);
        input.make_room(100);
        assert_eq!((input.unread(), input.start, input.bytes.capacity()), (&[7; 10][..], 0, CHUNK));
    }
}
