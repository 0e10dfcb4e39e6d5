//! When a socket is idle, and when it is lost. Time is passed in.
//!
//! A client that hears nothing gets a `heartbeat`. A client that says nothing gets a WebSocket ping,
//! also when it hears a lot: its pong, like anything else that comes in, is the sign of life.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// Something came in.
    heard: Instant,
    pinged: Instant,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Tell the client that the server is quiet, not lost.
    pub message: bool,
    pub ping: bool,
    /// Nothing was heard for longer than the grace period.
    pub lost: bool,
    /// When to look again.
    pub next: Instant,
}

impl Heartbeat {
    pub fn new(now: Instant) -> Self {
        Self { heard: now, pinged: now }
    }

    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// `sent` is when something was last written.
    pub fn beat(&mut self, now: Instant, sent: Instant, interval: Duration, grace: Duration) -> Beat {
        let lost = now >= self.heard + grace;
        let message = now >= sent + interval;
        let ping = message || now >= self.heard.max(self.pinged) + interval;
        if ping {
            self.pinged = now;
        }
        let sent = if message { now } else { sent };
        let next = (sent + interval).min(self.heard.max(self.pinged) + interval).min(self.heard + grace);
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
        assert_eq!(second, Beat { message: true, ping: true, lost: false, next: at(60) });
        assert!(heartbeat.beat(at(60), at(50), INTERVAL, GRACE).lost);
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
