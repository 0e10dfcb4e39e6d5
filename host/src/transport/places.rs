//! Places in the HTTP phase: how many connections may be in it, and who gives way when all are taken.
//!
//! While there is room, anyone may have any number of places: a whole office can be behind one address.
//! When there is none, a newcomer gets that of an idle connection, which is one that has sent no complete
//! request, or whose requests have been answered: the oldest of the address that holds the most, unless
//! the newcomer's own holds as many. So nobody shuts others out by opening connections and saying
//! nothing, and a connection whose request is under way never gives way.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::seat::Seat;
use crate::admission::subject_to_limit;

/// Between two looks for somebody who can give way. A place that is freed ends the wait at once.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Between two log lines about crowding, which lasts as long as the one who causes it likes.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// All places of one listener.
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
    evictions: Counter,
}

/// Held by a connection for as long as it is in the HTTP phase.
pub(super) struct Place {
    seat: Arc<Seat>,
    address: IpAddr,
    number: u64,
    taken: Arc<Mutex<Taken>>,
    /// Given back last: nobody else comes in before this one is forgotten.
    _permit: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Taken {
    /// Grows with each connection, so that the smallest of an address's numbers is its oldest.
    next: u64,
    by_address: HashMap<IpAddr, BTreeMap<u64, Arc<Seat>>>,
    told_at: Option<Instant>,
}

impl Places {
    pub fn new(count: usize, evictions: Counter) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), taken: Arc::default(), evictions }
    }

    /// Waits for a place, and has somebody give way if there is none. `None` only when there will never
    /// be one again.
    pub async fn take(&self, peer: IpAddr) -> Option<Place> {
        let address = subject_to_limit(peer);
        loop {
            // One that is free is had without a wait, so that nobody gives way for nothing.
            if let Ok(permit) = self.free.clone().try_acquire_owned() {
                return Some(self.seat(address, permit));
            }
            self.make_room(address);
            if let Ok(permit) = timeout(LOOK_AGAIN, self.free.clone().acquire_owned()).await {
                return Some(self.seat(address, permit.ok()?));
            }
        }
    }

    fn seat(&self, address: IpAddr, permit: OwnedSemaphorePermit) -> Place {
        let (number, seat) = locked(&self.taken).seat(address, Instant::now());
        Place { seat, address, number, taken: self.taken.clone(), _permit: permit }
    }

    fn make_room(&self, newcomer: IpAddr) {
        let now = Instant::now();
        let mut taken = locked(&self.taken);
        let Some((address, seat)) = taken.who_gives_way(newcomer, now) else { return };
        seat.evict();
        self.evictions.inc();
        if taken.told_at.is_none_or(|told| now.duration_since(told) >= TELL_AGAIN) {
            taken.told_at = Some(now);
            let held = taken.held_by(address);
            tracing::warn!(%address, held, "all places for requests are taken; idle connections are closed");
        }
    }
}

impl Taken {
    fn seat(&mut self, address: IpAddr, since: Instant) -> (u64, Arc<Seat>) {
        let number = self.next;
        self.next += 1;
        let seat = Arc::new(Seat::new(since));
        self.by_address.entry(address).or_default().insert(number, seat.clone());
        (number, seat)
    }

    fn held_by(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, BTreeMap::len)
    }

    /// The oldest idle connection of whoever holds the most, and more than the newcomer.
    fn who_gives_way(&self, newcomer: IpAddr, now: Instant) -> Option<(IpAddr, Arc<Seat>)> {
        let own = self.held_by(newcomer);
        let candidates = self.by_address.iter().filter(|(address, seats)| **address == newcomer || seats.len() > own);
        let idle = candidates.filter_map(|(address, seats)| {
            let (number, seat) = seats.iter().find(|(_, seat)| seat.can_give_way(now))?;
            Some((seats.len(), Reverse(*number), *address, seat))
        });
        let (.., address, seat) = idle.max_by_key(|(held, number, ..)| (*held, *number))?;
        Some((address, seat.clone()))
    }
}

