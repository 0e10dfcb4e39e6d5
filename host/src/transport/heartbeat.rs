//! When a socket is idle, and when it is lost. Time is passed in.
//!
//! A client that hears nothing gets a `heartbeat`. A client that says nothing gets a WebSocket ping,
//! also when it hears a lot: its pong, like anything else that comes in, is the sign of life.
//!
//! Silence is looked at twice before it counts. After the machine stood still for a while, everybody seems to
//! have been silent: what they said waits to be read, and who had nothing to say was not asked.

use std::time::{Duration, Instant};

/// How long before the end of the grace period a silent client is asked for the last time. That leaves time for its
/// answer to come, from the other end of the world, too.
const LAST_ASKED: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// Something came in.
    heard: Instant,
    pinged: Instant,
    /// The first look at a silence of almost the grace period.
    doubted: Option<Instant>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Tell the client that the server is quiet, not lost.
    pub message: bool,
    pub ping: bool,
    /// Nothing was heard for longer than the grace period, nor after it was asked for the last time.
    pub lost: bool,
    /// When to look again.
    pub next: Instant,
}

impl Heartbeat {
    pub fn new(now: Instant) -> Self {
        Self { heard: now, pinged: now, doubted: None }
    }

    pub fn heard(&mut self, now: Instant) {
        (self.heard, self.doubted) = (now, None);
    }

    /// `sent` is when something was last written.
    pub fn beat(&mut self, now: Instant, sent: Instant, interval: Duration, grace: Duration) -> Beat {
        let end = self.heard + grace;
        let last_asked = LAST_ASKED.min(grace / 4);
        let doubtful = now + last_asked >= end;
        let second_look = |first: Instant| end.max(first + last_asked);
        // A second look that is late itself says no more than the first.
        let first = self.doubted.filter(|first| doubtful && now < second_look(*first) + last_asked);
        let asks = doubtful && first.is_none();
        self.doubted = if asks { Some(now) } else { first };
        let verdict = self.doubted.map_or(end - last_asked, second_look);
        let lost = self.doubted.is_some() && now >= verdict;
        let message = now >= sent + interval;
        let ping = message || asks || now >= self.heard.max(self.pinged) + interval;
        if ping {
            self.pinged = now;
        }
        let sent = if message { now } else { sent };
        let next = (sent + interval).min(self.heard.max(self.pinged) + interval).min(verdict);
        Beat { message, ping, lost, next: next.max(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(25);
    const GRACE: Duration = Duration::from_secs(60);

    #[test]
    fn an_idle_socket_hears_a_heartbeat_and_a_silent_one_is_lost_after_the_grace_period() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::new(start);
        let quiet = heartbeat.beat(at(10), start, INTERVAL, GRACE);
        assert_eq!(quiet, Beat { message: false, ping: false, lost: false, next: at(25) });
        let first = heartbeat.beat(at(25), start, INTERVAL, GRACE);
        assert_eq!(first, Beat { message: true, ping: true, lost: false, next: at(50) });
        let second = heartbeat.beat(at(50), at(25), INTERVAL, GRACE);
        assert_eq!(second, Beat { message: true, ping: true, lost: false, next: at(58) });
        let last = heartbeat.beat(at(58), at(50), INTERVAL, GRACE);
        assert_eq!(last, Beat { message: false, ping: true, lost: false, next: at(60) });
        assert!(heartbeat.beat(at(60), at(50), INTERVAL, GRACE).lost);
    }

    #[test]
    fn nobody_is_lost_for_a_silence_in_which_nothing_was_looked_at() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::new(start);
        let late = heartbeat.beat(at(100), start, INTERVAL, GRACE);
        assert_eq!(late, Beat { message: true, ping: true, lost: false, next: at(102) });
        let late_again = heartbeat.beat(at(200), at(100), INTERVAL, GRACE);
        assert_eq!(late_again, Beat { message: true, ping: true, lost: false, next: at(202) });
        let mut other = Heartbeat { ..heartbeat };
        assert!(heartbeat.beat(at(202), at(200), INTERVAL, GRACE).lost, "it was asked, and said nothing");
        other.heard(at(201));
        let alive = other.beat(at(202), at(200), INTERVAL, GRACE);
        assert_eq!(alive, Beat { message: false, ping: false, lost: false, next: at(225) });
        assert!(!other.beat(at(260), at(250), INTERVAL, GRACE).lost, "it is looked at twice each time");
    }

    #[test]
    fn a_longer_grace_period_counts_at_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::new(start);
        heartbeat.beat(at(59), at(50), INTERVAL, GRACE);
        let longer = heartbeat.beat(at(61), at(50), INTERVAL, GRACE * 2);
        assert_eq!((longer.lost, longer.next), (false, at(75)));
    }

    #[test]
    fn a_client_that_only_listens_is_pinged() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeat = Heartbeat::new(start);
        let beat = heartbeat.beat(at(25), at(24), INTERVAL, GRACE);
        assert!(beat.ping && !beat.message);
        heartbeat.heard(at(26));
        assert!(!heartbeat.beat(at(61), at(60), INTERVAL, GRACE).lost);
    }
}
