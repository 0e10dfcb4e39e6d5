//! What a token's end means for a connection that outlives it: first a notice, then the close.
//!
//! Time is passed in.

use std::time::Duration;

/// What to do about the token now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Nothing for this long.
    In(Duration),
    /// Tell the client, once for each token.
    Notify,
    /// It has been over for longer than the grace period.
    Over,
}

/// `exp` in Unix seconds, `now` since the Unix epoch; `told` is the `exp` that the client was told of.
pub(crate) fn expiry(exp: u64, now: Duration, notice: Duration, grace: Duration, told: Option<u64>) -> Expiry {
    let end = Duration::from_secs(exp);
    if now >= end.saturating_add(grace) {
        return Expiry::Over;
    }
    if told == Some(exp) {
        return Expiry::In(end.saturating_add(grace).saturating_sub(now));
    }
    match end.saturating_sub(notice).checked_sub(now) {
        Some(wait) if !wait.is_zero() => Expiry::In(wait),
        _ => Expiry::Notify,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: Duration = Duration::from_secs(60);
    const GRACE: Duration = Duration::from_secs(30);

    fn at(now: u64, told: Option<u64>) -> Expiry {
        expiry(1000, Duration::from_secs(now), NOTICE, GRACE, told)
    }

    #[test]
    fn the_client_is_told_before_the_end_and_closed_after_the_grace_period() {
        assert_eq!(at(900, None), Expiry::In(Duration::from_secs(40)));
        assert_eq!(at(940, None), Expiry::Notify);
        assert_eq!(at(941, Some(1000)), Expiry::In(Duration::from_secs(89)));
        assert_eq!(at(1029, Some(1000)), Expiry::In(Duration::from_secs(1)));
        assert_eq!(at(1030, Some(1000)), Expiry::Over);
        assert_eq!(at(5000, None), Expiry::Over);
    }

    #[test]
    fn a_new_token_starts_anew() {
        assert_eq!(at(900, Some(500)), Expiry::In(Duration::from_secs(40)));
        assert_eq!(at(950, Some(500)), Expiry::Notify);
    }
}
