//! One instance and its store, from its start until it is put away.
//!
//! Between calls it holds nothing of any caller. Whether it may serve another call is decided here, from
//! its age, use and size; whether it *did well* enough for that, by how its last call ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{Store, component::Instance};

use super::super::{
    PluginVersion,
    bindings::handler,
    call_state::CallState,
    engine::Seat,
    failure::CallFailure,
    guest::{self, Answer, Bounds, Question, Stage},
    instance_state::InstanceState,
    limits::{Interruption, Watch},
};
use super::room::Room;
use crate::{
    config::InstanceConfig,
    telemetry::metrics::{Plugin, PluginOutcome, PluginReason},
};

/// Why an instance does not wait for another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum PutAway {
    Calls,
    Age,
    Memory,
    Idle,
    /// It is of a version that no longer serves.
    Version,
    Session,
    NoRoom,
    Failed,
}

impl PutAway {
    fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Age => "age",
            Self::Memory => "memory",
            Self::Idle => "idle",
            Self::Version => "version",
            Self::Session => "session",
            Self::NoRoom => "no_room",
            Self::Failed => "failed",
        }
    }
}

pub(in super::super) struct Live {
    // Before the seat, which is its leave to exist.
    store: Store<InstanceState>,
    instance: Instance,
    /// Found when it was first asked to handle a message.
    handler: Option<handler::Guest>,
    version: Arc<PluginVersion>,
    /// Of the call that it serves.
    bounds: Bounds,
    born: Instant,
    used: Instant,
    calls: u32,
    /// Nobody's call, while it serves somebody's: to make one takes longer than to keep it.
    nobodys: Option<CallState>,
    rests: bool,
    seat: Option<Seat>,
}

impl Live {
    /// Starts an instance within the limits of this call, which it then serves.
    pub async fn start(call: CallState, watch: Watch) -> Result<Self, CallFailure> {
        let version = call.version.clone();
        let bounds = bounds(&version, &watch, call.allowed);
        let mut store = guest::store(version.sandbox.engine(), InstanceState::new(call), watch, &bounds, |instance| {
            &mut instance.limiter
        });
        let now = Instant::now();
        match version.pre.instantiate_async(&mut store).await {
            Ok(instance) => Ok(Self {
                store,
                instance,
                handler: None,
                version,
                bounds,
                born: now,
                used: now,
                calls: 0,
                nobodys: None,
                rests: false,
                seat: None,
            }),
            Err(fault) => {
                tell_if_ended(&version, &fault);
                Err(bounds.failure(Stage::Instantiating, &fault, &store.data().limiter))
            }
        }
    }

    /// Makes it serve this call next.
    pub fn begin(&mut self, call: CallState, watch: Watch) {
        self.bounds = bounds(&self.version, &watch, call.allowed);
        guest::set_bounds(&mut self.store, watch, &self.bounds);
        let data = self.store.data_mut();
        data.limiter.forget_refusals();
        let before = std::mem::replace(&mut data.call, call);
        if std::mem::take(&mut self.rests) {
            self.nobodys = Some(before);
        }
    }

    /// Asks the guest. An error other than a refusal means that it must not be asked again.
    pub async fn ask(&mut self, question: Question<'_>) -> Result<Answer, CallFailure> {
        self.calls = self.calls.saturating_add(1);
        match guest::invoke(&mut self.store, &self.instance, &mut self.handler, question).await {
            Ok(raw) => guest::checked(raw?, self.version.limits.max_emitted_bytes),
            Err(fault) => {
                tell_if_ended(&self.version, &fault);
                Err(self.bounds.failure(Stage::Running, &fault, &self.store.data().limiter))
            }
        }
    }

    /// Forgets the call, so that the instance can wait for the next one. Whether there is room to wait.
    #[must_use]
    pub fn rest(&mut self, room: Room) -> bool {
        self.used = Instant::now();
        let nobodys = self.nobodys.take();
        self.store.data_mut().call =
            nobodys.unwrap_or_else(|| CallState::nobodys(self.version.clone(), Duration::ZERO));
        self.rests = true;
        let memory = self.memory_bytes();
        // What it has grown by since it last waited has to find room as well.
        if self.seat.as_ref().is_none_or(|seat| seat.bytes() < memory) {
            let waited = self.seat.take().is_some();
            self.seat = self.version.seat(memory, room);
            self.gauge(i64::from(self.seat.is_some()) - i64::from(waited));
        }
        self.seat.is_some()
    }

    /// Gives up its leave to wait: it has another one to end.
    pub fn leave_seat(&mut self) {
        if self.seat.take().is_some() {
            self.gauge(-1);
        }
    }

    /// Whether it may not serve another call, and why.
    pub fn worn(&self, config: &InstanceConfig, now: Instant) -> Option<PutAway> {
        match () {
            () if self.calls >= config.max_calls => Some(PutAway::Calls),
            () if now.saturating_duration_since(self.born) >= config.max_age => Some(PutAway::Age),
            () if self.memory_bytes() > config.recycle_memory_bytes => Some(PutAway::Memory),
            () => None,
        }
    }

    /// Ends it, and counts why.
    pub fn put_away(self, why: PutAway) {
        let label = PluginReason { plugin: self.version.name.clone(), reason: why.as_str() };
        self.version.shared.metrics.plugin_instances_put_away.get_or_create(&label).inc();
    }

    pub fn version(&self) -> &Arc<PluginVersion> {
        &self.version
    }

    pub fn idle_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.used)
    }

    /// Linear memory.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    fn gauge(&self, change: i64) {
        let plugin = Plugin { plugin: self.version.name.clone() };
        self.version.shared.metrics.plugin_instances_kept.get_or_create(&plugin).inc_by(change);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.leave_seat();
    }
}

impl PluginVersion {
    /// Counts an instance that was started.
    pub(in super::super) fn count_start(&self, outcome: &'static str) {
        let label = PluginOutcome { plugin: self.name.clone(), outcome };
        self.shared.metrics.plugin_instance_starts.get_or_create(&label).inc();
    }
}

/// Where a guest was when its time was over, which its failure does not say.
fn tell_if_ended(version: &PluginVersion, fault: &wasmtime::Error) {
    if let Some(interruption) = fault.downcast_ref::<Interruption>() {
        let backtrace = guest::backtrace(fault);
        tracing::warn!(plugin = %version.name, plugin_version = %version.version, %interruption, backtrace, "a guest was ended");
    }
}

fn bounds(version: &PluginVersion, watch: &Watch, allowed: Duration) -> Bounds {
    Bounds {
        memory_bytes: version.limits.max_memory_bytes,
        hostcall_bytes: version.limits.max_hostcall_bytes,
        cpu_time: watch.cpu_time,
        wall_clock: allowed,
    }
}
