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
    cpu_time::{CpuMeter, Metered},
    engine::Place,
    failure::{CallFailure, TimeLimit},
    limits::Watch,
    runs::CallRun,
};
use super::{
    live::{Live, PutAway},
    room::Room,
    turns::Turns,
};
use crate::config::Isolation;

/// A start that takes longer is worth hiding.
const WORTH_HIDING: Duration = Duration::from_micros(200);

/// What the start of a component that is being loaded may take, whatever the deadline: an interpreter with a
/// large library.
const START: Duration = Duration::from_secs(10);

/// How much longer than the quickest one another start may take, on a machine that is busy with other things.
const SLOWER: u32 = 8;

/// The most CPU time that this makes of the plugin's own: what an interpreter may take for its manifest, and
/// half of it again. There is no caller in whose account it could be found.
const MAX_REFILL: Duration = Duration::from_secs(3);

/// After a start that came to nothing; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(in super::super) struct Ready {
    waiting: Mutex<Vec<Live>>,
    closed: AtomicBool,
    pause: Mutex<Pause>,
    /// What the quickest start took, in nanoseconds; zero: there was none yet.
    start_ns: AtomicU64,
}

/// Between starts ahead that come to nothing.
#[derive(Debug, Default)]
struct Pause {
    length: Duration,
    until: Option<Instant>,
}

