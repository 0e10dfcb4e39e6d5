//! What is due next for a connection whose token ends at some time.
//!
//! Pure: times are handed in as durations since the Unix epoch, and the socket's loop does the waiting.

use std::time::Duration;

/// Follows one token, and the ones that it is refreshed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// The token's `exp`, in Unix seconds.
    expires_at: u64,
    notified: bool,
}

/// What to do, and when. A time that has passed means now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send `token_expiring`, then call [`Expiry::notified`].
    Notify { at: Duration },
    /// Close with `TokenExpired`.
    Close { at: Duration },
}

impl Due {
    /// How long to wait for it.
    pub fn after(self, now: Duration) -> Duration {
        let (Self::Notify { at } | Self::Close { at }) = self;
        at.saturating_sub(now)
    }
}

impl Expiry {
    /// Starts with a token, or starts anew with the one that replaces it.
    pub fn new(expires_at: u64) -> Self {
        Self { expires_at, notified: false }
    }

    /// The client has been told.
    pub fn notified(&mut self) {
        self.notified = true;
    }

    /// A token that lives no longer than `notice` is announced at once, but a close that is due is not
    /// preceded by a notice that nobody could act upon.
    pub fn due(&self, now: Duration, notice: Duration, grace: Duration) -> Due {
        let expires_at = Duration::from_secs(self.expires_at);
        let close = expires_at.saturating_add(grace);
        if self.notified || now >= close {
            return Due::Close { at: close };
        }
        Due::Notify { at: expires_at.saturating_sub(notice) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_client_is_told_ahead_and_closed_after_the_grace() {
        let mut expiry = Expiry::new(1000);
        assert_eq!(expiry.due(s(100), s(60), s(10)), Due::Notify { at: s(940) });
        assert_eq!(expiry.due(s(100), s(60), s(10)).after(s(100)), s(840));
        expiry.notified();
        assert_eq!(expiry.due(s(940), s(60), s(10)), Due::Close { at: s(1010) });
        assert_eq!(expiry.due(s(1011), s(60), s(10)).after(s(1011)), Duration::ZERO);
    }

    #[test]
    fn a_short_token_is_announced_at_once() {
        let due = Expiry::new(1000).due(s(990), s(60), s(10));
        assert_eq!((due, due.after(s(990))), (Due::Notify { at: s(940) }, Duration::ZERO));
    }

    #[test]
    fn a_token_past_its_grace_is_closed_without_a_notice() {
        assert_eq!(Expiry::new(1000).due(s(1010), s(60), s(10)), Due::Close { at: s(1010) });
        assert!(matches!(Expiry::new(1000).due(s(1009), s(60), s(10)), Due::Notify { .. }));
    }

    #[test]
    fn a_refreshed_token_starts_anew_and_the_end_of_time_does_not_overflow() {
        let mut expiry = Expiry::new(1000);
        expiry.notified();
        expiry = Expiry::new(u64::MAX);
        assert_eq!(expiry.due(s(1), s(60), s(10)), Due::Notify { at: s(u64::MAX - 60) });
        expiry.notified();
        assert_eq!(expiry.due(s(1), s(60), s(10)), Due::Close { at: Duration::new(u64::MAX, 0).saturating_add(s(10)) });
    }
}
