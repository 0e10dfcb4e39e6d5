//! Instances of one version that wait for any call: started ahead, or given back by the last one.
//!
//! A small component starts in less time than it takes to hand over one that waits, so for `message` and
//! `session` nothing is started ahead unless its start was seen to take longer than that. What is here
//! refers to its version, and the version to what is here: [`Ready::close`] unties them when the version
//! is retired, and a version that never served has nothing here.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::super::{
    PluginVersion,
    call_state::CallState,
    failure::{CallFailure, TimeLimit},
    limits::{CpuMeter, Metered, Watch},
    runs::CallRun,
};
use super::live::{Live, PutAway};
use crate::config::Isolation;

/// A start that takes longer is worth hiding.
const WORTH_HIDING: Duration = Duration::from_micros(200);

/// What a start outside of a call may take, whatever the deadline: an interpreter with a large library.
const START: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(in super::super) struct Ready {
    waiting: Mutex<Vec<Live>>,
    closed: AtomicBool,
    filling: AtomicBool,
    /// What the quickest start took, in nanoseconds; zero: there was none yet.
    start_ns: AtomicU64,
}

impl Ready {
    /// The one that was used last, which is the warmest.
    pub fn take(&self, version: &PluginVersion) -> Option<Live> {
        let now = Instant::now();
        loop {
            let live = self.waiting().pop()?;
            match live.worn(&version.instances, now) {
                None => return Some(live),
                Some(why) => live.put_away(why),
            }
        }
    }

    /// Takes it back, unless it is worn or there is no room. Whether it did.
    pub fn give(&self, version: &PluginVersion, mut live: Live) -> bool {
        if let Some(why) = live.worn(&version.instances, Instant::now()) {
            live.put_away(why);
            return false;
        }
        if !live.rest() {
            live.put_away(PutAway::NoRoom);
            return false;
        }
        let mut waiting = self.waiting();
        // Asked under the lock, under which it is closed.
        if self.closed.load(Relaxed) {
            drop(waiting);
            live.put_away(PutAway::Version);
            return false;
        }
        waiting.push(live);
        true
    }

    /// Puts away what waits, and takes nothing any more.
    pub fn close(&self) {
        let waiting = {
            let mut waiting = self.waiting();
            self.closed.store(true, Relaxed);
            std::mem::take(&mut *waiting)
        };
        waiting.into_iter().for_each(|live| live.put_away(PutAway::Version));
    }

    /// Puts away those that nobody has needed for long, but for so many.
    pub fn shrink(&self, version: &PluginVersion) {
        let (now, config) = (Instant::now(), &version.instances);
        let mut idle = Vec::new();
        {
            let mut waiting = self.waiting();
            // The oldest stand first, because the last one back is the first to be taken.
            while waiting.len() > config.warm
                && waiting.first().is_some_and(|live| live.idle_for(now) > config.max_idle)
            {
                idle.push(waiting.remove(0));
            }
        }
        // Guests' memory is unmapped outside the lock.
        idle.into_iter().for_each(|live| live.put_away(PutAway::Idle));
    }

    /// How long a start takes at best.
    pub fn saw_start(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let _ = self.start_ns.fetch_update(Relaxed, Relaxed, |best| (best == 0 || took < best).then_some(took));
    }

    fn is_slow_to_start(&self) -> bool {
        self.start_ns.load(Relaxed) > u64::try_from(WORTH_HIDING.as_nanos()).unwrap_or(u64::MAX)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Live>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PluginVersion {
    /// Starts an instance on nobody's behalf.
    pub(in super::super) async fn start_ahead(self: &Arc<Self>) -> Result<Live, CallFailure> {
        let allowed = START.max(self.limits.deadline);
        let deadline = Instant::now() + allowed;
        let _place = self.sandbox.place_for_loading(deadline).await.ok_or(CallFailure::Busy { retry_after: START })?;
        let meter = CpuMeter::new();
        let watch = Watch { meter: meter.clone(), cpu_time: self.limits.cpu_time.max(START), deadline };
        let call = CallState::nobodys_with(self.clone(), allowed, meter.clone(), CallRun::new());
        let began = Instant::now();
        let started = tokio::time::timeout_at(deadline.into(), Metered::new(Live::start(call, watch), meter)).await;
        let live = started.unwrap_or(Err(CallFailure::TimedOut { limit: allowed, setting: TimeLimit::Deadline }))?;
        self.ready.saw_start(began.elapsed());
        self.count_start("ahead");
        Ok(live)
    }

    /// Takes traffic from now on, with an instance that was started to see whether it does.
    pub(crate) fn open(self: &Arc<Self>, FirstInstance(first): FirstInstance) {
        self.shared.opened.insert(self);
        if self.starts_ahead() {
            self.ready.give(self, first);
        }
        self.fill();
    }

    /// Starts what is missing of those that wait, in the background.
    pub(in super::super) fn fill(self: &Arc<Self>) {
        let enough = || self.ready.waiting().len() >= self.instances.warm || self.ready.closed.load(Relaxed);
        if !self.starts_ahead() || enough() || self.ready.filling.swap(true, Relaxed) {
            return;
        }
        let version = self.clone();
        self.shared.tasks.spawn(async move {
            loop {
                match version.start_ahead().await {
                    Ok(live) => {
                        if !version.ready.give(&version, live) {
                            break;
                        }
                    }
                    Err(failure) => {
                        // The next call meets it as well, and says so to its caller.
                        tracing::warn!(plugin = %version.name, %failure, "an instance could not be started ahead");
                        break;
                    }
                }
                let full = version.ready.waiting().len() >= version.instances.warm;
                if full || version.ready.closed.load(Relaxed) || version.shared.stop.is_cancelled() {
                    break;
                }
            }
            version.ready.filling.store(false, Relaxed);
        });
    }

    fn starts_ahead(&self) -> bool {
        self.instances.warm > 0 && (self.isolation == Isolation::Shared || self.ready.is_slow_to_start())
    }
}

/// Versions whose waiting instances are looked after.
#[derive(Default)]
pub(in super::super) struct Opened(Mutex<Vec<Weak<PluginVersion>>>);

impl Opened {
    fn insert(&self, version: &Arc<PluginVersion>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(version));
    }

    /// Puts away what waits for too long, and forgets versions that no longer serve.
    pub fn shrink(&self) {
        let mut serving = Vec::new();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|version| {
            let version = version.upgrade().filter(|version| !version.is_retired());
            let serves = version.is_some();
            serving.extend(version);
            serves
        });
        for version in serving {
            version.ready.shrink(&version);
        }
    }
}

/// An instance that proved that a version starts.
pub(crate) struct FirstInstance(pub(in super::super) Live);