impl Pause {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    fn lengthen(&mut self, now: Instant) {
        self.length = (self.length * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.until = Some(now + self.length);
    }
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
    pub fn give(&self, version: &PluginVersion, mut live: Live, room: Room) -> bool {
        if let Some(why) = live.worn(&version.instances, Instant::now()) {
            live.put_away(why);
            return false;
        }
        if !live.rest(room) {
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

    /// Puts away the one that has waited longest, for others.
    pub fn give_way(&self) {
        let oldest = {
            let mut waiting = self.waiting();
            (!waiting.is_empty()).then(|| waiting.remove(0))
        };
        if let Some(live) = oldest {
            live.put_away(PutAway::NoRoom);
        }
    }

    /// How many wait, and their memory together.
    pub fn held(&self) -> (usize, usize) {
        let waiting = self.waiting();
        (waiting.len(), waiting.iter().map(Live::memory_bytes).sum())
    }

    /// How long a start takes at best.
    pub fn saw_start(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let _ = self.start_ns.fetch_update(Relaxed, Relaxed, |best| (best == 0 || took < best).then_some(took));
    }

    fn is_slow_to_start(&self) -> bool {
        self.start_ns.load(Relaxed) > u64::try_from(WORTH_HIDING.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether more are to be started.
    fn lacks(&self, version: &PluginVersion) -> bool {
        self.waiting().len() < version.instances.warm && !self.closed.load(Relaxed)
    }

    fn pause(&self) -> MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Live>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PluginVersion {
    /// Starts an instance on nobody's behalf, to see whether and how fast it does.
    pub(in super::super) async fn start_ahead(self: &Arc<Self>) -> Result<Live, CallFailure> {
        let allowed = START.max(self.limits.deadline);
        let deadline = Instant::now() + allowed;
        let place = self.sandbox.place_for_loading(deadline).await.ok_or(CallFailure::Busy { retry_after: START })?;
        self.start_within(place, self.limits.cpu_time.max(START), allowed, deadline).await
    }

    /// Starts another instance of a version that serves.
    async fn refill(self: &Arc<Self>) -> Result<Live, CallFailure> {
        let by = Instant::now() + START;
        let place = self.sandbox.place_for_refill(by).await.ok_or(CallFailure::Busy { retry_after: START })?;
        let quickest = Duration::from_nanos(self.ready.start_ns.load(Relaxed));
        self.start_within(place, refill_time(self.limits.cpu_time, quickest), START, Instant::now() + START).await
    }

    async fn start_within(
        self: &Arc<Self>,
        _place: Place,
        cpu_time: Duration,
        allowed: Duration,
        deadline: Instant,
    ) -> Result<Live, CallFailure> {
        let meter = CpuMeter::new();
        let watch = Watch { meter: meter.clone(), cpu_time, deadline };
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
            self.ready.give(self, first, Room::IfFree);
        }
        self.fill();
    }

    /// Starts what is missing of those that wait, in the background: one after the other, of all versions of a
    /// plugin.
    pub(in super::super) fn fill(self: &Arc<Self>) {
        if !self.starts_ahead() || !self.ready.lacks(self) || !self.ready.pause().is_over(Instant::now()) {
            return;
        }
        let Some(turn) = self.shared.opened.refilling.begin(&self.name, 1) else { return };
        let version = self.clone();
        self.shared.tasks.spawn(async move {
            let _turn = turn;
            version.shared.stop.run_until_cancelled(version.fill_up()).await;
        });
    }

    async fn fill_up(self: &Arc<Self>) {
        while self.ready.lacks(self) {
            let kept = match self.refill().await {
                Ok(live) => self.ready.give(self, live, Room::IfFree),
                // Others start at the moment: nothing that this one did, and it is tried again soon.
                Err(CallFailure::Busy { .. }) => return,
                Err(failure) => {
                    // The next call meets it as well, and says so to its caller.
                    tracing::warn!(plugin = %self.name, %failure, "an instance could not be started ahead");
                    false
                }
            };
            let mut pause = self.ready.pause();
            if !kept {
                pause.lengthen(Instant::now());
                return;
            }
            *pause = Pause::default();
        }
    }

    fn starts_ahead(&self) -> bool {
        self.instances.warm > 0 && (self.isolation == Isolation::Shared || self.ready.is_slow_to_start())
    }
}

/// What a start may take for which nobody waits and nobody pays: what a call has, or what an interpreter was
/// seen to need.
fn refill_time(cpu_time: Duration, quickest: Duration) -> Duration {
    cpu_time.max((quickest * SLOWER).min(MAX_REFILL))
}

/// Versions whose waiting instances are looked after.
#[derive(Default)]
pub(in super::super) struct Opened {
    versions: Mutex<Vec<Weak<PluginVersion>>>,
    refilling: Turns,
}

impl Opened {
    fn insert(&self, version: &Arc<PluginVersion>) {
        self.versions().push(Arc::downgrade(version));
    }

    /// Those that serve; the others are forgotten.
    pub fn serving(&self) -> Vec<Arc<PluginVersion>> {
        let mut serving = Vec::new();
        self.versions().retain(|version| {
            let version = version.upgrade().filter(|version| !version.is_retired());
            let serves = version.is_some();
            serving.extend(version);
            serves
        });
        serving
    }

    /// Puts away what waits for too long, and starts what is missing.
    pub fn look_after(&self) {
        for version in self.serving() {
            version.ready.shrink(&version);
            version.fill();
        }
    }

    pub fn close(&self) {
        self.serving().iter().for_each(|version| version.ready.close());
    }

    fn versions(&self) -> MutexGuard<'_, Vec<Weak<PluginVersion>>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An instance that proved that a version starts.
pub(crate) struct FirstInstance(pub(in super::super) Live);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_ahead_that_comes_to_nothing_is_tried_again_ever_more_seldom() {
        let (mut pause, mut now) = (Pause::default(), Instant::now());
        assert!(pause.is_over(now));
        let mut waits = Vec::new();
        for _ in 0..8 {
            pause.lengthen(now);
            assert!(!pause.is_over(now + pause.length - Duration::from_millis(1)));
            now += pause.length;
            assert!(pause.is_over(now));
            waits.push(pause.length.as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_start_ahead_may_take_what_a_call_may_or_a_multiple_of_the_quickest_but_not_what_a_load_may() {
        let ms = Duration::from_millis;
        assert_eq!(refill_time(ms(100), ms(1)), ms(100));
        assert_eq!(refill_time(ms(100), ms(300)), ms(2_400));
        assert_eq!(refill_time(ms(100), START), MAX_REFILL);
        assert_eq!(refill_time(ms(5_000), START), ms(5_000));
    }
}
