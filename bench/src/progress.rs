//! One line on standard error that says what is going on, while it does.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Answers, deliveries, connections: whatever the scenario counts.
static COUNT: AtomicU64 = AtomicU64::new(0);
static STAGE: Mutex<String> = Mutex::new(String::new());

/// Rare enough to cost nothing, also in a log file.
const PAUSE: Duration = Duration::from_secs(1);

/// Called where something was done, by any thread.
pub fn count(more: u64) {
    COUNT.fetch_add(more, Relaxed);
}

/// What is done from now on.
pub fn stage(text: impl Into<String>) {
    let text = text.into();
    if !std::io::stderr().is_terminal() {
        eprintln!("{text}");
    }
    *STAGE.lock().unwrap_or_else(PoisonError::into_inner) = text;
    COUNT.store(0, Relaxed);
}

/// Shows the stage and its count until the process ends. Only to people: a log has a line for each stage.
pub fn show() {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let begun = Instant::now();
    thread::spawn(move || {
        loop {
            thread::sleep(PAUSE);
            let stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner).clone();
            eprint!("\r\x1b[K{:>4} s  {stage}  {}", begun.elapsed().as_secs(), COUNT.load(Relaxed));
            let _ = std::io::stderr().flush();
        }
    });
}

/// Makes room for what is printed at the end.
pub fn clear() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
