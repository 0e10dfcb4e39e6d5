//! The rate of handshakes from one address (GCRA).
//!
//! An IPv6 host can use any address of its /64 at will, so the /64 is what counts there. Memory is
//! bounded: addresses whose quota is whole again are forgotten, and a flood from more addresses than
//! that can keep up with makes the limiter start anew; the limit on all connections still holds then.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};

use crate::config::LimitConfig;

/// Checks between two looks at how many addresses are remembered.
const CHECKS_BETWEEN_LOOKS: u32 = 256;

/// Addresses worth a pass over all of them: about 1 MB.
const MANY_ADDRESSES: usize = 10_000;

/// Addresses at which the limiter starts anew: about 10 MB.
const MAX_ADDRESSES: usize = 100_000;

/// Shared by all handshakes.
pub(super) struct HandshakeRate {
    limiter: ArcSwap<Limiter>,
    checks: AtomicU32,
    clock: DefaultClock,
}

/// A limiter and the settings that it was made for.
struct Limiter {
    per_second: u32,
    burst: u32,
    states: DefaultKeyedRateLimiter<IpAddr>,
}

impl HandshakeRate {
    pub fn new(limits: &LimitConfig) -> Self {
        let limiter = ArcSwap::from_pointee(Limiter::new(limits));
        Self { limiter, checks: AtomicU32::new(0), clock: DefaultClock::default() }
    }

    /// Counts a handshake; the error is how long to wait before the next that can succeed.
    pub fn check(&self, peer: IpAddr, limits: &LimitConfig) -> Result<(), Duration> {
        if !self.limiter.load().is_for(limits) {
            self.limiter.store(Arc::new(Limiter::new(limits)));
        }
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKS_BETWEEN_LOOKS) {
            self.tidy(limits, MANY_ADDRESSES, MAX_ADDRESSES);
        }
        let limiter = self.limiter.load();
        limiter.states.check_key(&subject_to_limit(peer)).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// How many addresses are remembered.
    pub fn addresses(&self) -> usize {
        self.limiter.load().states.len()
    }

    fn tidy(&self, limits: &LimitConfig, many: usize, max: usize) {
        if self.addresses() > many {
            self.limiter.load().states.retain_recent();
        }
        if self.addresses() > max {
            tracing::warn!(addresses = max, "handshakes come from too many addresses to tell them apart");
            self.limiter.store(Arc::new(Limiter::new(limits)));
        }
    }
}

impl Limiter {
    fn new(limits: &LimitConfig) -> Self {
        let (per_second, burst) = (limits.handshakes_per_second, limits.handshake_burst);
        let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
        Self { per_second, burst, states: DefaultKeyedRateLimiter::dashmap(quota) }
    }

    fn is_for(&self, limits: &LimitConfig) -> bool {
        (self.per_second, self.burst) == (limits.handshakes_per_second, limits.handshake_burst)
    }
}

/// The address, or its network where a host has a whole one.
pub(crate) fn subject_to_limit(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// So slow a rate that nothing comes back during a test.
    fn limits(burst: u32) -> LimitConfig {
        let limits = Config::for_tests(std::path::Path::new("/nowhere")).limits;
        LimitConfig { handshakes_per_second: 1, handshake_burst: burst, ..limits }
    }

    fn accepted(rate: &HandshakeRate, limits: &LimitConfig, peers: &[&str]) -> Vec<bool> {
        peers.iter().map(|peer| rate.check(peer.parse().unwrap(), limits).is_ok()).collect()
    }

    #[test]
    fn after_the_burst_an_address_has_to_wait_and_is_told_how_long() {
        let limits = limits(3);
        let rate = HandshakeRate::new(&limits);
        assert_eq!(accepted(&rate, &limits, &["192.0.2.1"; 4]), [true, true, true, false]);
        let wait = rate.check("192.0.2.1".parse().unwrap(), &limits).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(accepted(&rate, &limits, &["192.0.2.2"]), [true]);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_what_it_maps() {
        let limits = limits(1);
        let rate = HandshakeRate::new(&limits);
        let peers = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.1"];
        assert_eq!(accepted(&rate, &limits, &peers), [true, false, true, true, false]);
    }

    #[test]
    fn a_changed_quota_applies_at_once() {
        let rate = HandshakeRate::new(&limits(1));
        assert_eq!(accepted(&rate, &limits(1), &["192.0.2.1"; 2]), [true, false]);
        assert_eq!(accepted(&rate, &limits(2), &["192.0.2.1"; 3]), [true, true, false]);
    }

    #[test]
    fn addresses_are_forgotten_when_their_quota_is_whole_or_when_there_are_too_many() {
        let fast = LimitConfig { handshakes_per_second: 1_000_000, ..limits(1) };
        let rate = HandshakeRate::new(&fast);
        accepted(&rate, &fast, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        std::thread::sleep(Duration::from_millis(1));
        rate.tidy(&fast, 1, 10);
        assert_eq!(rate.addresses(), 0);

        let slow = limits(1);
        accepted(&rate, &slow, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        rate.tidy(&slow, 1, 10);
        assert_eq!(rate.addresses(), 3);
        rate.tidy(&slow, 1, 2);
        assert_eq!(rate.addresses(), 0);
    }
}
