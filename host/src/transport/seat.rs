//! What is known of one HTTP connection, and what the answers on it may ask of whoever drives it.
//!
//! A connection begins in the HTTP phase, where its time and the number of its like are bounded. A request
//! whose token is good begins that time anew, so that a client which keeps its connection can. An answer
//! that is a long stream leaves the phase, as a WebSocket does: it is counted elsewhere, and ends the
//! connection when it ends.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What every connection is given to send its request in. It comes right behind the TCP handshake; this is
/// time for one lost packet. Someone who fills all places anew this often can hold up others for as long.
pub(super) const FIRST_WORDS: Duration = Duration::from_millis(250);

pub(crate) struct Seat {
    since: Instant,
    /// When its time in the HTTP phase began.
    renewed: Mutex<Instant>,
    busy: AtomicBool,
    evicted: CancellationToken,
    stage: watch::Sender<Stage>,
}

/// Only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// In the HTTP phase.
    Requests,
    /// Its answer is a stream, which somebody else looks after.
    Stream,
    /// The stream has ended; what is left of it is to be written.
    Written,
    /// Its client takes nothing: there is no use in waiting.
    Cut,
}

impl Seat {
    pub fn new(since: Instant) -> Self {
        Self {
            since,
            renewed: Mutex::new(since),
            busy: AtomicBool::new(false),
            evicted: CancellationToken::new(),
            stage: watch::Sender::new(Stage::Requests),
        }
    }

    /// A request showed who sent it: its connection may stay as long as a new one.
    pub fn renew(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The answer is a stream. It has to end the connection, and be followed by [`Self::written`].
    pub fn leave(&self) {
        self.advance(Stage::Stream);
    }

    /// Nothing is added to the stream any more.
    pub fn written(&self) {
        self.advance(Stage::Written);
    }

    /// The client does not read: the connection is to be dropped with whatever is unwritten.
    pub fn cut(&self) {
        self.advance(Stage::Cut);
    }

    /// Returns when the connection has to make room.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Returns when the connection has got so far.
    pub(super) async fn reached(&self, stage: Stage) {
        // The sender is here, so there is no other end to this wait.
        let _ = self.stage.subscribe().wait_for(|now| *now >= stage).await;
    }

    /// Returns when the time in the HTTP phase is up.
    pub(super) async fn worn_out(&self, limit: Duration) {
        loop {
            let until = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) + limit;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// Keeps the connection from giving way while its request is answered.
    pub async fn while_busy<T>(&self, answer: impl Future<Output = T>) -> T {
        self.set_busy(true);
        let answered = answer.await;
        self.set_busy(false);
        answered
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    pub(super) fn evict(&self) {
        self.evicted.cancel();
    }

    #[cfg(test)]
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn can_give_way(&self, now: Instant) -> bool {
        let had_time = now.duration_since(self.since) >= FIRST_WORDS;
        let waits = *self.stage.borrow() == Stage::Requests && !self.busy.load(Ordering::Relaxed);
        had_time && waits && !self.evicted.is_cancelled()
    }

    fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let forward = stage > *now;
            if forward {
                *now = stage;
            }
            forward
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_begins_anew_with_each_request_that_showed_who_sent_it() {
        let limit = Duration::from_secs(30);
        let seat = Seat::new(Instant::now() - limit);
        seat.worn_out(limit).await;
        seat.renew();
        assert!(tokio::time::timeout(Duration::ZERO, seat.worn_out(limit)).await.is_err());
    }

    #[tokio::test]
    async fn a_stream_only_goes_forward_and_does_not_give_way() {
        let seat = Seat::new(Instant::now());
        let later = Instant::now() + FIRST_WORDS;
        assert!(seat.can_give_way(later));
        seat.leave();
        assert!(!seat.can_give_way(later));
        seat.cut();
        seat.written();
        seat.reached(Stage::Cut).await;
        assert_eq!(*seat.stage.borrow(), Stage::Cut);
    }
}
