//! The clock of the sandbox: advances the engine's epoch once a millisecond while calls are under way.
//!
//! A thread of its own, because a task could be kept waiting by the very guests that it is to stop.
//! When nothing was called for a while it sleeps, so that an idle host is idle.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::Engine;

/// How often a guest that runs is looked at. Shorter costs more wake-ups than it gains precision.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a call after which the thread goes to sleep; waking it costs a system call, which
/// a host with steady traffic must not pay per message.
const IDLE_TICKS: u32 = 100;

/// Stops its thread when dropped.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    /// Calls under way.
    active: AtomicUsize,
    asleep: AtomicBool,
    stopped: AtomicBool,
}

/// While it lives, the epoch advances.
pub(crate) struct Awake(Arc<Shared>);

impl Ticker {
    pub fn start(engine: &Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let engine = engine.clone();
        let for_thread = shared.clone();
        let handle = thread::Builder::new().name("sandbox-ticker".into()).spawn(move || tick(&engine, &for_thread))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    pub fn keep_awake(&self) -> Awake {
        self.shared.active.fetch_add(1, SeqCst);
        // The thread says that it sleeps before it looks at `active` for the last time, and here the
        // order is the reverse: one of the two sees the other.
        if self.shared.asleep.load(SeqCst) {
            self.thread.unpark();
        }
        Awake(self.shared.clone())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, SeqCst);
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let mut idle = 0;
    while !shared.stopped.load(SeqCst) {
        if idle >= IDLE_TICKS {
            sleep_until_called(shared);
            idle = 0;
        }
        thread::sleep(TICK);
        engine.increment_epoch();
        idle = if shared.active.load(SeqCst) == 0 { idle + 1 } else { 0 };
    }
}

fn sleep_until_called(shared: &Shared) {
    shared.asleep.store(true, SeqCst);
    while shared.active.load(SeqCst) == 0 && !shared.stopped.load(SeqCst) {
        thread::park();
    }
    shared.asleep.store(false, SeqCst);
}
