//! Single-use tickets, for clients that cannot set a header on a WebSocket.
//!
//! A ticket stands for the principal who asked for it, for some seconds and for one connection. Only
//! its hash is kept, so that nothing in memory can be used as a ticket; looking up by hash also leaves
//! nothing to learn from timing.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::{TryRngCore as _, rngs::OsRng};
use sha2::{Digest as _, Sha256};

use super::Principal;

/// A ticket of 256 bits cannot be guessed.
const TICKET_BYTES: usize = 32;

/// Tickets outstanding in all: at 30 seconds each, three hundred browsers a second; about 5 MB.
const MAX_OUTSTANDING: usize = 10_000;

/// Tickets outstanding for one user, who cannot use up those of the others.
const MAX_PER_USER: usize = 32;

/// What a client gets.
pub(crate) struct IssuedTicket {
    pub ticket: String,
    pub expires_in: Duration,
}

impl std::fmt::Debug for IssuedTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedTicket").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Why there is no ticket.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TicketError {
    #[error("this user holds {MAX_PER_USER} unused tickets, and no more are allowed")]
    TooManyOfUser,
    #[error("the server holds as many unused tickets as it may")]
    TooMany,
    #[error("the server's source of randomness failed")]
    NoRandomness,
}

/// Why a ticket gives no access.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub(super) enum TicketRefused {
    #[error("the ticket is unknown, was used before, or has expired")]
    Invalid,
    #[error("the token behind the ticket has expired")]
    PrincipalExpired,
}

type Hash = [u8; 32];
type User = (Option<String>, String);

/// All tickets that have not been used.
#[derive(Default)]
pub(super) struct Tickets(Mutex<Outstanding>);

#[derive(Default)]
struct Outstanding {
    by_hash: HashMap<Hash, Ticket>,
    /// The same tickets, soonest to expire first.
    by_expiry: BTreeSet<(Instant, Hash)>,
    /// How many of them each user has; never zero.
    by_user: HashMap<User, usize>,
}

struct Ticket {
    principal: Principal,
    expires: Instant,
}

impl Tickets {
    /// Makes a ticket.
    pub fn issue(&self, principal: Principal, lifetime: Duration, now: Instant) -> Result<IssuedTicket, TicketError> {
        let mut secret = [0; TICKET_BYTES];
        OsRng.try_fill_bytes(&mut secret).map_err(|_| TicketError::NoRandomness)?;
        let ticket = BASE64_URL_SAFE_NO_PAD.encode(secret);
        let mut outstanding = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outstanding.purge(now);
        outstanding.insert(hash(&ticket), Ticket { principal, expires: now + lifetime })?;
        Ok(IssuedTicket { ticket, expires_in: lifetime })
    }

    /// Uses a ticket up, whatever comes of it. `now` and `unix_now` are the same moment on two clocks.
    pub fn redeem(&self, ticket: &str, now: Instant, unix_now: u64) -> Result<Principal, TicketRefused> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(hash(ticket));
        let Ticket { principal, expires } = taken.ok_or(TicketRefused::Invalid)?;
        if now >= expires {
            return Err(TicketRefused::Invalid);
        }
        if unix_now >= principal.expires_at {
            return Err(TicketRefused::PrincipalExpired);
        }
        Ok(principal)
    }
}

impl Outstanding {
    fn insert(&mut self, hash: Hash, ticket: Ticket) -> Result<(), TicketError> {
        if self.by_hash.len() >= MAX_OUTSTANDING {
            return Err(TicketError::TooMany);
        }
        let of_user = self.by_user.entry(user(&ticket.principal)).or_default();
        if *of_user >= MAX_PER_USER {
            return Err(TicketError::TooManyOfUser);
        }
        *of_user += 1;
        self.by_expiry.insert((ticket.expires, hash));
        self.by_hash.insert(hash, ticket);
        Ok(())
    }

