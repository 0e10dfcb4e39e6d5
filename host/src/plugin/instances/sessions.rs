//! Instances that belong to a session: at most one for each plugin, calls one after the other.
//!
//! An instance is a place to think, not a place to keep things: when it is worn, idle, of a replaced
//! version or in the way of others it is put away, and what it exports waits for the next one. A plugin
//! without `handover` starts anew then; what has to last belongs into `state`.
//!
//! A session that has ended has no places: they go to whoever says goodbye to it, and end with that.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::join_all, stream};
use tokio::sync::OwnedMutexGuard;

use super::super::{PluginVersion, capability::SharedCapabilities, effects::Caller, failure::CallFailure};
use super::{
    handover::Parked,
    live::{Live, PutAway},
    room::Room,
    turns::Turns,
};

/// How often idle and replaced instances are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Instances of one plugin that are put away beside each other. Those of other plugins do not wait for them.
const PUT_AWAY_AT_ONCE: usize = 4;

/// How long what an instance left behind waits for its session to go on. Whoever comes back after a day does
/// not expect to find a thought where it was left.
const PARKED_FOR: Duration = Duration::from_secs(24 * 3_600);

type OfSession = HashMap<Arc<str>, Arc<Slot>>;

#[derive(Default)]
pub(in super::super) struct SessionInstances {
    kept: Mutex<Kept>,
    /// Of those that gave way to others.
    pub leaving: Turns,
    sweeping: Turns,
}

#[derive(Default)]
struct Kept {
    /// By session, then by plugin.
    slots: HashMap<Arc<str>, OfSession>,
}

/// One session's place in one plugin. Its lock is the order of its calls.
pub(in super::super) type Slot = tokio::sync::Mutex<Occupant>;

/// Who is in it: an instance, or what it left behind, or nobody yet. It ends with the last who knows of it.
#[derive(Default)]
pub(in super::super) struct Occupant {
    live: Option<Live>,
    parked: Option<Parked>,
}

/// The instances of a session that has ended, and with this.
pub(crate) struct LastInstances(OfSession);

/// That of one plugin, if there is one, which may still hear of the end.
#[derive(Default)]
pub(crate) struct LastInstance(pub(in super::super) Option<Arc<Slot>>);

impl LastInstances {
    pub fn of(&mut self, plugin: &str) -> LastInstance {
        LastInstance(self.0.remove(plugin))
    }
}

struct Found {
    session_id: Arc<str>,
    plugin: Arc<str>,
    slot: Arc<Slot>,
}

impl SessionInstances {
    /// None for a session that has ended.
    pub fn slot(&self, caller: &Caller, plugin: &Arc<str>) -> Option<Arc<Slot>> {
        let mut kept = self.kept();
        // Under the lock: whoever ends afterwards finds what was put here.
        if caller.session.is_over() {
            return None;
        }
        Some(kept.slots.entry(caller.session_id.clone()).or_default().entry(plugin.clone()).or_default().clone())
    }

    /// The session has ended. Nobody finds its instances any more; those in the middle of a call end with it.
    pub fn end(&self, session_id: &str) -> LastInstances {
        LastInstances(self.kept().slots.remove(session_id).unwrap_or_default())
    }

    /// What up to so many of a version's sessions would leave behind now; `None` if none of them has an
    /// instance that waits.
    pub async fn samples(&self, version: &Arc<PluginVersion>, most: usize) -> Option<Vec<Vec<u8>>> {
        let mut asked = Vec::new();
        for Found { slot, .. } in self.all().into_iter().filter(|found| found.plugin == version.name) {
            // Those that were asked count, whatever they say, so that it never takes longer.
            if asked.len() == most {
                break;
            }
            let Ok(mut occupant) = slot.try_lock_owned() else { continue };
            let Some(live) = occupant.live.take_if(|live| Arc::ptr_eq(live.version(), version)) else { continue };
            asked.push(sample(occupant, live));
        }
        if asked.is_empty() {
            return None;
        }
        Some(join_all(asked).await.into_iter().flatten().collect())
    }

    pub fn look_at_those_that_wait(&self, mut look: impl FnMut(&Arc<str>, &Arc<Slot>, &Occupant)) {
        for (plugin, slot) in self.kept().slots.values().flatten() {
            if let Ok(occupant) = slot.try_lock() {
                look(plugin, slot, &occupant);
            }
        }
    }

    /// Drops what was left behind too long ago, and finds the instances that nobody needs at the moment, by plugin.
    fn due(&self, now: Instant) -> HashMap<Arc<str>, Vec<Found>> {
        let mut due = HashMap::<_, Vec<_>>::new();
        for found in self.all() {
            let Ok(mut occupant) = found.slot.try_lock() else { continue };
            occupant.parked.take_if(|parked| parked.age(now) > PARKED_FOR);
            let (is_due, is_empty) = (occupant.is_due(now).is_some(), occupant.is_empty());
            drop(occupant);
            if is_due {
                due.entry(found.plugin.clone()).or_default().push(found);
            } else if is_empty {
                self.forget_if_unused(&found);
            }
        }
        due
    }

    async fn vacate(&self, found: Found) {
        let Ok(mut occupant) = found.slot.try_lock() else { return };
        let now = Instant::now();
        if let Some(why) = occupant.is_due(now)
            && let Some(live) = occupant.live.take()
        {
            occupant.vacate(live, why).await;
        }
        if occupant.is_empty() {
            drop(occupant);
            self.forget_if_unused(&found);
        }
    }