impl Place {
    pub fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = locked(&self.taken);
        if let Some(seats) = taken.by_address.get_mut(&self.address) {
            seats.remove(&self.number);
            if seats.is_empty() {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// The map is never left half changed, so a panic elsewhere does not spoil it.
fn locked(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::seat::FIRST_WORDS;

    const OFFICE: &str = "192.0.2.1";
    const HOSTILE: &str = "192.0.2.2";
    const STRANGER: &str = "192.0.2.3";

    /// Who sits where, and when they came, in milliseconds.
    struct Room {
        taken: Taken,
        start: Instant,
    }

    impl Room {
        fn new() -> Self {
            Self { taken: Taken::default(), start: Instant::now() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn enter(&mut self, address: &str, millis: u64) -> Arc<Seat> {
            let since = self.at(millis);
            self.taken.seat(address.parse().unwrap(), since).1
        }

        fn gives_way(&self, newcomer: &str, millis: u64) -> Option<(String, Duration)> {
            let (address, seat) = self.taken.who_gives_way(newcomer.parse().unwrap(), self.at(millis))?;
            Some((address.to_string(), seat.since() - self.start))
        }
    }

    fn someone(address: &str, millis: u64) -> Option<(String, Duration)> {
        Some((address.to_owned(), Duration::from_millis(millis)))
    }

    #[test]
    fn whoever_holds_the_most_gives_up_the_oldest_idle_connection() {
        let mut room = Room::new();
        room.enter(OFFICE, 0);
        let seats: Vec<_> = (1..5).map(|millis| room.enter(HOSTILE, millis)).collect();
        assert_eq!(room.gives_way(STRANGER, 1000), someone(HOSTILE, 1));
        assert_eq!(room.gives_way(OFFICE, 1000), someone(HOSTILE, 1));
        assert_eq!(room.gives_way(HOSTILE, 1000), someone(HOSTILE, 1), "also for another of its own");
        seats[0].evict();
        seats[1].set_busy(true);
        assert_eq!(room.gives_way(STRANGER, 1000), someone(HOSTILE, 3));
    }

    #[test]
    fn nobody_gives_way_to_one_who_holds_as_many() {
        let mut room = Room::new();
        let busy: Vec<_> = (0..3).map(|millis| room.enter(HOSTILE, millis)).collect();
        busy.iter().for_each(|seat| seat.set_busy(true));
        (3..6).for_each(|millis| drop(room.enter(OFFICE, millis)));
        assert_eq!(room.gives_way(HOSTILE, 1000), None);
        assert_eq!(room.gives_way(OFFICE, 1000), someone(OFFICE, 3));
        room.enter(OFFICE, 6);
        assert_eq!(room.gives_way(HOSTILE, 1000), someone(OFFICE, 3));
    }

    #[test]
    fn where_all_hold_one_the_oldest_of_all_gives_way() {
        let mut room = Room::new();
        room.enter("192.0.2.8", 0);
        room.enter("192.0.2.9", 1);
        room.enter("192.0.2.7", 2);
        assert_eq!(room.gives_way(STRANGER, 1000), someone("192.0.2.8", 0));
    }

    #[test]
    fn a_connection_gets_time_for_its_first_words() {
        let mut room = Room::new();
        room.enter(HOSTILE, 100);
        room.enter(HOSTILE, 200);
        assert_eq!(room.gives_way(STRANGER, 349), None);
        assert_eq!(room.gives_way(STRANGER, 350), someone(HOSTILE, 100));
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_it_is_dropped_and_its_address_forgotten() {
        let places = Places::new(1, Counter::default());
        let (hostile, stranger) = (HOSTILE.parse().unwrap(), STRANGER.parse().unwrap());
        let first = places.take(hostile).await.unwrap();
        let waiting = places.take(stranger);
        tokio::pin!(waiting);
        assert!(timeout(Duration::ZERO, waiting.as_mut()).await.is_err());
        drop(first);
        let second = waiting.await.unwrap();
        assert_eq!((second.address, locked(&places.taken).held_by(hostile)), (stranger, 0));
        drop(second);
        assert!(locked(&places.taken).by_address.is_empty());
        assert_eq!(places.evictions.get(), 0);
    }

    #[tokio::test]
    async fn one_that_has_to_make_room_is_told_and_does_so() {
        let places = Places::new(1, Counter::default());
        let idle = places.take(HOSTILE.parse().unwrap()).await.unwrap();
        let make_room = async {
            idle.seat().evicted().await;
            drop(idle);
        };
        let (_, place) = tokio::join!(make_room, places.take(STRANGER.parse().unwrap()));
        assert!(place.is_some());
        assert_eq!(places.evictions.get(), 1);
    }

    #[tokio::test]
    async fn networks_of_ipv6_count_as_one_address() {
        let places = Places::new(3, Counter::default());
        let mut held = Vec::new();
        for address in ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"] {
            held.push(places.take(address.parse().unwrap()).await.unwrap());
        }
        assert_eq!(locked(&places.taken).held_by("2001:db8::".parse().unwrap()), 2);
    }

    #[tokio::test]
    async fn one_whose_request_is_under_way_keeps_its_place() {
        let places = Places::new(1, Counter::default());
        let place = places.take(HOSTILE.parse().unwrap()).await.unwrap();
        let later = place.seat().since() + FIRST_WORDS;
        place.seat().while_busy(async { assert!(!place.seat().can_give_way(later)) }).await;
        assert!(place.seat().can_give_way(later));
    }
}
