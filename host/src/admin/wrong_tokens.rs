//! How often one address may show a token that is not good, before it is told to wait.
//!
//! Nobody guesses 256 bits; the bound is for the log, which has a line for each attempt, and for whoever
//! reads it. A good token always passes, so that a neighbour's mistakes keep no operator out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::admission::subject_to_limit;

/// Within one window.
const MAX_ATTEMPTS: u32 = 10;

/// After the first attempt.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered. Of more, the one whose window began first is forgotten.
const MAX_ADDRESSES: usize = 1_024;

#[derive(Default)]
pub(super) struct WrongTokens(Mutex<HashMap<IpAddr, Attempts>>);

struct Attempts {
    since: Instant,
    count: u32,
}

impl WrongTokens {
    /// Counts one; the error is how long to wait for the next that is counted anew.
    pub fn count(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = subject_to_limit(peer);
        if !addresses.contains_key(&peer) && addresses.len() >= MAX_ADDRESSES {
            let oldest = addresses.iter().min_by_key(|(_, attempts)| attempts.since).map(|(peer, _)| *peer);
            oldest.map(|oldest| addresses.remove(&oldest));
        }
        let attempts = addresses.entry(peer).or_insert(Attempts { since: now, count: 0 });
        let age = now.saturating_duration_since(attempts.since);
        if age >= WINDOW {
            *attempts = Attempts { since: now, count: 0 };
        } else if attempts.count >= MAX_ATTEMPTS {
            return Err(WINDOW - age);
        }
        attempts.count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(wrong: &WrongTokens, peer: &str, now: Instant) -> usize {
        (0..2 * MAX_ATTEMPTS).take_while(|_| wrong.count(peer.parse().unwrap(), now).is_ok()).count()
    }

    #[test]
    fn each_address_has_some_attempts_within_a_window() {
        let (wrong, start) = (WrongTokens::default(), Instant::now());
        assert_eq!(passing(&wrong, "192.0.2.1", start), 10);
        assert_eq!(wrong.count("192.0.2.1".parse().unwrap(), start + WINDOW / 4), Err(WINDOW * 3 / 4));
        assert_eq!(passing(&wrong, "192.0.2.2", start), 10);
        assert_eq!(passing(&wrong, "192.0.2.1", start + WINDOW), 10);
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let (wrong, start) = (WrongTokens::default(), Instant::now());
        for number in 0..2 * u32::try_from(MAX_ADDRESSES).unwrap() {
            let peer = IpAddr::from(number.to_be_bytes());
            wrong.count(peer, start + Duration::from_millis(number.into())).unwrap();
        }
        assert_eq!(wrong.0.lock().unwrap().len(), MAX_ADDRESSES);
    }
}