    fn forget_if_unused(&self, found: &Found) {
        let mut kept = self.kept();
        let Some(of_session) = kept.slots.get_mut(&found.session_id) else { return };
        // This one's, and the map's: a call that is about to begin would have a third.
        // One that has begun and ended since the slot was found empty has left something in it.
        let is_empty = found.slot.try_lock().is_ok_and(|occupant| occupant.is_empty());
        if is_empty && Arc::strong_count(&found.slot) <= 2 {
            of_session.remove(&found.plugin);
        }
        if of_session.is_empty() {
            kept.slots.remove(&found.session_id);
        }
    }

    fn all(&self) -> Vec<Found> {
        let kept = self.kept();
        let of_all = kept.slots.iter().flat_map(|(session_id, of_session)| {
            of_session.iter().map(move |(plugin, slot)| Found {
                session_id: session_id.clone(),
                plugin: plugin.clone(),
                slot: slot.clone(),
            })
        });
        of_all.collect()
    }

    /// Ends all that wait.
    fn clear(&self) {
        let slots = std::mem::take(&mut self.kept().slots);
        drop(slots);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an instance would leave behind. It goes on waiting, unless it failed.
async fn sample(occupant: OwnedMutexGuard<Occupant>, mut live: Live) -> Option<Vec<u8>> {
    match live.export().await {
        Ok(state) => {
            Occupant::give(occupant, live);
            Some(state)
        }
        // There is nothing that it wants to leave.
        Err(CallFailure::Refused(_)) => {
            Occupant::give(occupant, live);
            None
        }
        Err(failure) => {
            let version = live.version();
            tracing::warn!(plugin = %version.name, version = %version.version, %failure, "an instance could not export its state: its session starts anew");
            live.put_away(PutAway::Failed);
            None
        }
    }
}

impl Occupant {
    /// The instance that is here, if it may serve a call of this version. If it may not, it is put away.
    pub async fn take(&mut self, version: &Arc<PluginVersion>) -> Option<Live> {
        let live = self.live.take()?;
        let why = match live.worn(&version.instances, Instant::now()) {
            _ if !Arc::ptr_eq(live.version(), version) => PutAway::Version,
            Some(worn) => worn,
            None => return Some(live),
        };
        self.vacate(live, why).await;
        None
    }

    /// What the last instance left, until a next one has taken it over.
    pub fn parked(&mut self) -> &mut Option<Parked> {
        &mut self.parked
    }

    pub fn left_behind(&self) -> Option<&Parked> {
        self.parked.as_ref()
    }

    pub fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    pub fn take_live(&mut self) -> Option<Live> {
        self.live.take()
    }

    /// The call is over, and the instance waits for the next one. Nothing here waits, and no guest runs: the
    /// answer is there already.
    pub fn give(mut occupant: OwnedMutexGuard<Self>, mut live: Live) {
        // Nobody else knows the place: the session has ended meanwhile, and there is no next call.
        if Arc::strong_count(OwnedMutexGuard::mutex(&occupant)) == 1 {
            live.put_away(PutAway::Session);
        } else if live.rest(Room::OthersGiveWay) {
            occupant.live = Some(live);
        } else {
            let shared = live.version().shared.clone();
            shared.leave(occupant, live);
        }
    }

    /// Puts it away, with what it leaves behind.
    pub async fn vacate(&mut self, mut live: Live, why: PutAway) {
        self.parked = live.park().await;
        live.put_away(why);
    }

    fn is_due(&self, now: Instant) -> Option<PutAway> {
        let live = self.live.as_ref()?;
        let version = live.version();
        match () {
            () if version.is_retired() => Some(PutAway::Version),
            () if live.idle_for(now) > version.instances.max_idle => Some(PutAway::Idle),
            () => None,
        }
    }

    fn is_empty(&self) -> bool {
        self.live.is_none() && self.parked.is_none()
    }
}

impl Drop for Occupant {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            live.put_away(PutAway::Session);
        }
    }
}

impl SharedCapabilities {
    pub(in super::super) async fn sweep_until_stopped(self: Arc<Self>) {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.stop.run_until_cancelled(interval.tick()).await.is_some() {
            self.opened.look_after();
            self.sweep();
        }
        self.sessions.clear();
        // Instances and their version keep each other, and with them everything that the host opened.
        self.opened.close();
    }

    /// Puts away what nobody needs at the moment, each plugin's in a task of its own: guests say what they
    /// leave behind, and may take their time over it.
    fn sweep(self: &Arc<Self>) {
        for (plugin, due) in self.sessions.due(Instant::now()) {
            // Those that it has not come to yet are found again.
            let Some(turn) = self.sessions.sweeping.begin(&plugin, 1) else { continue };
            let (shared, stop) = (self.clone(), self.stop.clone());
            let put_away = stream::iter(due).for_each_concurrent(PUT_AWAY_AT_ONCE, move |found| {
                let shared = shared.clone();
                async move { shared.sessions.vacate(found).await }
            });
            self.tasks.spawn(async move {
                let _turn = turn;
                stop.run_until_cancelled(put_away).await;
            });
        }
    }
}