    fn remove(&mut self, hash: Hash) -> Option<Ticket> {
        let ticket = self.by_hash.remove(&hash)?;
        self.by_expiry.remove(&(ticket.expires, hash));
        let user = user(&ticket.principal);
        if let Some(of_user) = self.by_user.get_mut(&user) {
            *of_user -= 1;
            if *of_user == 0 {
                self.by_user.remove(&user);
            }
        }
        Some(ticket)
    }

    fn purge(&mut self, now: Instant) {
        while let Some((expires, hash)) = self.by_expiry.first().copied() {
            if expires > now {
                return;
            }
            self.remove(hash);
        }
    }
}

fn user(principal: &Principal) -> User {
    (principal.tenant.clone(), principal.subject.clone())
}

fn hash(ticket: &str) -> Hash {
    Sha256::digest(ticket).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(30);

    fn principal(subject: &str) -> Principal {
        Principal { expires_at: 1000, ..Principal::named(None, subject) }
    }

    fn is_empty(tickets: &Tickets) -> bool {
        let outstanding = tickets.0.lock().unwrap();
        outstanding.by_hash.is_empty() && outstanding.by_expiry.is_empty() && outstanding.by_user.is_empty()
    }

    #[test]
    fn a_ticket_is_good_once_for_whoever_asked_for_it() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let issued = tickets.issue(principal("alice"), LIFETIME, now).unwrap();
        assert_eq!((issued.ticket.len(), issued.expires_in), (43, LIFETIME));
        assert_eq!(tickets.redeem(&issued.ticket, now, 999), Ok(principal("alice")));
        assert_eq!(tickets.redeem(&issued.ticket, now, 999), Err(TicketRefused::Invalid));
        assert!(is_empty(&tickets));
    }

    #[test]
    fn of_a_hundred_who_use_it_at_once_one_succeeds() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let issued = tickets.issue(principal("alice"), LIFETIME, now).unwrap();
        let barrier = std::sync::Barrier::new(100);
        let successes = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..100)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        tickets.redeem(&issued.ticket, now, 0).is_ok()
                    })
                })
                .collect();
            tries.into_iter().map(|attempt| attempt.join().unwrap()).filter(|success| *success).count()
        });
        assert_eq!(successes, 1);
    }

    #[test]
    fn a_ticket_ends_with_its_lifetime_and_with_its_principals_token() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let redeem = |after: Duration, unix_now| {
            let issued = tickets.issue(principal("alice"), LIFETIME, now).unwrap();
            tickets.redeem(&issued.ticket, now + after, unix_now).map(|_| ())
        };
        assert_eq!(redeem(LIFETIME.saturating_sub(Duration::from_nanos(1)), 999), Ok(()));
        assert_eq!(redeem(LIFETIME, 999), Err(TicketRefused::Invalid));
        assert_eq!(redeem(Duration::ZERO, 1000), Err(TicketRefused::PrincipalExpired));
        assert!(is_empty(&tickets), "a refused ticket is used up, too");
    }

    #[test]
    fn one_user_cannot_take_the_tickets_of_the_others_and_expired_ones_do_not_count() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        for _ in 0..MAX_PER_USER {
            tickets.issue(principal("alice"), LIFETIME, now).unwrap();
        }
        assert_eq!(tickets.issue(principal("alice"), LIFETIME, now).err(), Some(TicketError::TooManyOfUser));
        let elsewhere = Principal { tenant: Some("acme".to_owned()), ..principal("alice") };
        assert!(tickets.issue(elsewhere, LIFETIME, now).is_ok());
        assert!(tickets.issue(principal("alice"), LIFETIME, now + LIFETIME).is_ok());
        assert_eq!(tickets.0.lock().unwrap().by_hash.len(), 1);
    }

    #[test]
    fn there_are_never_more_than_the_server_may_hold() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        for number in 0..MAX_OUTSTANDING {
            tickets.issue(principal(&number.to_string()), LIFETIME, now).unwrap();
        }
        assert_eq!(tickets.issue(principal("alice"), LIFETIME, now).err(), Some(TicketError::TooMany));
        assert_eq!(tickets.0.lock().unwrap().by_user.len(), MAX_OUTSTANDING);
    }
}
