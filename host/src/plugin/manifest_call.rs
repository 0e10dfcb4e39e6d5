//! The one call that is made before anything is known of a component: for its manifest.
//!
//! It runs in a sandbox that offers nothing: every import of the contract is there, so that the component can
//! be instantiated, and a trap; WASI is there and empty, because an interpreter asks for random numbers before it
//! does anything. Its limits are the host's, because no operator has granted it any.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout_at;
use wasmtime::component::{
    Component, InstancePre, Linker,
    types::{ComponentInstance, ComponentItem},
};

use super::{
    bindings::Exports,
    call_log::CallLog,
    cpu_time::{CpuMeter, Metered},
    engine::Sandbox,
    failure::{CallFailure, TimeLimit},
    guest::{Bounds, Stage, store},
    limits::{Limiter, Watch},
    manifest::MAX_MANIFEST_BYTES,
    wasi::{self, Bare},
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

/// What it writes while it is asked: a traceback.
const MAX_LOG_LINES: u32 = 50;

/// For a place among those in which components are loaded.
const RETRY: Duration = Duration::from_secs(1);

/// Asks a component for its manifest.
pub(crate) async fn manifest_of(
    sandbox: &Sandbox,
    component: &Component,
    plugin: &Arc<str>,
) -> Result<String, CallFailure> {
    let by = Instant::now() + BOUNDS.wall_clock;
    let _place = sandbox.place_for_loading(by).await.ok_or(CallFailure::Busy { retry_after: RETRY })?;
    let (pre, exports) = without_imports(sandbox, component)?;
    let deadline = Instant::now() + BOUNDS.wall_clock;
    let meter = CpuMeter::new();
    let watch = Watch { meter: meter.clone(), cpu_time: BOUNDS.cpu_time, deadline };
    // It has no version yet, and nobody is calling.
    let log = CallLog::new(plugin.clone(), "".into(), "".into(), MAX_LOG_LINES);
    let state = Bare::new(Limiter::new(BOUNDS.memory_bytes, MAX_TABLE_ELEMENTS), log.clone());
    let work = async {
        let mut store = store(sandbox.engine(), state, watch, &BOUNDS, |state| &mut state.limiter);
        let instance = pre
            .instantiate_async(&mut store)
            .await
            .map_err(|fault| BOUNDS.failure(Stage::Instantiating, &fault, &store.data().limiter))?;
        let asked = async { exports.plugin.load(&mut store, &instance)?.call_manifest(&mut store).await };
        let answered = asked.await;
        answered.map_err(|fault| BOUNDS.failure(Stage::Running, &fault, &store.data().limiter))
    };
    let answered = timeout_at(deadline.into(), Metered::new(work, meter))
        .await
        .unwrap_or(Err(CallFailure::TimedOut { limit: BOUNDS.wall_clock, setting: TimeLimit::Deadline }));
    log.flush();
    answered.map_err(|failure| with_last_words(failure, log.last_error()))
}

/// An interpreter traps in the same way whatever is wrong, and says what on stderr: for the author, that is
/// the reason.
fn with_last_words(failure: CallFailure, words: Option<String>) -> CallFailure {
    match (failure, words) {
        (CallFailure::Crashed { trap, backtrace }, Some(words)) => {
            CallFailure::Crashed { trap: format!("{trap}, after it wrote to stderr: {words}"), backtrace }
        }
        (failure, _) => failure,
    }
}

fn without_imports(sandbox: &Sandbox, component: &Component) -> Result<(InstancePre<Bare>, Exports), CallFailure> {
    let mut linker = Linker::<Bare>::new(sandbox.engine());
    let pre = wasi::link(&mut linker, |_| true)
        .and_then(|()| trap_the_rest(&mut linker, sandbox, component))
        .and_then(|()| linker.instantiate_pre(component))
        .map_err(|fault| CallFailure::Host(format!("the component cannot be linked at all: {fault:#}")))?;
    let exports = Exports::probe(&pre).map_err(|missing| CallFailure::Host(missing.to_string()))?;
    Ok((pre, exports))
}

/// What is not WASI is of the contract, which has functions and plain types and nothing else.
fn trap_the_rest(linker: &mut Linker<Bare>, sandbox: &Sandbox, component: &Component) -> Result<(), wasmtime::Error> {
    for (name, import) in component.component_type().imports(sandbox.engine()) {
        match import.ty {
            ComponentItem::ComponentInstance(interface) if !name.starts_with("wasi:") => {
                trap_interface(linker, sandbox, name, &interface)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn trap_interface(
    linker: &mut Linker<Bare>,
    sandbox: &Sandbox,
    name: &str,
    interface: &ComponentInstance,
) -> Result<(), wasmtime::Error> {
    let mut instance = linker.instance(name)?;
    for (function, item) in interface.exports(sandbox.engine()) {
        if let ComponentItem::ComponentFunc(_) = item.ty {
            let text = format!("`manifest` called `{name}`.`{function}`: it is asked before anything is granted");
            instance.func_new(function, move |_, _, _, _| Err(wasmtime::Error::msg(text.clone())))?;
        }
    }
    Ok(())
}
