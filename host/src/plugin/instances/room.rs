//! Who gives way when there is no room for another instance to wait.
//!
//! Seats and bytes are one pool for all plugins. The plugin that holds most of what is short gives way, and none
//! that holds less than the one that asks: so no plugin pushes others out, and none keeps everything for ever.
//! Somebody's call is under way meanwhile, so no guest runs here: an instance that gives way says in a task of
//! its own what it leaves behind, and in a place of its own.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::OwnedMutexGuard;

use super::super::{
    PluginVersion,
    capability::SharedCapabilities,
    engine::{LEAVING, Seat, Short},
};
use super::{
    live::{Live, PutAway},
    sessions::{Occupant, Slot},
};

/// Instances of one plugin that say at one time what they leave behind. Beyond it they leave nothing, so that a
/// plugin which takes its time over it has only itself to blame.
const LEAVING_OF_ONE: usize = LEAVING / 4;

/// How many give way for one. Each costs a look at all that wait.
const MOST_THAT_GIVE_WAY: usize = 8;

/// What an instance may ask of others that it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Room {
    /// It was started in case it is needed, and goes if there is no room.
    IfFree,
    OthersGiveWay,
}

/// For what others are to give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Seat,
    Bytes(usize),
    /// For what an instance left behind, for which no instance has to go.
    ParkedBytes(usize),
}

impl Wanted {
    /// What something that waits has of it.
    fn share(self, seats: usize, bytes: usize) -> usize {
        match self {
            Self::Seat => seats,
            Self::Bytes(_) | Self::ParkedBytes(_) => bytes,
        }
    }

    fn amount(self) -> usize {
        match self {
            Self::Seat => 1,
            Self::Bytes(bytes) | Self::ParkedBytes(bytes) => bytes,
        }
    }
}

/// What a plugin holds, and what of it would be missed least.
#[derive(Default)]
struct Holding {
    amount: usize,
    /// Has instances that are nobody's.
    ready: Option<Arc<PluginVersion>>,
    /// The instance of a session that has waited longest.
    live: Option<(Duration, Arc<Slot>)>,
    /// The oldest of what instances left behind.
    parked: Option<(Duration, Arc<Slot>)>,
}

impl Holding {
    fn can_give(&self) -> bool {
        self.ready.is_some() || self.live.is_some() || self.parked.is_some()
    }
}

impl PluginVersion {
    /// Leave for an instance with so much memory to wait.
    pub(in super::super) fn seat(&self, memory_bytes: usize, room: Room) -> Option<Seat> {
        for _ in 0..MOST_THAT_GIVE_WAY {
            let wanted = match self.sandbox.seat(memory_bytes) {
                Ok(seat) => return Some(seat),
                Err(_) if room == Room::IfFree => return None,
                Err(Short::Seats) => Wanted::Seat,
                Err(Short::Bytes) => Wanted::Bytes(memory_bytes),
            };
            if !self.shared.make_room(&self.name, wanted) {
                return None;
            }
        }
        self.sandbox.seat(memory_bytes).ok()
    }

    /// Leave to keep what an instance left behind.
    pub(in super::super) fn room_to_park(&self, bytes: usize) -> Option<Seat> {
        for _ in 0..MOST_THAT_GIVE_WAY {
            if let Some(room) = self.sandbox.room(bytes) {
                return Some(room);
            }
            if !self.shared.make_room(&self.name, Wanted::ParkedBytes(bytes)) {
                return None;
            }
        }
        self.sandbox.room(bytes)
    }
}

impl SharedCapabilities {
    /// Makes the one give way that is missed least, of the plugin that holds most. Whether to look again.
    fn make_room(&self, plugin: &Arc<str>, wanted: Wanted) -> bool {
        let holdings = self.holdings(wanted);
        let own = holdings.get(plugin).map_or(0, |holding| holding.amount).saturating_add(wanted.amount());
        let most = holdings
            .into_iter()
            .map(|(name, holding)| (if name == *plugin { own } else { holding.amount }, name == *plugin, name, holding))
            .filter(|(amount, .., holding)| *amount >= own && holding.can_give())
            // At a tie, its own.
            .max_by_key(|(amount, is_own, ..)| (*amount, *is_own));
        let Some((.., name, holding)) = most else { return false };
        if let Some(version) = holding.ready {
            version.ready.give_way();
        } else if let Some((_, slot)) = holding.live {
            if let Ok(mut occupant) = slot.try_lock_owned()
                && let Some(live) = occupant.take_live()
            {
                self.leave(occupant, live);
            }
        } else if let Some((_, slot)) = holding.parked
            && let Ok(mut occupant) = slot.try_lock_owned()
            && occupant.parked().take().is_some()
        {
            tracing::warn!(plugin = %name, "no room for what an instance left behind: its session starts anew");
            self.count_handover(&name, "no_room");
        }
        true
    }

    fn holdings(&self, wanted: Wanted) -> HashMap<Arc<str>, Holding> {
        let now = Instant::now();
        let mut holdings = HashMap::<Arc<str>, Holding>::new();
        for version in self.opened.serving() {
            let (count, bytes) = version.ready.held();
            if count > 0 {
                let holding = holdings.entry(version.name.clone()).or_default();
                holding.amount += wanted.share(count, bytes);
                holding.ready = Some(version);
            }
        }
        // Those in the middle of a call are not seen, because they do not wait.
        self.sessions.look_at_those_that_wait(|plugin, slot, occupant| {
            if !holdings.contains_key(plugin) {
                holdings.insert(plugin.clone(), Holding::default());
            }
            let Some(holding) = holdings.get_mut(plugin) else { return };
            if let Some(live) = occupant.live() {
                holding.amount += wanted.share(1, live.memory_bytes());
                if !matches!(wanted, Wanted::ParkedBytes(_)) {
                    keep_longer(&mut holding.live, live.idle_for(now), slot);
                }
            }
            if let Some(parked) = occupant.left_behind() {
                holding.amount += wanted.share(0, parked.bytes());
                if wanted != Wanted::Seat {
                    keep_longer(&mut holding.parked, parked.age(now), slot);
                }
            }
        });
        holdings
    }

    /// An instance without a seat says what it leaves behind, while nobody waits for it but its own session.
    pub(in super::super) fn leave(&self, mut occupant: OwnedMutexGuard<Occupant>, mut live: Live) {
        let version = live.version().clone();
        let place = match self.sessions.leaving.begin(&version.name, LEAVING_OF_ONE) {
            Some(turn) => version.sandbox.place_to_leave(live.memory_bytes()).map(|place| (turn, place)),
            None => None,
        };
        let Some(place) = place else {
            tracing::warn!(plugin = %version.name, "too many instances give way at one time, or too large ones: a session starts anew");
            self.count_handover(&version.name, "no_room");
            return live.put_away(PutAway::NoRoom);
        };
        live.leave_seat();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            // Until the instance is gone.
            let _place = place;
            stop.run_until_cancelled(occupant.vacate(live, PutAway::NoRoom)).await;
        });
    }
}

fn keep_longer(longest: &mut Option<(Duration, Arc<Slot>)>, waited: Duration, slot: &Arc<Slot>) {
    if longest.as_ref().is_none_or(|(most, _)| waited > *most) {
        *longest = Some((waited, slot.clone()));
    }
}
