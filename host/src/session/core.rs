//! The life of a session, as a machine without a clock, a lock or a socket: what happens is passed in,
//! and so is the time.
//!
//! ```text
//!              attach                 the socket is gone
//!   Detached ---------> Attached(generation) ---------> Detached(since) --> Ended
//!                          |  resume on another socket: the next generation
//! ```
//!
//! A socket acts for the session under the generation that it was attached with; whatever it does
//! under an older one changes nothing. That is what fences it when another socket takes over.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use switchboard_protocol::ResumeFailure;

use super::{
    frame::{Frame, Outgoing},
    ring::{Ahead, Pushed, Ring},
    token::TokenDigest,
};

/// While nobody listens, so many times the bounds may wait as while somebody does: a client that was
/// closed as too slow has filled them once.
const SLACK_DETACHED: usize = 2;

#[derive(Debug)]
pub(crate) struct Core {
    ring: Ring,
    life: Life,
    generation: u64,
    epoch: Box<str>,
    token: TokenDigest,
    /// Good until it is known that the newer one arrived.
    previous_token: Option<TokenDigest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// A socket acts for it.
    Attached,
    /// Nobody listens. It collects, and waits to be resumed.
    Detached { since: Instant },
    /// Nothing is taken in any more, and `why` is what a client hears that comes back.
    Ended { why: ResumeFailure },
}

/// What became of a frame that was pushed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Push {
    Queued {
        seq: u64,
        conflated: bool,
    },
    /// It is kept, and the client reads too slowly.
    TooSlow {
        seq: u64,
    },
    /// Nobody takes it, and more waits than a session holds: it has ended.
    Overflow,
    /// The session had ended before.
    Ended,
}

/// What a socket asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResumeRequest<'a> {
    pub token: TokenDigest,
    pub epoch: &'a str,
    pub last_seq: u64,
}

/// A session that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resumption {
    pub generation: u64,
    pub replay_from: u64,
    pub replay_to: u64,
}

impl Core {
    /// Attached to its first socket, under generation 1.
    pub fn new(ring: Ring, epoch: &str, token: TokenDigest) -> Self {
        Self { ring, life: Life::Attached, generation: 1, epoch: epoch.into(), token, previous_token: None }
    }

    /// As another process left it. The next socket has another generation than any fresh session's, whose pings
    /// it may have been sent.
    pub fn restored(
        ring: Ring,
        epoch: &str,
        token: TokenDigest,
        previous_token: Option<TokenDigest>,
        since: Instant,
    ) -> Self {
        Self { ring, life: Life::Detached { since }, generation: 1, epoch: epoch.into(), token, previous_token }
    }

    pub fn life(&self) -> Life {
        self.life
    }

    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The one to be used, and the one that may still be.
    pub fn tokens(&self) -> (TokenDigest, Option<TokenDigest>) {
        (self.token, self.previous_token)
    }

    pub fn is_current(&self, generation: u64) -> bool {
        self.life == Life::Attached && self.generation == generation
    }

    pub fn push(&mut self, frame: Frame, now: Instant) -> Push {
        let slack = match self.life {
            Life::Attached => 1,
            Life::Detached { .. } => SLACK_DETACHED,
            Life::Ended { .. } => return Push::Ended,
        };
        if frame.bytes.len() > self.ring.bounds().waiting_bytes {
            // Nobody could ever take it, and whoever came back for it would be closed for it again.
            self.end(ResumeFailure::BufferOverflow);
            return Push::Overflow;
        }
        match self.ring.push(frame, slack, now) {
            Pushed::Queued { seq } => Push::Queued { seq, conflated: false },
            Pushed::Conflated { seq } => Push::Queued { seq, conflated: true },
            // Its socket closes, which takes a while in which more may come.
            Pushed::TooMuch { seq } if self.life == Life::Attached && !self.ring.holds_more_than(SLACK_DETACHED) => {
                Push::TooSlow { seq }
            }
            Pushed::TooMuch { .. } => {
                self.end(ResumeFailure::BufferOverflow);
                Push::Overflow
            }
        }
    }

    /// See [`Ring::take`]. A socket that was fenced gets nothing.
    pub fn take(&mut self, generation: u64, batch: &mut VecDeque<Outgoing>, until: u64) -> Option<super::ring::Took> {
        self.is_current(generation).then(|| self.ring.take(batch, until))
    }

    pub fn ack(&mut self, generation: u64, seq: u64, now: Instant) -> Result<(), Ahead> {
        if self.is_current(generation) { self.ring.ack(seq, now) } else { Ok(()) }
    }

    /// A receipt came: what was sent up to `seq` has arrived, and with it the token that came first.
    pub fn confirm(&mut self, generation: u64, seq: u64, now: Instant) {
        if self.is_current(generation) {
            self.ring.confirm(seq, now);
            self.previous_token = None;
        }
    }

    /// The socket of this generation is gone. Says whether it was the one that acts for the session.
    pub fn detach(&mut self, generation: u64, now: Instant) -> bool {
        let was = self.is_current(generation);
        if was {
            self.ring.rewind();
            self.life = Life::Detached { since: now };
        }
        was
    }

    /// Another socket takes the session over. `next` replaces the token that was used. Nothing changes
    /// if it fails.
    pub fn resume(
        &mut self,
        request: ResumeRequest<'_>,
        next: TokenDigest,
        window: Duration,
        now: Instant,
    ) -> Result<Resumption, ResumeFailure> {
        let with_current = request.token == self.token;
        let with_previous = self.previous_token == Some(request.token);
        match self.life {
            Life::Ended { why } => return Err(why),
            _ if !with_current && !with_previous => return Err(ResumeFailure::TokenInvalid),
            _ if *request.epoch != *self.epoch => return Err(ResumeFailure::EpochMismatch),
            _ if request.last_seq > self.ring.sent() => return Err(ResumeFailure::SeqAhead),
            Life::Detached { since } if now > since + window => return Err(ResumeFailure::WindowExceeded),
            _ => self.ring.can_resume(request.last_seq).map_err(|_| ResumeFailure::WindowExceeded)?,
        }
        self.ring.resume(request.last_seq);
        self.life = Life::Attached;
        self.generation += 1;
        // Whichever was used is the one that the client has for sure.
        self.previous_token = Some(request.token);
        self.token = next;
        let (replay_from, replay_to) = (request.last_seq + 1, self.ring.next() - 1);
        Ok(Resumption { generation: self.generation, replay_from, replay_to })
    }

    /// Nothing is taken in or given out from here on, and no memory is held.
    pub fn end(&mut self, why: ResumeFailure) {
        if !matches!(self.life, Life::Ended { .. }) {
            self.life = Life::Ended { why };
        }
        self.ring = Ring::new(self.ring.bounds());
    }
}

#[cfg(test)]
mod tests;
