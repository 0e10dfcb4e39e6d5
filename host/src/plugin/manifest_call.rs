//! The one call that is made before anything is known of a component: for its manifest.
//!
//! It runs in a sandbox that offers nothing: every import is there, so that the component can be
//! instantiated, and a trap. Its limits are the host's, because no operator has granted it any.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use wasmtime::component::{Component, InstancePre, Linker};

use super::{
    bindings::Exports,
    engine::Sandbox,
    failure::CallFailure,
    guest::{Bounds, Stage, store},
    limits::{CpuMeter, Limiter, Metered, Watch},
    manifest::MAX_MANIFEST_BYTES,
};

/// Enough for an interpreter that a script is compiled into to start and print a constant.
const BOUNDS: Bounds = Bounds {
    memory_bytes: 128 << 20,
    hostcall_bytes: MAX_MANIFEST_BYTES,
    cpu_time: Duration::from_secs(2),
    wall_clock: Duration::from_secs(10),
};

/// Tables hold functions; an interpreter has some thousands.
const MAX_TABLE_ELEMENTS: usize = 50_000;

/// For a place among those in which components are loaded.
const RETRY: Duration = Duration::from_secs(1);

/// Asks a component for its manifest.
pub(crate) async fn manifest_of(sandbox: &Sandbox, component: &Component) -> Result<String, CallFailure> {
    let by = Instant::now() + BOUNDS.wall_clock;
    let _place = sandbox.place_for_loading(by).await.ok_or(CallFailure::Busy { retry_after: RETRY })?;
    let (pre, exports) = without_imports(sandbox, component)?;
    let deadline = Instant::now() + BOUNDS.wall_clock;
    let meter = CpuMeter::new();
    let watch = Watch { meter: meter.clone(), cpu_time: BOUNDS.cpu_time, deadline };
    let limiter = Limiter::new(BOUNDS.memory_bytes, MAX_TABLE_ELEMENTS);
    let work = async {
        let mut store = store(sandbox.engine(), limiter, watch, &BOUNDS, |limiter| limiter);
        let instance = pre
            .instantiate_async(&mut store)
            .await
            .map_err(|fault| BOUNDS.failure(Stage::Instantiating, &fault, store.data()))?;
        let asked = async { exports.plugin.load(&mut store, &instance)?.call_manifest(&mut store).await };
        let answered = asked.await;
        answered.map_err(|fault| BOUNDS.failure(Stage::Running, &fault, store.data()))
    };
    timeout_at(deadline.into(), Metered::new(work, meter))
        .await
        .unwrap_or(Err(CallFailure::TimedOut { limit: BOUNDS.wall_clock }))
}

fn without_imports(sandbox: &Sandbox, component: &Component) -> Result<(InstancePre<Limiter>, Exports), CallFailure> {
    let mut linker = Linker::<Limiter>::new(sandbox.engine());
    let pre = linker
        .define_unknown_imports_as_traps(component)
        .and_then(|()| linker.instantiate_pre(component))
        .map_err(|fault| CallFailure::Host(format!("the component cannot be linked at all: {fault:#}")))?;
    let exports = Exports::probe(&pre).map_err(|missing| CallFailure::Host(missing.to_string()))?;
    Ok((pre, exports))
}
