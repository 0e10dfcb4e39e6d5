//! Instances that belong to a session: at most one for each plugin, calls one after the other.
//!
//! An instance is a place to think, not a place to keep things: when it is worn, idle, of a replaced
//! version or in the way of others it is put away, and what it exports waits for the next one. A plugin
//! without `handover` starts anew then; what has to last belongs into `state`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::super::{PluginVersion, capability::SharedCapabilities};
use super::{
    handover::Parked,
    live::{Live, PutAway},
};

/// How often idle and replaced instances are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

type BySession = HashMap<Arc<str>, HashMap<Arc<str>, Arc<Slot>>>;

#[derive(Default)]
pub(in super::super) struct SessionInstances {
    /// By session, then by plugin.
    slots: Mutex<BySession>,
}

/// One session's place in one plugin. Its lock is the order of its calls.
pub(in super::super) type Slot = tokio::sync::Mutex<Occupant>;

/// Who is in it: an instance, or what it left behind, or nobody yet.
#[derive(Default)]
pub(in super::super) struct Occupant {
    live: Option<Live>,
    parked: Option<Parked>,
}

impl SessionInstances {
    pub fn slot(&self, session_id: &Arc<str>, plugin: &Arc<str>) -> Arc<Slot> {
        let mut slots = self.slots();
        slots.entry(session_id.clone()).or_default().entry(plugin.clone()).or_default().clone()
    }

    /// The session has ended, for these plugins.
    pub fn end(&self, session_id: &str, of: impl Fn(&str) -> bool) {
        let mut ended = Vec::new();
        {
            let mut slots = self.slots();
            let Some(of_session) = slots.get_mut(session_id) else { return };
            of_session.retain(|plugin, slot| {
                let ends = of(plugin);
                ends.then(|| ended.push(slot.clone()));
                !ends
            });
            if of_session.is_empty() {
                slots.remove(session_id);
            }
        }
        for slot in ended {
            // Busy ones end with their call, which is the last that knows the slot.
            if let Ok(mut occupant) = slot.try_lock()
                && let Some(live) = occupant.live.take()
            {
                live.put_away(PutAway::Session);
            }
        }
    }

    /// What up to so many of a version's sessions would leave behind now.
    pub async fn samples(&self, version: &Arc<PluginVersion>, most: usize) -> Vec<Vec<u8>> {
        let mut samples = Vec::new();
        for slot in self.all().into_iter().filter(|(_, plugin, _)| *plugin == version.name).map(|(.., slot)| slot) {
            if samples.len() == most {
                break;
            }
            let Ok(mut occupant) = slot.try_lock() else { continue };
            let Some(mut live) = occupant.live.take_if(|live| Arc::ptr_eq(live.version(), version)) else { continue };
            // What fails to export is not used again.
            if let Ok(state) = live.export().await {
                samples.push(state);
                occupant.give(live).await;
            } else {
                live.put_away(PutAway::Failed);
            }
        }
        samples
    }

    /// Puts away what nobody needs at the moment.
    async fn sweep(&self, stopping: bool) {
        let now = Instant::now();
        for (session_id, plugin, slot) in self.all() {
            let Ok(mut occupant) = slot.try_lock() else { continue };
            if stopping {
                *occupant = Occupant::default();
                continue;
            }
            occupant.vacate_if_due(now).await;
            if occupant.is_empty() {
                drop(occupant);
                self.forget_if_unused(&session_id, &plugin, &slot);
            }
        }
    }

    /// Puts the instance away that has waited longest. Whether there was one.
    async fn make_room(&self) -> bool {
        let now = Instant::now();
        let mut longest: Option<(Duration, Arc<Slot>)> = None;
        for (.., slot) in self.all() {
            let idle = slot.try_lock().ok().and_then(|occupant| Some(occupant.live.as_ref()?.idle_for(now)));
            if let Some(idle) = idle
                && longest.as_ref().is_none_or(|(most, _)| idle > *most)
            {
                longest = Some((idle, slot));
            }
        }
        let Some((_, slot)) = longest else { return false };
        let Ok(mut occupant) = slot.try_lock() else { return false };
        let Some(live) = occupant.live.take() else { return false };
        occupant.vacate(live, PutAway::NoRoom).await;
        true
    }

    fn forget_if_unused(&self, session_id: &Arc<str>, plugin: &Arc<str>, slot: &Arc<Slot>) {
        let mut slots = self.slots();
        let Some(of_session) = slots.get_mut(session_id) else { return };
        // This one's, and the map's: a call that is about to begin would have a third.
        if Arc::strong_count(slot) <= 2 {
            of_session.remove(plugin);
        }
        if of_session.is_empty() {
            slots.remove(session_id);
        }
    }

    fn all(&self) -> Vec<(Arc<str>, Arc<str>, Arc<Slot>)> {
        let slots = self.slots();
        let of_all = slots.iter().flat_map(|(session_id, of_session)| {
            of_session.iter().map(move |(plugin, slot)| (session_id.clone(), plugin.clone(), slot.clone()))
        });
        of_all.collect()
    }

    fn slots(&self) -> MutexGuard<'_, BySession> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The call is over, and the instance waits for the next one.
    pub async fn give(&mut self, mut live: Live) {
        let sessions = &live.version().shared.clone().sessions;
        if live.rest() || (sessions.make_room().await && live.rest()) {
            self.live = Some(live);
        } else {
            self.vacate(live, PutAway::NoRoom).await;
        }
    }

    async fn vacate_if_due(&mut self, now: Instant) {
        let due = self.live.take_if(|live| {
            let version = live.version();
            version.is_retired() || live.idle_for(now) > version.instances.max_idle
        });
        if let Some(live) = due {
            let why = if live.version().is_retired() { PutAway::Version } else { PutAway::Idle };
            self.vacate(live, why).await;
        }
    }

    async fn vacate(&mut self, mut live: Live, why: PutAway) {
        self.parked = live.park().await;
        live.put_away(why);
    }

    fn is_empty(&self) -> bool {
        self.live.is_none() && self.parked.is_none()
    }
}

impl SharedCapabilities {
    pub(in super::super) async fn sweep_until_stopped(&self) {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.stop.run_until_cancelled(interval.tick()).await.is_some() {
            self.opened.shrink();
            self.sessions.sweep(false).await;
        }
        self.sessions.sweep(true).await;
    }
}
